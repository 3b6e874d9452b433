"""One row per object with list columns: nested-pandas, LSDB and HATS catalogues, and this package's own files."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tlclass.lightcurves import arrow
from tlclass.lightcurves.arrow import readable
from tlclass.lightcurves.curves import LightCurves, check, concatenate
from tlclass.lightcurves.passbands import Passbands
from tlclass.surveys.alerts.tables import holds_packets
from tlclass.surveys.saying import Together
from tlclass.surveys.tables.columns import Form, TableOptions
from tlclass.surveys.tables.facts import DECISIVE
from tlclass.surveys.tables.files import PARQUET, TABLES, existing, is_kind, schema_of, tables_below, tables_in
from tlclass.surveys.tables.lists import holds_lists, read_known
from tlclass.surveys.tables.metadata import with_unit
from tlclass.surveys.tables.nested_parts import Catalogue, batches_of, in_parts, objects_at_once
from tlclass.surveys.tables.objects import pack
from tlclass.surveys.tables.observations import joined, observations_of

HATS = ("hats.properties", "properties")  # what a catalogue says of itself; IVOA note on HATS, `dataproduct_type`


@dataclass(frozen=True)
class Nested(TableOptions):
    """Reads Parquet files with one row per object and the observations in list columns, without Python loops.

    The lists stand as columns of their own, or in a struct of lists, or a list of structs (nested-pandas).
    In a HATS catalogue (`Norder=*/Dir=*/Npix=*.parquet`) only the partitions are read. Columns are found
    by their names as in `Table`.

    Attributes:
        path: a file or a folder of files, with other objects in each.
        passbands: to resolve band names.
    """

    path: Path
    passbands: Passbands

    def __post_init__(self) -> None:
        """Refuse a column mapping for a name that is not ours."""
        self.form()

    @staticmethod
    def accepts(path: Path) -> list[Path]:
        """The file, or the files below a folder, with one row per object; of a HATS catalogue its partitions."""
        return [file for file in tables_at(path) if is_nested(file) and not is_packets(file)]

    def files(self) -> list[Path]:
        """The file, or the Parquet files below the folder.

        Raises:
            FileNotFoundError: there is none.
        """
        path = Path(self.path)
        if is_kind(path, (*PARQUET, ".arrow")):
            return [existing(path)]
        files = tables_below(path, PARQUET)
        return partitions(files) or files

    def pieces(self) -> list["Nested"]:
        """A reader per file."""
        return [replace(self, path=file) for file in self.files()]

    def read(self) -> LightCurves:
        """All light curves, file after file.

        Raises:
            FileNotFoundError: there is no file.
            ValueError: a file is damaged, a column is missing or ambiguous, a band is unknown, ids repeat.
        """
        files, together = self.files(), Together()
        with together:
            parts = [self.read_file(file) for file in files]
        together.log()
        _refuse_shared(files, parts)
        return concatenate(parts)

    def read_parts(self, rows: int, decisive: int = DECISIVE) -> Iterator[LightCurves]:
        """What `read` reads, about so many observations at a time, in the order of the files.

        Args:
            rows: observations in a part; smaller files are read at once.
            decisive: see `tlclass.surveys.tables.facts.DECISIVE`.

        Raises:
            FileNotFoundError, ValueError: see `read`.
        """
        together = Together()
        for file in self.files():
            yield from self._file_in_parts(file, rows, decisive, together)
        together.log()

    def _file_in_parts(self, file: Path, rows: int, decisive: int, together: Together) -> Iterator[LightCurves]:
        if file.suffix == ".arrow":
            for part in arrow.read_parts(file):
                yield check(part, str(file))
            return
        with readable(file, "a table"):
            objects = objects_at_once(pq.read_metadata(file), rows)
        if objects is None:
            with together:
                whole = self.read_file(file)
            yield whole
        elif is_own(file):
            for number, table in enumerate(batches_of(file, objects, None)):
                with readable(file, "light curves"):
                    part = arrow.from_arrow(table, str(file))
                # counted once a file
                yield replace(check(part, str(file)), dropped=part.dropped if number == 0 else {})
        else:
            yield from in_parts(file, objects, self.form(), decisive, together)

    def read_file(self, file: Path) -> LightCurves:
        """The light curves of one file."""
        if is_own(file):
            return check(arrow.read(file), str(file))
        table, unread = read_known(file, self.form())
        return nested_curves(table, self.form(), str(file), unread)

    def form(self) -> Form:
        """How columns become ours."""
        return Form.of(self)


def nested_curves(table: pa.Table, form: Form, origin: str, unread: Sequence[str] = ()) -> LightCurves:
    """Light curves of a table with one row per object and list columns.

    Args:
        table: plain columns and list columns, as in `Nested`.
        form: how its columns become ours.
        origin: what to call it in messages.
        unread: names of further columns that were left out.

    Raises:
        ValueError: a column is missing, ambiguous or holds what it should not, a band is unknown, ids repeat.
    """
    table = with_unit(table, origin)
    catalogue = Catalogue(table.schema, unread, form, origin)
    about = catalogue.objects(table)
    seen, dropped = observations_of(catalogue.observations(table))
    seen, repeated = joined([seen])
    return pack(about, seen, form, origin, {**dropped, **repeated})


def _refuse_shared(files: Sequence[Path], parts: Sequence[LightCurves]) -> None:
    """Refuse an object that stands in two files."""
    home: dict[str, Path] = {}
    for file, part in zip(files, parts, strict=True):
        for name in part.object_id.tolist():
            if home.setdefault(name, file) is not file:
                raise ValueError(
                    f"object {name} is in both {home[name]} and {file}: an object must have one row in one file; "
                    "merge its rows, or move one file away"
                )


def is_nested(path: Path) -> bool:
    """Whether a file, or the first Parquet file below a folder, has one row per object with list columns."""
    if path.is_dir():
        files = tables_in(path, PARQUET)
        return bool(files) and is_nested(files[0])
    return path.suffix == ".arrow" or (
        is_kind(path, PARQUET) and any(holds_lists(kind) for kind in schema_of(path).types)
    )


def tables_at(path: Path) -> list[Path]:
    """The file, or the tables below a folder; of a HATS catalogue its partitions alone."""
    if path.is_file():
        return [path] if is_kind(path, (*TABLES, ".arrow")) else []
    found = tables_in(path)
    return partitions(found) or found


def is_packets(file: Path) -> bool:
    """Whether a Parquet file has a row per alert packet; see `tlclass.surveys.AlertPackets`."""
    return is_kind(file, PARQUET) and holds_packets(schema_of(file))


def is_own(file: Path) -> bool:
    """Whether this package wrote the file (`tlclass.simulate`, `tlclass.lightcurves.arrow.write`)."""
    return file.suffix == ".arrow" or b"passbands" in (schema_of(file).metadata or {})


def partitions(files: Sequence[Path]) -> list[Path]:
    """Those of these files that are partitions of a HATS catalogue; those of its margin repeat objects, and are left out."""
    found = [file for file in files if any(part.startswith("Npix=") for part in file.parts)]
    margins = {folder for folder in {file.parent for file in found} if _is_of_margin(folder)}
    return [file for file in found if file.parent not in margins]


def _is_of_margin(folder: Path) -> bool:
    """Whether the catalogue that partitions in this folder are of says that it is a margin."""
    places = (above / name for above in (folder, *folder.parents) for name in HATS)
    about = next((place for place in places if place.is_file()), None)
    return about is not None and bool(re.search(r"dataproduct_type\s*=\s*margin", about.read_text(errors="replace")))
