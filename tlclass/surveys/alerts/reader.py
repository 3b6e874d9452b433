"""Alert packets as ZTF and Rubin send them, many per object, merged into one light curve each."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from tlclass.arrays import Array
from tlclass.lightcurves.curves import HOST_NUMBERS, LightCurves, from_columns, settled
from tlclass.lightcurves.passbands import Passbands
from tlclass.lightcurves.photometry import ZERO_POINTS, known_times, no_dates, one_per_exposure, zero_point_of
from tlclass.lightcurves.voids import blank
from tlclass.quoting import listed, sentence, shortened
from tlclass.surveys.alerts.files import packet_files, packets_in
from tlclass.surveys.alerts.packets import (
    FAULTS,
    FINE,
    OLD_FLUX,
    RUBIN_UNIT,
    Head,
    Packet,
    Row,
    is_rubin,
    is_ztf,
    rubin,
    ztf,
)
from tlclass.surveys.alerts.parsed import HEAD, ROW, Parsed, in_parts
from tlclass.surveys.alerts.tables import packets_of
from tlclass.surveys.parallel import in_order
from tlclass.surveys.saying import Together, tell
from tlclass.surveys.tables.cells import column_values
from tlclass.surveys.tables.files import read_table, refuse_prediction, schema_of
from tlclass.surveys.tables.units import say_depth
from tlclass.wording import option

log = logging.getLogger(__name__)

SYSTEMS = {"ZTF": "ztf", "Rubin": "lsst"}  # survey -> the photometric system of its filters


@dataclass(frozen=True)
class AlertPackets:
    """Reads alerts: Avro, or Parquet with a row per packet; one file, a folder, or a tar archive (`.tar`, `.tar.gz`, `.tgz`).

    ZTF (Bellm et al. 2019; github.com/ZwickyTransientFacility/ztf-avro-alert): `candidate`, `prv_candidates`,
    and `fp_hists` from schema 4 on. Rubin (github.com/lsst/alert_packet, every schema of 3.0 to 11.1): `diaSource`,
    `prvDiaSources`, `prvDiaForcedSources`; packets without a diaObject (solar system) are left out and
    counted. All fluxes are of the difference image, AB, not corrected for extinction; a negative difference has
    negative flux and is no detection. Times are MJD (ZTF: UTC, start of the exposure; Rubin: TAI, mid-visit; the
    37 s between the scales are nothing here). `trigger_mjd` is `firstDiaSourceMjdTai` where a Rubin packet has
    it and unknown for ZTF, whose `jdstarthist` counts one field and readout channel only. mwebv is unknown.

    Histories overlap: of one exposure (`tlclass.lightcurves.photometry.one_per_exposure`) one row is kept. A detection
    goes before forced photometry, because its value is there when the alert is sent and later packets do not
    change it; of several packets the newest is right. The rest is counted in `dropped`.

    Attributes:
        path: the file, folder or archive.
        passbands: to resolve band names: g, r, i of ZTF, ugrizy of Rubin.
        forced: whether to read forced photometry; without a detection at its exposure it is not `detected`.
        labels: CSV or Parquet with the classes; then only the objects in it are read.
        label_columns: its columns of object id and label.
        schema: `.avsc` of the alert, for packets as Kafka sends them (a zero byte, a schema id, no schema).
        zero_point: flux unit or AB zero point of Rubin fluxes; None: nJy, which psfFlux means; psFlux, its old name, only
            in the schemas named `lsst.`.
        unknown_passbands: `error`, or `drop` to leave out their rows with a count.
    """

    path: Path
    passbands: Passbands
    forced: bool = True
    labels: Path | None = None
    label_columns: Sequence[str] = ("object_id", "label")
    schema: Path | None = None
    zero_point: str | float | None = None
    unknown_passbands: str = "error"

    @staticmethod
    def accepts(path: Path) -> list[Path]:
        """The packet files and archives at or below a path."""
        return packet_files(path)

    def files(self) -> list[Path]:
        """The packet files and archives, and the label table and schema if there are any.

        Raises:
            FileNotFoundError: one is missing, or the folder holds no packets.
        """
        named = [Path(file) for file in (self.labels, self.schema) if file is not None]
        for file in named:
            if not file.is_file():
                raise FileNotFoundError(f"no file {file}: correct the reader's labels or schema, or leave it out")
        return [*self._packet_files(), *named]

    def read(self) -> LightCurves:
        """All objects of all packets, sorted by id.

        Raises:
            FileNotFoundError: see `files`.
            ModuleNotFoundError: fastavro is not installed.
            ValueError: a file is damaged or not an alert, a band is unknown, two surveys are mixed, or a zero point is
                given for ZTF.
        """
        self.files()
        files = self._packet_files()
        size = sum(file.stat().st_size for file in files)
        return self.merged(list(in_order(self._parse, files, Path(self.path).name, size)))

    def read_parts(self, rows: int) -> Iterator[LightCurves]:
        """What `read` reads, about so many rows of packets at a time, in order of the ids; packets in excess wait in temporary files.

        Raises:
            FileNotFoundError, ModuleNotFoundError, ValueError: see `read`.
        """
        self.files()
        files = self._packet_files()
        size = sum(file.stat().st_size for file in files)
        together = Together()

        def merged(parts: Sequence[Parsed], part: bool) -> LightCurves:
            with together:
                return self.merged(parts, part)

        labelled = 0
        for curves in in_parts(in_order(self._parse, files, Path(self.path).name, size), rows, merged):
            labelled += len(curves)
            yield curves
        together.log()
        if self.labels is not None and not labelled:
            raise ValueError(f"{self.labels}: none of its objects is among those of {self.path} and has a label")

    def read_table(self, table: pa.Table) -> LightCurves:
        """The same of a table in memory with a row per packet; `path` is what messages call it."""
        packets = ((str(self.path), "", packet) for packet in packets_of(table))
        return self.merged([self._gathered(packets, Path(self.path))])

    def merged(self, parts: Sequence[Parsed], part: bool = False) -> LightCurves:
        """Light curves of the packets of all files, or of a part of the objects in them.

        Raises:
            ValueError: two surveys are mixed, a zero point is given for ZTF, a band is unknown, or nothing is left.
        """
        surveys = sorted({survey for part in parts for survey in part.surveys})
        if len(surveys) > 1:
            raise ValueError(
                f"{self.path} holds packets of {' and '.join(surveys)}: read each survey from its own folder"
            )
        if surveys == ["ZTF"] and self.zero_point is not None:
            raise ValueError(
                f"{self.path} holds packets of ZTF, which state magnitudes and their own zero points: leave out the zero point "
                "(--flux-unit, or the reader's zero_point)"
            )
        heads, rows = _joined(parts)
        orphans = sum(part.orphans for part in parts)
        if orphans:
            message = "%s: left out %d packets without a diaObject (solar system)"
            tell(log, logging.WARNING, message, str(self.path), counts=(orphans,))
        if not len(heads):
            raise ValueError(
                f"{self.path}: none of its {orphans} packets belongs to an object outside the solar system"
            )
        return self._light_curves(heads, rows, surveys[0], part)

    def _packet_files(self) -> list[Path]:
        files = packet_files(Path(self.path))
        if not files:
            what = "folder" if Path(self.path).is_dir() else "file"
            raise FileNotFoundError(
                f"no alert packets at {self.path} (a {what}): give an .avro file, a folder that holds some, or a .tar or .tar.gz of them"
                if Path(self.path).exists()
                else f"no file or folder {self.path}: set paths.data=FOLDER or the reader's path to the alert packets"
            )
        return files

    def _light_curves(self, heads: Array, rows: Array, survey: str, part: bool) -> LightCurves:
        names, owner = np.unique(heads["object_id"].astype(str), return_inverse=True)
        message = "%s: %d packets of %d objects (%s)"
        tell(log, logging.INFO, message, str(self.path), survey, counts=(len(heads), len(names)))
        objects = {"object_id": names, **_newest_heads(heads, owner)}
        if self.labels is not None:
            objects["label"] = self._labels(names, part)
            labelled = objects["label"] != ""
            objects = {name: column[labelled] for name, column in objects.items()}
            rows = rows[labelled[owner[rows["packet"]]]]
        rows, dropped = _one_row_per_exposure(rows, owner, heads["issued"])
        codes, known, unknown = self.passbands.resolved(
            self._bands(rows, survey), str(self.path), self.unknown_passbands
        )
        if unknown:
            rows, codes, dropped = rows[known], codes[known], {**dropped, **unknown}
        observations = {name: rows[name] for name in ("mjd", "flux", "flux_err", "detected")}
        mjd = known_times(rows["mjd"])
        observations["mjd"] = np.where(mjd > 0, mjd, np.nan)  # codes among Julian dates are far below zero here
        odd = observations["mjd"][no_dates(observations["mjd"])]
        if len(odd):  # Rubin's sample packets have seconds
            message = "%s: %d of %d times are not Modified Julian Dates, e.g. %.15g"
            tell(log, logging.WARNING, message, str(self.path), odd[0], counts=(len(odd), len(rows)))
        observations["object_id"] = names[owner[rows["packet"]]]
        observations["passband"] = codes
        if self.zero_point is not None:
            say_depth(observations, codes, _NAMES, self.passbands.names, str(self.path))
        return from_columns(objects, observations, self.passbands.names, str(self.path), dropped, part)

    def _bands(self, rows: Array, survey: str) -> Array:
        """(n,) object, names of the passbands in the system of the survey."""
        given, number = np.unique(rows["band"], return_inverse=True)
        names = [self.passbands.called(name.decode(errors="replace"), SYSTEMS[survey]) for name in given.tolist()]
        return np.array(names, dtype=object)[number]

    def _labels(self, names: Array, part: bool) -> Array:
        """(n,) str, the label of each object, empty where the table has none or a blank or "-"."""
        path = Path(self.labels or "")
        present = schema_of(path).names
        refuse_prediction(path, present)
        absent = [name for name in self.label_columns if name not in present]
        if absent:
            raise ValueError(
                f"{path} lacks the column(s) {', '.join(absent)}; it has {listed(present)}: set the reader's label_columns"
            )
        table = read_table(path, self.label_columns, text=self.label_columns, ids=self.label_columns[:1])
        ids, values = (np.char.strip(column_values(table[name]).astype(str)) for name in self.label_columns)
        repeated = len(ids) - len(set(ids))
        if repeated:
            raise ValueError(f"{path}: {repeated} object id(s) are repeated: every object must have one label")
        values[blank(values)] = ""
        known = dict(zip(ids.tolist(), values.tolist(), strict=True))
        labels = np.array([known.get(name, "") for name in names.tolist()])
        found = np.count_nonzero(labels != "")
        if not found and not part:
            raise ValueError(
                f"{path}: none of its {len(ids)} objects is among the {len(names)} objects of {self.path} and has a label: "
                f"one of the table is '{ids[0] if len(ids) else ''}', one of the packets '{names[0]}'"
            )
        message = "%s: %d of %d objects have a label in %s; the others are left out"
        tell(log, logging.INFO, message, str(self.path), path, counts=(int(found), len(names)))
        return labels

    def _parse(self, file: Path) -> Parsed:
        """All packets of one file or archive."""
        return self._gathered(packets_in(file, self.schema), file)

    def _gathered(self, packets: Iterable[tuple[str, str, Packet]], file: Path) -> Parsed:
        heads: list[Head] = []
        rows: list[Array] = [np.empty(0, dtype=ROW)]
        surveys: set[str] = set()
        orphans = total = 0
        for origin, name, packet in packets:
            total += 1
            survey, head, seen = self.convert(name, packet, origin)
            surveys.add(survey)
            if head is None:
                orphans += 1
                continue
            rows.append(np.array([(len(heads), *row) for row in seen], dtype=ROW))
            heads.append(head)
        if not total:
            raise ValueError(f"{file} holds no alert packet: it is empty or truncated; get it again, or remove it")
        return Parsed(frozenset(surveys), np.array(heads, dtype=HEAD), np.concatenate(rows), orphans)

    def convert(self, name: str, packet: Packet, origin: str) -> tuple[str, Head | None, list[Row]]:
        """Survey, head and rows of a packet; no head if it is of no object.

        Args:
            name: of its schema. packet: its content. origin: what to call it in messages.

        Raises:
            ValueError: it is no packet of ZTF or Rubin.
        """
        known = packet if isinstance(packet, dict) else {}
        if not is_ztf(known) and not is_rubin(known):
            raise ValueError(
                f"{origin} is not an alert of ZTF (objectId, candidate) or Rubin (diaSource): its record '{shortened(name)}' has {listed(known) or 'nothing'}"
            )
        zero_point = self._zero_point(name, known, origin) if is_rubin(known) else None
        try:
            if zero_point is None:
                return "ZTF", *ztf(packet, self.forced)
            return "Rubin", *rubin(packet, self.forced, zero_point)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise ValueError(
                f"{origin} is not laid out as a ZTF or Rubin alert ({type(error).__name__}: {sentence(error, 200)}): if a broker changed it, give "
                "its photometry as a table (object_id, mjd, band, flux, flux_err)"
            ) from error

    def _zero_point(self, name: str, packet: Packet, origin: str) -> float:
        if self.zero_point is not None:
            return zero_point_of(self.zero_point)
        if OLD_FLUX in (packet["diaSource"] or {}) and not name.startswith("lsst."):
            raise ValueError(
                f"{origin}: schema '{name}' is not Rubin's own, so the unit of {OLD_FLUX} is not known (ELAsTiCC: fluxcal; ELAsTiCC2: njy): give it with "
                f"{option('--flux-unit UNIT', 'zero_point=UNIT')}, one of {', '.join(ZERO_POINTS)} or the AB zero point"
            )
        return zero_point_of(RUBIN_UNIT)


_NAMES = {"flux": "the flux of diaSource", "flux_err": "psfFluxErr"}  # in messages


def _joined(parts: Sequence[Parsed]) -> tuple[Array, Array]:
    """Heads and rows of all files; `packet` counts through."""
    before = np.cumsum([0, *(len(part.heads) for part in parts)])
    rows = np.concatenate([part.rows for part in parts])
    rows["packet"] += np.repeat(before[:-1], [len(part.rows) for part in parts])
    return np.concatenate([part.heads for part in parts]), rows


def _newest_heads(heads: Array, owner: Array) -> dict[str, Array]:
    """Per object what its newest packet says, and the best redshift of its host; ties are broken by value, so that the order of files does not matter."""
    order = np.lexsort((heads["dec"], heads["ra"], heads["issued"], owner))
    last = order[np.append(np.diff(owner[order]) > 0, True)]
    hosts = settled({name: heads[name] for name in HOST_NUMBERS}, owner, len(last))
    newest = {name: heads[name][last] for name in ("ra", "dec", "trigger_mjd")}
    return newest | {name: hosts[name] for name in HOST_NUMBERS}


def _one_row_per_exposure(rows: Array, owner: Array, issued: Array) -> tuple[Array, dict[str, int]]:
    """The best row of each exposure, see `AlertPackets`, and how many others there were and why they are not kept."""
    _, band = np.unique(rows["band"], return_inverse=True)
    series = owner[rows["packet"]].astype(np.int64) * 256 + band
    mjd, flux, error, detected = (rows[name] for name in ("mjd", "flux", "flux_err", "detected"))
    best = rows[one_per_exposure(series, mjd, flux, error, detected, rows["rank"], -issued[rows["packet"]])]
    dropped = {"that repeat an exposure of another packet or list": len(rows) - len(best)}
    dropped |= {reason: int(np.count_nonzero(best["fault"] == fault)) for fault, reason in enumerate(FAULTS) if fault}
    return best[best["fault"] == FINE], {reason: count for reason, count in dropped.items() if count}
