"""Read light curves to classify from a file or folder of any format, or from a table in memory."""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import pandas as pd
import pyarrow as pa

from tlclass.lightcurves.arrow import readable
from tlclass.lightcurves.curves import LightCurves, log_dropped, refuse_none
from tlclass.lightcurves.ids import Seen
from tlclass.lightcurves.passbands import Passbands
from tlclass.options import checked_options, nearest
from tlclass.surveys.alerts.reader import AlertPackets
from tlclass.surveys.alerts.tables import holds_packets
from tlclass.surveys.reader import ROWS, InMemory, Reader, parts_of
from tlclass.surveys.snana.fits import SnanaFits
from tlclass.surveys.snana.text import SnanaText
from tlclass.surveys.survey import Survey
from tlclass.surveys.tables.columns import Form, TableOptions
from tlclass.surveys.tables.kinds import refuse_doubles
from tlclass.surveys.tables.lists import holds_lists
from tlclass.surveys.tables.nested import Nested, is_own, nested_curves
from tlclass.surveys.tables.table import Table, table_curves


class ArrowTable(Protocol):
    """A table of another library that gives its columns to Arrow, such as one of polars."""

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """See Arrow's PyCapsule interface."""


Source: TypeAlias = Path | str | pd.DataFrame | pa.Table | ArrowTable | LightCurves | Survey
Settings = Mapping[str, Any]

IN_MEMORY = "the table"  # what to call a table that has no file


def read(
    source: Source, passbands: Passbands, options: Settings | None = None, trained: Settings | None = None
) -> LightCurves:
    """Light curves of a file, a folder, a table in memory, a survey, or as they are; all by the same rules.

    Rows that are dropped are counted in the log.

    A folder holds tables of observations and of objects, files with one row per object and list columns, alert packets
    (.avro, or tar archives of them), or SNANA files (FITS or text). A file is of one of these kinds. A table in memory
    has a row per observation, or a row per object and list columns. Labels are not read.

    Args:
        source: the path, or a table of pandas, Arrow or polars; light curves are passed through; a survey is read as its card says,
            unselected.
        passbands: to resolve band names.
        options: what the user states about the input; of `columns` (our name -> its column) and `flux_unit`, see
            `tlclass.surveys.Table`.
        trained: the model's own settings of the reader (`TrainedModel.input`), over which `options` go.

    Raises:
        FileNotFoundError: the path does not exist.
        ValueError: no reader takes the source, it holds no light curve, files of several kinds lie together, or an option is not for this
            kind.
    """
    if isinstance(source, LightCurves):
        return source
    stated = _checked(options or {})
    with readable(source, "light curves") if isinstance(source, str | Path) else nullcontext():
        curves = _reader(source, passbands, stated, trained or {}).read()
    refuse_none(len(curves), name_of(source))
    log_dropped(curves.dropped, len(curves.mjd), name_of(source))
    return curves


def parts(
    source: Source,
    passbands: Passbands,
    options: Settings | None = None,
    trained: Settings | None = None,
    rows: int = ROWS,
) -> Iterator[LightCurves]:
    """What `read` reads, in parts with other objects in each, so that memory holds one at a time.

    Where the format is of many files a part is a file. Tables and packets with more than about `rows` observations come in parts
    of that size, as their `read_parts` say; what is decided of a whole table is decided of it all the same. What is dropped is only counted.

    Raises:
        FileNotFoundError, ValueError: see `read`. That there is no light curve, or that an id stands in two parts, is found at the end.
    """
    objects, seen = 0, Seen()
    for part in parts_of(_reader(source, passbands, _checked(options or {}), trained or {}), rows):
        objects += len(part)
        seen.look(part.object_id)
        yield part
    refuse_none(objects, name_of(source))
    repeated = len(seen.repeated())
    if repeated:
        raise ValueError(
            f"{name_of(source)}: {repeated} object id(s) are in more than one place: an object must have one row in one file; merge its rows, "
            "or give each file by itself"
        )


def _reader(source: Source, passbands: Passbands, stated: Settings, trained: Settings) -> Reader:
    """What reads a source; of a table in memory it has been read."""
    if isinstance(source, LightCurves):
        return InMemory(source)
    if isinstance(source, Survey):
        return _reader_of(source, stated)
    settings = reader_settings(stated, trained)
    if isinstance(source, str | Path):
        return _kind_of(Path(source)).open(Path(source), passbands, settings, stated)
    return InMemory(_read_table(_arrow(source), passbands, settings, stated))


def name_of(source: Source) -> str:
    """What to call a source in messages."""
    if isinstance(source, Survey):
        return source.name
    return str(source) if isinstance(source, str | Path) else IN_MEMORY


def _checked(options: Settings) -> dict[str, Any]:
    """What the user states about the input.

    Raises:
        ValueError: an option is unknown or of the wrong kind.
    """
    known = [field.name for field in fields(TableOptions)]
    unknown = next((name for name in options if name not in (*known, "forced")), None)
    if unknown is not None:
        raise ValueError(f"option {unknown} is unknown{nearest(unknown, known)}: known are {', '.join(known)}")
    of_tables = {name: value for name, value in options.items() if name in known}
    return {**options, **checked_options(TableOptions, of_tables, "")}


def _reader_of(survey: Survey, stated: Settings) -> Reader:
    if stated:
        raise ValueError(
            f"the card of {survey.name} states how its files are read: leave out {', '.join(stated)}, or set them in the card, e.g. reader.flux_unit=njy"
        )
    return survey.reader


def accepted(path: Path) -> list[Path]:
    """The files at or below `path` that `read` reads or takes into account; empty if there are none."""
    return [file for kind in KINDS for file in kind.accepts(path)]


def reader_settings(stated: Settings, trained: Settings) -> dict[str, Any]:
    """The reader's settings: what the user states, else what the model was trained with; without the labels.

    The unit that the model was trained with only counts where the input states none.
    """
    default = trained.get("flux_unit") or trained.get("default_unit")
    merged = {**trained, "flux_unit": None, "default_unit": default, **stated}
    columns = {**trained.get("columns", {}), **stated.get("columns", {}), "label": None}
    return {**merged, "columns": columns}


@dataclass(frozen=True)
class _Kind:
    """One kind of input.

    Attributes:
        what: how messages call its files.
        accepts: the files of this kind at or below a path.
        open: the reader of a path, given passbands, all settings, and what the user states of them.
    """

    what: str
    accepts: Callable[[Path], list[Path]]
    open: Callable[[Path, Passbands, Settings, Settings], Reader]


def _table_settings(settings: Settings, stated: Settings) -> dict[str, Any]:
    if "forced" in stated:
        raise ValueError("forced is an option of alert packets, not of tables: leave it out")
    return {name: value for name, value in settings.items() if name != "forced"}


def _open_table(path: Path, passbands: Passbands, settings: Settings, stated: Settings) -> Reader:
    where: dict[str, Any] = {"folder": path, "keep_unlisted": True} if path.is_dir() else {"observations": path}
    return Table(passbands=passbands, **where, **_table_settings(settings, stated))


def _open_nested(path: Path, passbands: Passbands, settings: Settings, stated: Settings) -> Reader:
    reader = Nested(path, passbands, **_table_settings(settings, stated))
    own = [file for file in reader.files() if is_own(file)]
    if own:
        _refuse_others(f"{own[0]} was written by this package and states its", stated, ("unknown_passbands", "extra"))
    return reader


def _packets(path: Path, passbands: Passbands, settings: Settings, stated: Settings) -> AlertPackets:
    _refuse_others("alert packets state their", stated, ("flux_unit", "unknown_passbands", "forced"))
    return AlertPackets(
        path, passbands, zero_point=stated.get("flux_unit"), **_given(settings, "forced", "unknown_passbands")
    )


def _open_fits(path: Path, passbands: Passbands, settings: Settings, stated: Settings) -> Reader:
    _refuse_others("SNANA FITS files state their", stated, ("flux_unit", "unknown_passbands"))
    return SnanaFits(path, passbands, **_given(settings, "flux_unit", "unknown_passbands"))


def _open_text(path: Path, passbands: Passbands, settings: Settings, stated: Settings) -> Reader:
    _refuse_others("SNANA text files state their", stated, ("flux_unit", "unknown_passbands", "detection_snr"))
    return SnanaText(
        path, passbands, label_key=None, **_given(settings, "flux_unit", "unknown_passbands", "detection_snr")
    )


def _given(settings: Settings, *names: str) -> dict[str, Any]:
    """Those of the settings that are stated."""
    return {name: settings[name] for name in names if name in settings}


FLAGS = {"columns": "--column", "flux_unit": "--flux-unit", "positive": "--positive", "time_offset": "--time-offset"}


def _refuse_others(what: str, stated: Settings, taken: Collection[str]) -> None:
    """Raise ValueError for options that a kind of input does not take: it states these things itself."""
    others = [name for name in stated if name not in taken]
    if others:
        flags = ", ".join(FLAGS.get(name, name) for name in others)
        raise ValueError(f"{what} own {', '.join(others)}: leave out {flags}")


KINDS = (
    _Kind("alert packets", AlertPackets.accepts, _packets),
    _Kind("SNANA FITS files", SnanaFits.accepts, _open_fits),
    _Kind("SNANA text files", SnanaText.accepts, _open_text),
    _Kind("tables with a row per object and list columns", Nested.accepts, _open_nested),
    _Kind("plain tables", Table.accepts, _open_table),
)


def _kind_of(path: Path) -> _Kind:
    """The only kind of files at this path."""
    if not path.exists():
        raise FileNotFoundError(
            f"no file or folder {path}: give a table of light curves (.parquet, .csv, .fits), a folder with objects and observations, or alert packets (.avro)"
        )
    found = [(kind, files) for kind in KINDS if (files := kind.accepts(path))]
    if len(found) > 1:
        listed = " and ".join(f"{kind.what} ({files[0].name})" for kind, files in found)
        raise ValueError(
            f"{path} holds {listed}, of which only one kind can be read at a time: give a folder or file of each kind"
        )
    return found[0][0] if found else KINDS[-1]  # whose reader says what is wrong


def _arrow(source: Any) -> pa.Table:
    """A table in memory as one of Arrow.

    Raises:
        ValueError: it is no table, or a column holds values of several kinds.
    """
    if isinstance(source, pa.Table):
        return source
    if not isinstance(source, pd.DataFrame):
        return _arrow_of_others(source)
    refuse_doubles([*map(str, source.columns)], IN_MEMORY)
    try:
        return pa.Table.from_pandas(source)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        said = " ".join(str(part) for part in error.args)
        raise ValueError(
            f"{IN_MEMORY} has a column with values of several kinds: {said}: make it text with .astype(str), or numbers"
        ) from error


def _arrow_of_others(source: Any) -> pa.Table:
    if hasattr(source, "__arrow_c_stream__") or hasattr(source, "__arrow_c_array__"):
        try:
            return pa.table(source)
        except (TypeError, ValueError, pa.ArrowException):
            pass  # a single column
    kind = f"{type(source).__module__.partition('.')[0]} {type(source).__name__}".removeprefix("builtins ")
    hint = (
        "; give what its to_pandas() returns, and state flux_unit, which pandas does not keep"
        if hasattr(source, "to_pandas")
        else ""
    )
    raise ValueError(
        f"light curves cannot be read from a Python object of type {kind}: give the path of a file or folder, or a table of pandas, polars or Arrow{hint}"
    )


def _read_table(table: pa.Table, passbands: Passbands, settings: Settings, stated: Settings) -> LightCurves:
    if holds_packets(table.schema):
        return _packets(Path(IN_MEMORY), passbands, settings, stated).read_table(table)
    read_lists = any(holds_lists(kind) for kind in table.schema.types)
    form = Form(passbands, **_table_settings(settings, stated))
    return (nested_curves if read_lists else table_curves)(table, form, IN_MEMORY)
