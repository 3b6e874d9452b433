"""Any survey as tables: of objects, one row each, and of observations, one row each (long format)."""

import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from tlclass.lightcurves.curves import LightCurves, sum_dropped
from tlclass.lightcurves.passbands import Passbands
from tlclass.lightcurves.photometry import ZERO_POINT, known_numbers, plain_name
from tlclass.quoting import listed, shortened
from tlclass.surveys.saying import Together
from tlclass.surveys.tables.batches import rows_of
from tlclass.surveys.tables.cells import column_values, numbers
from tlclass.surveys.tables.columns import Form, TableOptions, naming, refuse_absent, say
from tlclass.surveys.tables.facts import DECISIVE
from tlclass.surveys.tables.files import (
    existing,
    is_prediction,
    read_table,
    refuse_prediction,
    schema_of,
    tables_below,
    unread_in,
)
from tlclass.surveys.tables.in_parts import in_parts
from tlclass.surveys.tables.kinds import plain
from tlclass.surveys.tables.metadata import with_unit
from tlclass.surveys.tables.named import Named
from tlclass.surveys.tables.names import CONTEXT, FLAG, NUMBERS, OBSERVATION_COLUMNS, SNANA_ZERO_POINT, TEXT
from tlclass.surveys.tables.nested import is_nested, is_packets, tables_at
from tlclass.surveys.tables.objects import (
    Listing,
    Objects,
    Stated,
    completed,
    merged,
    object_columns,
    objects_of,
    one_row_each,
    pack,
    refuse_unlisted,
    say_one_object,
)
from tlclass.surveys.tables.observations import Observations, joined, observation_columns, observations_of
from tlclass.surveys.tables.quantities import stated_in_rows, usable
from tlclass.surveys.tables.units import GIVE_UNIT

log = logging.getLogger(__name__)

LABEL = re.compile("class|type|label|target|taxon")  # in the names of columns that may hold labels


@dataclass(frozen=True)
class Table(TableOptions):
    """Reads tables of objects and of observations, Parquet, CSV or FITS: two files, one, or all below a folder.

    Columns are found by their names (`tlclass.surveys.tables.names.ALIASES`): plain ones, those of ZTF alerts
    and of the brokers ANTARES, ALeRCE, Fink and Lasair, of SNANA, the Rubin data products, PLAsTiCC, the
    BTS explorer and TNS. In a folder a table with times and brightnesses is of observations, any other
    with ids is of objects; several of a kind are joined, an exposure that two tables hold enters once.

    Attributes:
        observations: file with one row per observation, or None to look into `folder`.
        passbands: to resolve band names.
        objects: file with one row per object; None: those of `folder`, or the observations have all that is known.
        folder: read where `observations` is not given.
        keep_unlisted: whether objects with observations that no object table lists are kept, with nothing known of them.
    """

    observations: Path | None = None
    passbands: Passbands = field(default_factory=lambda: Passbands(()))
    objects: Path | None = None
    folder: Path | None = None
    keep_unlisted: bool = False

    def __post_init__(self) -> None:
        """Raise ValueError if no files are given, or for an unknown column role."""
        if self.observations is None and self.folder is None:
            raise ValueError("a table reader needs observations=FILE or folder=FOLDER")
        self.form()

    @staticmethod
    def accepts(path: Path) -> list[Path]:
        """The file, or the tables below a folder, with one row per observation or per object without lists."""
        return [file for file in tables_at(path) if not is_nested(file) and not is_packets(file)]

    def files(self) -> list[Path]:
        """The files, object tables first if they are named.

        Raises:
            FileNotFoundError: one is missing, or the folder holds none.
        """
        named = [existing(Path(file)) for file in (self.objects, self.observations) if file is not None]
        if self.observations is not None or self.folder is None:
            return named
        return named + [file for file in tables_below(Path(self.folder)) if file not in named]

    def read(self) -> LightCurves:
        """See `tlclass.lightcurves.curves.from_columns` for what is checked.

        Raises:
            FileNotFoundError: a file is missing.
            ValueError: a column is missing, ambiguous or holds what it should not, a band is unknown, ids repeat.
        """
        form, roles = self.form(), self._roles()
        origin = str(self.observations or self.folder)
        self._say_unread()
        refuse_absent(_columns([file for files in roles.values() for file in files]), form, origin)
        seen, dropped, observed = self._observations(roles["observations"])
        listed = self._objects(roles["objects"], origin)
        objects = observed if listed is None else self._listed(listed, observed, origin)
        return pack(objects, seen, form, origin, dropped)

    def read_parts(self, rows: int, decisive: int = DECISIVE) -> Iterator[LightCurves]:
        """What `read` reads, about so many observations at a time, so that tables may be larger than memory.

        Objects come in the order of their ids; in that of the file where their rows stand together there in ascending order. A table
        of objects is held in memory, about 100 bytes an object.

        Args:
            rows: observations in a part; smaller tables are read at once.
            decisive: see `tlclass.surveys.tables.facts.DECISIVE`.

        Raises:
            FileNotFoundError, ValueError: see `read`.
        """
        roles = self._roles()
        files, origin = roles["observations"], str(self.observations or self.folder)
        if sum(rows_of(file) for file in files) <= rows:
            yield self.read()
            return
        self._say_unread()
        _refuse_limits_alone(_columns(files), self.form())
        refuse_absent(_columns([file for each in roles.values() for file in each]), self.form(), origin)
        listed = self._objects(roles["objects"], origin)
        listing = None if listed is None else Listing(listed, self.keep_unlisted, origin)
        yield from in_parts(files, listing, self.form(), origin, rows, decisive)

    def _objects(self, files: list[Path], origin: str) -> Objects | None:
        """What object tables say; None without such tables."""
        form = self.form()
        if form.flux_unit is None and not any(_zero_points(file) for file in self._roles()["observations"]):
            for path in files:
                _refuse_zero_points(path)
        tables = [one_row_each(objects_of(_read(path, form, object_columns)), str(path)) for path in files]
        return merged(tables, origin) if tables else None

    def read_observations(self) -> tuple[Observations, dict[str, int]]:
        """The observations in canonical units, as `from_columns` wants them, and those left out by reason."""
        self._say_unread()
        seen, dropped, _ = self._observations(self._roles()["observations"])
        return seen, dropped

    def _observations(self, files: list[Path]) -> tuple[Observations, dict[str, int], Objects]:
        """The same, and all objects in these files, those too of which only limits are known, with what the rows state of them."""
        form, stated = self.form(), Stated()
        _refuse_limits_alone(_columns(files), form)
        parts, together = [], Together()
        for path in files:
            with together:
                rows = _read(path, form, observation_columns)
                parts.append(observations_of(rows))
                stated.add(*stated_in_rows(rows))
        together.log()
        seen, repeated = joined([part for part, _ in parts])
        objects = stated.of(sorted(set(stated.ids) - {""}))
        say_one_object(stated, len(files), str(self.folder))
        return seen, sum_dropped([*(dropped for _, dropped in parts), repeated]), objects

    def _say_unread(self) -> None:
        """Log the files of the folder that are not tables by their suffix, or tables of predictions."""
        for file in self.files() if self.folder is not None else ():
            if is_prediction(schema_of(file).names):
                log.warning("%s: left out %s: it holds predictions of a model, not labels", self.folder, file.name)
        others = [] if self.observations or self.folder is None else unread_in(Path(self.folder))
        if others:
            names = ", ".join(file.name for file in others[:3])
            log.info(
                "%s: ignored %d file(s) that are no tables by their names, e.g. %s", self.folder, len(others), names
            )

    def _listed(self, listed: Objects, seen: Objects, origin: str) -> Objects:
        """The listed objects, and the others where they are kept; what the rows state of them where the list says nothing."""
        objects, observed = completed(listed, seen), seen["object_id"]
        known = objects["object_id"].astype(str)
        unlisted = np.setdiff1d(observed, known)
        if len(known) and len(observed) and len(unlisted) == len(observed):
            refuse_unlisted(observed[0], known[0], origin)
        if not self.keep_unlisted or not len(unlisted):
            return objects
        names = ", ".join(unlisted[:3])
        log.info("%s: no object table lists %d of %d objects, e.g. %s", origin, len(unlisted), len(observed), names)
        return merged([objects, seen], origin)

    def _roles(self) -> dict[str, list[Path]]:
        """The files by kind of table; a file given by name has the kind it was given as."""
        named = {Path(self.objects): "objects"} if self.objects else {}
        if self.observations:
            named[Path(self.observations)] = "observations"
        roles: dict[str, list[Path]] = {"objects": [], "observations": []}
        for file in self.files():
            columns = schema_of(file).names
            if is_prediction(columns):
                if file in named:
                    refuse_prediction(file, columns)
                continue
            role = named.get(file) or self.form().role(columns, str(file))
            if file in named or role == "observations" or self.objects is None:
                roles[role].append(file)
        if not roles["observations"]:
            raise ValueError(
                f"{self.folder} holds no table of observations, only of objects ({', '.join(file.name for file in roles['objects'])}): "
                "add one with object_id, mjd, band, and flux and flux_err or magnitudes"
            )
        return roles

    def label_advice(self) -> str:
        """What to do where no object has a label, by the columns that may hold labels."""
        name_it = "target.reader.columns.label=COLUMN"
        alike = {
            role: [pair for file in files for pair in self._like_labels(file)] for role, files in self._roles().items()
        }
        if alike["objects"]:
            file, name = alike["objects"][0]
            return f"say which column holds the classes with {name_it}, e.g. {shortened(name)} of {file.name}"
        if alike["observations"]:
            file, name = alike["observations"][0]
            ids = self.form().found(schema_of(file).names, str(file))["object_id"]
            return (
                f"{shortened(name)} of {file.name} stands beside observations, where classes are not read: write a table of objects, e.g. "
                f"table[['{shortened(ids)}', '{shortened(name)}']].drop_duplicates().to_csv('objects.csv', index=False)"
            )
        return f"add a table of objects with object_id and class, or name the column of classes with {name_it}"

    def _like_labels(self, file: Path) -> list[tuple[Path, str]]:
        """Columns of a file that may hold labels by their names, and were not read."""
        names = schema_of(file).names
        read = (
            self.form().found(names, str(file), OBSERVATION_COLUMNS).get("label")
            if file in self._roles()["objects"]
            else None
        )
        return [(file, name) for name in names if LABEL.search(plain_name(name)) and name != read]

    def form(self) -> Form:
        """How the columns are mapped to roles."""
        return Form.of(self)


def table_curves(table: pa.Table, form: Form, origin: str) -> LightCurves:
    """Light curves of a table in memory with one row per observation; nothing is known of its objects but their ids.

    Raises:
        ValueError: a column is missing, ambiguous or holds what it should not, or a band is unknown.
    """
    table = with_unit(table, origin)
    _refuse_limits_alone({origin: table.column_names}, form)
    refuse_absent({origin: table.column_names}, form, origin)
    found = usable(observation_columns(table.column_names, form, origin), table.schema, form, True)
    say(found, table.column_names, origin)
    rows = Named(plain(table.select(list(dict.fromkeys(found.values()))), origin), found, form, origin)
    seen, dropped = observations_of(rows)
    stated = Stated()
    stated.add(*stated_in_rows(rows))
    seen, repeated = joined([seen])
    return pack(stated.of(sorted(set(stated.ids) - {""})), seen, form, origin, sum_dropped([dropped, repeated]))


def _columns(files: Sequence[Path]) -> dict[str, list[str]]:
    return {str(file): schema_of(file).names for file in files}


def _zero_points(path: Path) -> str | None:
    """The column with the zero points that SNANA states for FLUXCAL."""
    return next((name for name in schema_of(path).names if plain_name(name) == SNANA_ZERO_POINT), None)


def _refuse_zero_points(path: Path) -> None:
    """Raise ValueError if a table of objects says that the fluxes in another table are at another zero point than 27.5."""
    name = _zero_points(path)
    if name is None:
        return
    stated = known_numbers(numbers(column_values(read_table(path, [name])[name]), name, str(path)))
    other = stated[np.isfinite(stated) & (stated != ZERO_POINT)]
    if len(other):
        raise ValueError(
            f"{path}: column {name} says that fluxes are at zero point {other[0]:g}: add this column to the table of observations, or give the unit "
            f"with {GIVE_UNIT}"
        )


def _refuse_limits_alone(tables: Mapping[str, Sequence[str]], form: Form) -> None:
    """Raise ValueError if none of these tables, name -> its columns, has a flux or a magnitude."""
    found = [observation_columns(list(columns), form, origin) for origin, columns in tables.items()]
    if not any({"flux", "mag"} & set(each) for each in found):
        origin, columns = next(iter(tables.items()))
        raise ValueError(
            f"{origin} holds limiting magnitudes and no flux or magnitude by name; it has {listed(columns)}: "
            f"name yours with {naming('flux')} and flux_err, or mag and mag_err"
        )


def _read(path: Path, form: Form, choose: Callable[[list[str], Form, str], dict[str, str]]) -> Named:
    """Those columns of a file that its role needs."""
    schema = schema_of(path)
    found = usable(choose(schema.names, form, str(path)), schema, form, choose is observation_columns)
    say(found, schema.names if choose is observation_columns else [], str(path))
    text = [column for name, column in found.items() if name in TEXT or name.startswith((FLAG, CONTEXT))]
    number = [column for name, column in found.items() if name in NUMBERS]
    table = read_table(path, list(dict.fromkeys(found.values())), text, number, [found["object_id"]])
    return Named(table, found, form, str(path))
