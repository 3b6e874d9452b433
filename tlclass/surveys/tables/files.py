"""Parquet, CSV and FITS files as Arrow tables, and the tables below a folder."""

import csv
import gzip
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from tlclass.lightcurves.arrow import parquet, readable
from tlclass.quoting import shortened
from tlclass.surveys.snana.fits import HEAD_NAME
from tlclass.surveys.tables.fits_table import fits_table
from tlclass.surveys.tables.kinds import plain, refuse_doubles
from tlclass.surveys.tables.metadata import schema_with_unit, with_unit

PARQUET = (".parquet", ".parq", ".pq")
TSV = (".tsv", ".tsv.gz")  # columns between tabs
CSV = (".csv", ".csv.gz", *TSV)
FITS = (".fits", ".fits.gz")
JSON = (".json", ".jsonl", ".ndjson")
PACKED = (".gz", ".bz2", ".xz", ".zst", ".zip")
LOOKED_AT = 64 << 20  # bytes of a JSON file that are read to say what to do with it
TIME = re.compile(r"(?i)m?jd|time|midpoint\w*")  # what observations have, in records of JSON
PACKET = ("candidate", "diaSource", "diaSourcesList")  # where ZTF, Rubin and Lasair put the measurements of an alert
TABLES = (*PARQUET, *CSV, *FITS)  # in capitals too


def is_kind(path: Path, suffixes: tuple[str, ...]) -> bool:
    """Whether the name of a file ends in one of these, in small letters or capitals; SNANA's FITS files are no tables.

    >>> is_kind(Path("A.CSV"), CSV), is_kind(Path("a.csv"), PARQUET), is_kind(Path("MODEL01_HEAD.FITS.gz"), FITS)
    (True, False, False)
    """
    return path.name.casefold().endswith(suffixes) and not HEAD_NAME.fullmatch(
        path.name.casefold().replace("_phot", "_head")
    )


def tables_below(folder: Path, suffixes: tuple[str, ...] = TABLES) -> list[Path]:
    """The table files in a folder and its subfolders, by name; not those that start with `.` or `_`.

    Raises:
        FileNotFoundError: there is no such folder, or no table in it.
    """
    if not folder.is_dir():
        raise FileNotFoundError(_no_folder(folder))
    visible = tables_in(folder, suffixes)
    if not visible:
        raise FileNotFoundError(
            f"{folder} holds no table: put tables of observations and of objects ({', '.join(suffixes)}) there"
        )
    return visible


def tables_in(folder: Path, suffixes: tuple[str, ...] = TABLES) -> list[Path]:
    """The same, empty where there is none."""
    found = sorted(path for path in folder.rglob("*") if is_kind(path, suffixes) and path.is_file())
    return [path for path in found if not path.name.startswith((".", "_"))]


def unread_in(folder: Path) -> list[Path]:
    """The other visible files, by name."""
    tables = set(tables_in(folder))
    return sorted(
        file for file in folder.rglob("*") if file.is_file() and file not in tables and file.name[0] not in "._"
    )


def is_prediction(columns: Sequence[str]) -> bool:
    """Whether a table with these columns is one that `tlclass.predict` writes: a probability per class, `p(SN Ia)`."""
    return any(re.fullmatch(r"p\(.+\)", name) for name in columns)


def refuse_prediction(path: Path, columns: Sequence[str]) -> None:
    """Raise ValueError if a table that should hold labels is such a one."""
    if is_prediction(columns):
        raise ValueError(f"{path} holds predictions of a model (columns p(...)), not labels: give another table")


def existing(file: Path) -> Path:
    """The file.

    Raises:
        FileNotFoundError: it is not there; says what is.
    """
    if file.is_file():
        return file
    folder = file.parent
    if not folder.is_dir():
        raise FileNotFoundError(_no_folder(folder))
    names = sorted(entry.name for entry in folder.iterdir())[:8]
    raise FileNotFoundError(
        f"no file {file.name} in {folder}; it holds {', '.join(names) or 'nothing'}: set paths.data or the reader's file names"
    )


def _no_folder(folder: Path) -> str:
    return f"no data folder {folder}: set paths.data=FOLDER to the folder with your files"


def schema_of(path: Path) -> pa.Schema:
    """Column names and types; those of a CSV file are all text.

    Raises:
        ValueError: another suffix, or the file is damaged.
    """
    with readable(path, "a table"):
        if is_kind(path, PARQUET):
            return schema_with_unit(pq.read_schema(path), str(path))
        if is_kind(path, FITS):
            return fits_table(path).schema
        if is_kind(path, CSV):
            return pa.schema([(name, pa.string()) for name in _header(path)])
    if is_kind(path, JSON):
        raise ValueError(f"{path} is JSON, which is not read as a table: {_out_of_json(path)}")
    if path.name.casefold().endswith(FITS):
        raise ValueError(f"{path} is half of a pair of SNANA files: give its HEAD file, or the folder that holds both")
    if path.suffix.casefold() in PACKED:
        raise ValueError(
            f"{path}: packed files are read as {', '.join(name for name in TABLES if name.endswith('.gz'))}: unpack it and give what it holds"
        )
    raise ValueError(
        f"{path}: unknown kind of file '{''.join(path.suffixes[-2:])}': {', '.join(TABLES)} are read as tables; write it as one of these, e.g. with "
        "pandas.read_csv(FILE, sep=r'\\s+').to_csv(NEW, index=False) if blanks separate its columns, or "
        "astropy.table.Table.read(FILE).write('NEW.fits') (which keeps units), or rename it"
    )


def _out_of_json(path: Path) -> str:
    """How to make a table of the observations in a JSON file."""
    try:
        with path.open("rb") as file:
            content = json.loads(file.read(LOOKED_AT))
    except ValueError:  # or the file is longer
        lines = "pandas.read_json(FILE, lines=True, dtype=False, convert_dates=False).to_csv(NEW, index=False)"
        return f"if it has a record on each line, tlclass stream reads it, and {lines} makes a table of it"
    lists = _lists_with_times(content)
    if not lists:
        return "write a CSV file with a row for each observation (object_id, mjd, band, flux or mag and its error)"
    way, _ = max(lists, key=lambda each: each[1])
    packet = content
    for key in way:
        if not packet.keys().isdisjoint(PACKET):
            return "it is an alert packet, which tlclass stream reads"
        packet = packet[key]
    keys = "".join(f"[{key!r}]" for key in way)
    table = f"pandas.DataFrame(json.load(open(FILE)){keys}, dtype=object).to_csv(NEW, index=False)"
    return f"{table} makes a table of its observations; add a column object_id if it has none"


def _lists_with_times(content: Any, keys: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], int]]:
    """The keys to every list of records with a time in a JSON document, and its length."""
    if isinstance(content, dict):
        return [found for key, value in content.items() for found in _lists_with_times(value, (*keys, key))]
    first = content[0] if isinstance(content, list) and content else None
    timed = isinstance(first, dict) and any(TIME.fullmatch(name) for name in first)
    return [(keys, len(content))] if timed else []


def _header(path: Path) -> list[str]:
    with (gzip.open if _is_packed(path) else open)(path, "rt", encoding="utf-8-sig", newline="") as lines:
        try:
            rows = csv.reader(lines, delimiter=separator(path))
            header = next((row for row in rows if row), [])  # the BTS explorer's file begins with a blank line
            after = next((row for row in rows if row), []) if header and header[0].startswith("#") else []
        except UnicodeDecodeError:
            with path.open("rb") as file:
                other = "it is a Parquet file: call it .parquet" if file.read(4) == b"PAR1" else ""
            raise ValueError(
                f"{path} cannot be read: {other or 'its text is not in UTF-8: save it as UTF-8'}"
            ) from None
        except csv.Error as error:
            raise pa.ArrowInvalid(f"its first line is not a list of column names: {error}") from error
    if not header:
        raise ValueError(f"{path} cannot be read: the file is empty")
    if header[0].startswith("#") and (len(header) < len(after) or (len(header) == 1 and header[0][1:2].isspace())):
        raise ValueError(
            f"{path} cannot be read: its first line '{shortened(','.join(header))}' is a comment: put the names of the columns there, with "
            "commas between them"
        )
    if len(header) == 1 and re.search(r"\w[;\t| ]+\w", header[0]):
        raise ValueError(
            f"{path} cannot be read: its first line '{shortened(header[0])}' has no commas: put the names of the columns there, and "
            "commas between columns"
        )
    return header


def read_table(
    path: Path, columns: Sequence[str], text: Sequence[str] = (), number: Sequence[str] = (), ids: Sequence[str] = ()
) -> pa.Table:
    """These columns of a table file.

    Args:
        path: the file.
        columns: to read.
        text: those that a CSV file holds as text, whatever they look like (ids, bands).
        number: those that should be numbers; read as text if they are not, for `numbers` to say where.
        ids: those in whose text NA, nan, null are what they are called, not missing values.

    Raises:
        ValueError: another suffix, or the file is damaged.
    """
    refuse_doubles([name for name in schema_of(path).names if name in columns], str(path))
    with readable(path, "a table"):
        if is_kind(path, FITS):
            return plain(fits_table(path).select(list(columns)), str(path))
        if is_kind(path, PARQUET):  # not read_table: it adds columns of the path
            file = parquet(path)
            table = file.read(columns=held(columns, file.schema_arrow))
            table.validate(full=True)
            return plain(with_unit(table, str(path), file.schema_arrow).select(list(columns)), str(path))
        kinds = dict.fromkeys(text, pa.dictionary(pa.int32(), pa.string()))
        try:
            table = _read_csv(path, columns, kinds | dict.fromkeys(number, pa.float64()))
        except pa.ArrowInvalid as error:
            if "conversion error" not in str(error):
                raise
            table = _read_csv(path, columns, kinds | dict.fromkeys(number, pa.string()))
        return plain(_with_ids_as_given(table, path, ids), str(path))


def held(columns: Sequence[str], schema: pa.Schema) -> list[str]:
    """Those of these columns that a file has itself; the others come from its metadata."""
    return [name for name in columns if name in schema.names]


def _read_csv(path: Path, columns: Sequence[str], kinds: dict[str, pa.DataType], **options: Any) -> pa.Table:
    convert = pa.csv.ConvertOptions(strings_can_be_null=True, include_columns=columns, column_types=kinds, **options)
    with opened(path) as file:
        return pa.csv.read_csv(file, parse_options=parse_options(path), convert_options=convert)


def opened(path: Path) -> pa.NativeFile:
    """A file of text, unpacked where it is packed."""
    return pa.input_stream(str(path), compression="gzip" if _is_packed(path) else None)


def parse_options(path: Path) -> pa.csv.ParseOptions:
    """How the cells of a file are separated; a quoted line break is text, in large files too."""
    return pa.csv.ParseOptions(delimiter=separator(path), newlines_in_values=True)


def separator(path: Path) -> str:
    """What stands between the columns of a file of text."""
    return "\t" if is_kind(path, TSV) else ","


def _is_packed(path: Path) -> bool:
    """Whether a file is packed with gzip, whatever its name says."""
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def _with_ids_as_given(table: pa.Table, path: Path, ids: Sequence[str]) -> pa.Table:
    """Arrow has one list of words for null, for all columns; where it found one among ids, these are read again."""
    for name in ids:
        if table[name].null_count:
            given = _read_csv(path, [name], {name: pa.dictionary(pa.int32(), pa.string())}, null_values=[""])
            table = table.set_column(table.column_names.index(name), name, given[name])
    return table
