"""From what a source hands over (packets, rows of tables, bytes) to arrivals, or to a reason why not."""

import io
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tlclass.lightcurves.curves import LONGEST_TEXT
from tlclass.lightcurves.passbands import Passbands
from tlclass.lightcurves.photometry import ZERO_POINT, depth_offset, detected_by_snr, zero_point_of
from tlclass.quoting import as_text, listed, sentence, shortened
from tlclass.streaming.arrivals import ABOUT, SEEN, UNKNOWN, Arrival, packet_times
from tlclass.surveys import AlertPackets
from tlclass.surveys.alerts.files import CONFLUENT, CONTAINER, decoded
from tlclass.surveys.alerts.packets import FINE, Head, Row, is_rubin, is_ztf, of_lasair
from tlclass.surveys.alerts.parsed import ROW
from tlclass.surveys.alerts.reader import SYSTEMS
from tlclass.surveys.saying import say_unread_flags
from tlclass.surveys.tables.columns import Form, refuse_absent
from tlclass.surveys.tables.facts import Facts
from tlclass.surveys.tables.kinds import plain
from tlclass.surveys.tables.lists import holds_lists
from tlclass.surveys.tables.measured import has_photflag, measured
from tlclass.surveys.tables.named import Named
from tlclass.surveys.tables.observations import converted, observation_columns
from tlclass.surveys.tables.quantities import stated_in_rows, usable
from tlclass.surveys.tables.units import judge_depth, only_unit, say_default, say_depth

log = logging.getLogger(__name__)
Packet = Mapping[str, Any]

ROWS = "rows of a table"
ENOUGH = 50  # rows by which the unit is judged
NEITHER = "it is neither JSON nor an Avro file: if it is an alert that Kafka sends without its schema, as Fink does, give that with --schema FILE.avsc"


class Unreadable(ValueError):
    """Nothing of a source can be read, whatever comes."""


# nothing is wrong with one item: a package is missing, the disk or network fails, or all items are alike
PASSING = (ImportError, OSError, Unreadable)


@dataclass(frozen=True)
class Rejected:
    """What cannot be used: where it came from, why, and itself."""

    origin: str
    reason: str
    content: bytes = b""


@dataclass(frozen=True)
class Nameless:
    """A packet of no object (solar system), or rows that measure nothing; nothing is wrong with it."""

    origin: str


Read = Arrival | Rejected | Nameless


class Reading:
    """Turns packets and rows into arrivals, by the rules of the readers of files.

    Args:
        packets: the reader of alert packets; its passbands hold for rows too.
        form: how the columns of tables become ours.
    """

    def __init__(self, packets: AlertPackets, form: Form):
        self.packets, self.form = packets, form
        self.survey: str | None = None
        self._said_unit = self._said_absent = self._said_flags = False
        self._first: list[tuple[Any, Any, Any]] = []
        self._bright = 0  # rows of flux / error of a detection that PHOTFLAG does not call one; -1: it called one so
        self._codes: dict[tuple[str, bytes], int] = {}

    def content(self, content: bytes, origin: str) -> Iterator[Read]:
        """A message: an Avro packet (whole files, or without their schema), or JSON of packets or of rows."""
        is_json = content.lstrip()[:1] in (b"{", b"[")
        try:
            if content.startswith((CONTAINER, CONFLUENT)) or (self.packets.schema is not None and not is_json):
                for name, packet in decoded(io.BytesIO(content), origin, self.packets.schema):
                    yield self.packet(name, packet, origin)
                return
            found = json.loads(content)
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            yield Rejected(origin, f"it is not valid JSON ({sentence(error)})" if is_json else NEITHER, content)
            return
        except PASSING:
            raise
        except Exception as error:
            yield Rejected(origin, sentence(error), content)
            return
        for each in found if isinstance(found, list) else [found]:
            if isinstance(each, dict):
                yield from self._record(each, origin)
            else:
                yield Rejected(origin, "it is JSON of neither a packet nor a row of a table", content)

    def _record(self, record: Packet, origin: str) -> Iterator[Read]:
        """A record of JSON: a packet, or a row of a table."""
        try:
            packet = of_lasair(record)
        except (KeyError, TypeError, ValueError) as error:
            yield Rejected(origin, f"it is not laid out as Lasair's records are ({sentence(error)})", _as_bytes(record))
            return
        if is_ztf(packet) or is_rubin(packet):
            yield self.packet("", packet, origin)
        else:
            yield from self.rows([packet], origin)

    def packet(self, name: str, packet: Packet, origin: str) -> Read:
        """One alert packet, and the name of its schema."""
        try:
            survey, head, rows = self.packets.convert(name, packet, origin)
            if self.survey not in (None, survey):
                raise ValueError(
                    f"{origin} is a packet of {survey} in a stream of {self.survey}: start one for each survey"
                )
            if head is None:
                return Nameless(origin)
            arrival = self._arrival(survey, head, rows, origin)
        except PASSING:
            raise
        except Exception as error:
            return Rejected(origin, sentence(error), _as_bytes(packet))
        self.survey = survey
        return arrival

    def _arrival(self, survey: str, head: Head, rows: Sequence[Row], origin: str) -> Arrival:
        given = np.array([(0, *row) for row in rows], dtype=ROW)
        seen = np.empty(len(given), SEEN)
        for name in ("flux", "flux_err", "detected", "rank", "fault"):
            seen[name] = given[name]
        seen["mjd"] = packet_times(given["mjd"])
        seen["band"] = [self._code(survey, band) for band in given["band"].tolist()]
        seen["issued"] = head[1]
        strange = (seen["band"] == UNKNOWN) & (seen["fault"] == FINE) & np.isfinite(seen["flux"])
        if strange.any() and self.packets.unknown_passbands == "error":
            self.packets.passbands.codes(given["band"][strange].astype(str).astype(object), origin)
        _refuse_id(head[0], origin)
        return Arrival(head[0], seen[np.isfinite(seen["mjd"])], (*head[1:], np.nan, np.nan), origin)

    def _code(self, survey: str, band: bytes) -> int:
        if (survey, band) not in self._codes:
            passbands: Passbands = self.packets.passbands
            known = passbands.resolve(passbands.called(band.decode(), SYSTEMS[survey]))
            self._codes[survey, band] = UNKNOWN if known is None else passbands.names.index(known)
        return self._codes[survey, band]

    def rows(self, rows: Sequence[Mapping[str, Any]], origin: str) -> Iterator[Read]:
        """Rows of a table of observations as mappings."""
        try:
            table = pa.Table.from_pylist([dict(row) for row in rows])
        except (pa.ArrowException, TypeError, OverflowError) as error:
            why = f"it cannot be made a table ({sentence(error)}): give a row for each observation, with a number or a text in each cell"
            yield Rejected(origin, why, _as_bytes(rows))
            return
        yield from self.table(table, origin)

    def table(self, table: pa.Table, origin: str) -> Iterator[Read]:
        """Rows of a table of observations, one arrival each; if one of them is wrong, the others are right all the same."""
        try:
            found = list(self._converted(table, origin))
        except PASSING:
            raise
        except Exception as error:
            if len(table) > 1:
                for row in range(len(table)):
                    yield from self.table(table.slice(row, 1), origin)
                return
            found = [Rejected(origin, sentence(error), _as_bytes(table.to_pylist()))]
        yield from found

    def _converted(self, table: pa.Table, origin: str) -> Iterator[Read]:
        refuse_lists(table.schema, ROWS)
        found = usable(observation_columns(table.column_names, self.form, ROWS), table.schema, self.form, True)
        self._say_absent(table.column_names)
        self._said_flags = self._said_flags or say_unread_flags(table.column_names, found.values(), ROWS)
        given = Named(plain(table.select(list(dict.fromkeys(found.values()))), ROWS), found, self.form, ROWS)
        rows = measured(given)
        facts = Facts(self._unit(rows.rows), relative=False, rounded=False, signed=rows.signed, bits=True)
        if rows.need_sign and rows.have_none and ("is_positive" in found or not rows.signed):
            raise ValueError(
                "nothing says whether its difference is positive or negative (isdiffpos): state --positive if all are"
            )
        seen, _ = converted(rows, facts, part=True)
        if given.kind == "flux":
            self._judge_unit(seen, found, facts.unit)
        if has_photflag(found):
            self._say_no_bits(seen)
        good = np.isfinite(seen["mjd"]) & (seen["object_id"].astype(str) != "")
        kept = np.zeros(len(good), SEEN)
        for name in ("mjd", "flux", "flux_err", "detected"):
            kept[name] = seen[name]
        kept["band"] = seen["passband"]
        kept["rank"] = ~(np.isfinite(seen["flux"]) & (seen["flux_err"] > 0))
        about = _about(given)
        for row in np.flatnonzero(good).tolist():
            _refuse_id(str(seen["object_id"][row]), origin)
            name = str(seen["object_id"][row])
            yield Arrival(name, kept[row : row + 1], about[name], origin)
        for _ in range(len(table) - int(np.count_nonzero(good))):
            yield Nameless(origin)

    def _judge_unit(self, seen: Mapping[str, Any], found: Mapping[str, str], unit: str | float | None) -> None:
        """Judge once, by the first rows, a unit in which the errors are far from the depth of the survey, as that of a table is.

        Raises:
            Unreadable: a table in this unit would be refused.
        """
        if not len(seen["passband"]) or sum(len(band) for _, _, band in self._first) >= ENOUGH:
            return
        self._first.append((seen["flux"], seen["flux_err"], seen["passband"]))
        flux, flux_err, band = (np.concatenate(each) for each in zip(*self._first, strict=True))
        if len(band) < ENOUGH:
            return
        value, names = {"flux": flux, "flux_err": flux_err}, self.form.passbands.names
        try:
            if self._said_unit and unit is not None:
                offset = depth_offset(flux_err, band, names)
                given = None if offset is None else offset + ZERO_POINT - zero_point_of(unit)
                say_default(unit, given, value, found["flux"], ROWS)
                return
            if self.form.flux_unit is None:
                judge_depth(value, band, found, unit, names, ROWS)
        except ValueError as error:
            raise Unreadable(f"{error}; and give an empty --state: the first {len(band)} rows were read") from error
        say_depth(value, band, found, names, ROWS)

    def _say_no_bits(self, seen: Mapping[str, Any]) -> None:
        """Warn once where PHOTFLAG calls none of the first bright rows a detection: a whole table would be decided by flux / error."""
        if 0 <= self._bright < ENOUGH:
            bright = int(np.count_nonzero(detected_by_snr(seen["flux"], seen["flux_err"], self.form.detection_snr)))
            self._bright = -1 if seen["detected"].any() else self._bright + bright
            if self._bright >= ENOUGH:
                log.warning(
                    "PHOTFLAG calls none of the first %d rows with flux / error of %g or more a detection: if it never does, give --column detected=null",
                    self._bright, self.form.detection_snr,
                )  # fmt: skip

    def _say_absent(self, columns: Sequence[str]) -> None:
        """Warn once of a named column that says something of an object and that a row lacks; other rows of the object may have it."""
        if self._said_absent:
            return
        try:
            refuse_absent({ROWS: columns}, self.form, ROWS)
        except ValueError as error:
            log.warning("%s; rows without it are used all the same", error)
            self._said_absent = True

    def _unit(self, rows: Named) -> str | float | None:
        found = rows.found
        if rows.kind != "flux":
            return None
        unit = self.form.stated_unit(found)
        if unit is None and "flux_unit" in found:
            unit = only_unit(rows["flux_unit"], found["flux_unit"], ROWS)
        if unit is None and "zero_point" not in found:
            unit = self.form.default_unit
            if unit is None:
                raise ValueError(
                    f"nothing states the unit of {found['flux']}: name it flux_ujy, add flux_unit or zp, or give --flux-unit"
                )
            if not self._said_unit:
                log.warning(
                    "nothing states the unit of %s: it is taken as %s, the model's own; if that is wrong, give --flux-unit UNIT",
                    found["flux"], unit,
                )  # fmt: skip
                self._said_unit = True
        return unit


def _about(rows: Named) -> dict[str, tuple[float, ...]]:
    """What the rows state of each object."""
    ids, stated = stated_in_rows(rows)
    known = {"issued": np.zeros(len(ids)), **stated}
    unknown = np.full(len(ids), np.nan)
    values = np.stack([known.get(name, unknown) for name in ABOUT], axis=1).tolist()
    return {name: tuple(row) for name, row in zip(ids, values, strict=True)}


def for_model(passbands: Passbands, settings: Mapping[str, Any], schema: Path | None = None) -> Reading:
    """How a model's stream is read.

    Args:
        passbands: of the model. settings: as of `tlclass.surveys.door.reader_settings`. schema: see `AlertPackets`.
    """
    unknown = settings.get("unknown_passbands", "error")
    packets = AlertPackets(
        Path("the stream"), passbands, settings.get("forced", True), schema=schema, zero_point=settings.get("flux_unit"),
        unknown_passbands=unknown,
    )  # fmt: skip
    of_tables = {field.name for field in fields(Form)}
    form = Form(passbands, **{name: value for name, value in settings.items() if name in of_tables and name != "extra"})
    return Reading(packets, form)


def refuse_lists(schema: pa.Schema, origin: str) -> None:
    """Raise ValueError if a table holds whole light curves: a stream takes one observation, or one packet, after the other."""
    lists = [name for name in schema.names if holds_lists(schema.field(name).type)]
    if lists:
        raise ValueError(
            f"{origin} holds light curves in lists ({listed(lists)}): give a row for each observation; tlclass predict reads such lists in Parquet"
        )


def _refuse_id(name: str, origin: str) -> None:
    """Raise ValueError for an id that no survey gives."""
    if not name.isprintable() or not 0 < len(name) <= LONGEST_TEXT:
        raise ValueError(
            f"{origin}: '{shortened(name)}' is not an object id: give 1 to {LONGEST_TEXT} printable characters"
        )


def _as_bytes(content: Any) -> bytes:
    return json.dumps(content, default=as_text).encode()
