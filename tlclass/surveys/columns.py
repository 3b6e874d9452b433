"""What tables call their columns, and how their values become ours: one set of rules for every table."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tlclass.lightcurves import OBJECT_NUMBERS
from tlclass.passbands import Passbands

log = logging.getLogger(__name__)
Array = npt.NDArray[Any]

# Ours: what files call it, the first present is taken. ZTF alerts (objectId, jd, fid, magpsf ...), ANTARES (ant_...),
# ALeRCE (oid, e_mag), Fink (i:...), Lasair (unforced mag), Rubin (diaObjectId, psfFlux), SNANA (SNID, FLUXCAL), PLAsTiCC.
ALIASES: dict[str, tuple[str, ...]] = {
    "object_id": (
        "objectId",
        "i:objectId",
        "ztf_object_id",
        "oid",
        "diaObjectId",
        "locus_id",
        "ZTFID",
        "SNID",
        "objname",
    ),
    "mjd": ("ant_mjd", "midpointMjdTai", "midPointTai", "i:midpointMjdTai", "time"),
    "jd": ("i:jd", "ztf_jd"),
    "band": ("fid", "i:fid", "ant_passband", "passband", "filter", "filterName", "i:band", "FLT", "ztf_fid"),
    "flux": ("FLUXCAL", "psfFlux", "psFlux", "i:psfFlux"),
    "flux_err": ("FLUXCALERR", "psfFluxErr", "psFluxErr", "i:psfFluxErr", "fluxerr", "flux_error"),
    "detected": ("detected_bool",),
    "mag": ("magpsf", "i:magpsf", "ant_mag", "unforced mag", "ztf_magpsf"),
    "mag_err": ("sigmapsf", "i:sigmapsf", "ant_magerr", "e_mag", "magerr", "unforced mag error", "ztf_sigmapsf"),
    "positive": ("isdiffpos", "i:isdiffpos", "ztf_isdiffpos", "unforced mag status"),
    "limit": ("diffmaglim", "i:diffmaglim", "ant_maglim"),
    "quality": ("d:tag", "tag"),
    "label": ("class", "type", "classification"),
    "mwebv": ("ebv", "E(B-V)"),
    "a_v": ("A_V",),
    "ra": ("ant_ra", "i:ra"),
    "dec": ("decl", "ant_dec", "i:dec"),
    "redshift": ("true_z", "REDSHIFT_FINAL", "z"),
    "trigger_mjd": (),
    "peak_mjd": (),
    "peak_time": ("peakt",),
}
AUTO = "auto"
NANOJANSKY = ("psfFlux", "psFlux", "i:psfFlux")  # columns that hold nJy by their name
MEASURED = ("flux", "mag", "limit")  # a table with one of these and a time is a table of observations
NAMES = tuple(ALIASES)
FLUX_UNITS = {"fluxcal": 1.0, "ujy": 10 ** (0.4 * (27.5 - 23.9)), "njy": 10 ** (0.4 * (27.5 - 31.4))}
JULIAN = -2400000.5  # from JD to MJD
LATEST = 200_000.0  # MJD of the year 2406
PEAK_ORIGIN = 2458000 + JULIAN  # the BTS explorer counts `peakt` from JD 2458000
SAME_EXPOSURE = 2e-5  # d; two seconds: no survey exposes one field twice in that time
POSITIVE = {"t", "true", "1", "1.0", "positive", "positive diff"}
NEGATIVE = {"f", "false", "0", "0.0", "-1", "-1.0", "negative", "negative diff"}


@dataclass(frozen=True)
class Columns:
    """How the columns of a table become ours.

    Attributes:
        passbands: to resolve band names.
        columns: our name -> the file's column; a name set to null is not read; one not listed, or set to `auto`, is found
            by `ALIASES`.
        extra: further object columns to keep where present.
        flux_unit: `fluxcal` (zero point 27.5 AB), `ujy`, `njy`, or a zero point (AB) as a number; null goes by the
            column's name (Rubin's psfFlux is nJy, all others fluxcal). Magnitudes are AB and need none.
        time_offset: days to add to get MJD; columns called jd need none.
    """

    passbands: Passbands
    columns: Mapping[str, str | None] = field(default_factory=dict)
    extra: tuple[str, ...] = ()
    flux_unit: str | float | None = None
    time_offset: float = 0.0

    def __post_init__(self) -> None:
        """Refuse a column mapping for a name that is not ours."""
        strange = sorted(set(self.columns) - set(NAMES))
        if strange:
            raise ValueError(f"columns: {', '.join(strange)} is not a name of ours; those are {', '.join(NAMES)}")

    def find(self, name: str, present: Sequence[str]) -> str | None:
        """The file's column for one of our names, or None."""
        named = self.columns.get(name, AUTO)
        if named != AUTO:
            return named
        exact = [alias for alias in (name, *ALIASES[name]) if alias in present]
        if exact:
            return exact[0]
        loose = {column.strip().casefold(): column for column in reversed(present)}
        return next((loose[alias.casefold()] for alias in (name, *ALIASES[name]) if alias.casefold() in loose), None)

    def has_observations(self, present: Sequence[str]) -> bool:
        """Whether a table with these columns holds observations (a time and a measurement), or objects."""
        times = self.find("mjd", present) or self.find("jd", present)
        return bool(times) and any(self.find(name, present) in present for name in MEASURED)

    def observations(self, table: pa.Table, origin: str) -> tuple[dict[str, Array], dict[str, int]]:
        """Columns as `from_columns` wants them, and counts of rows left out by reason.

        Raises:
            ValueError: a column is missing or holds text where numbers belong, a band is unknown.
        """
        present = table.column_names
        magnitudes = self.find("flux", present) not in present and self.find("mag", present) in present
        measured = ("mag", "mag_err") if magnitudes else ("flux", "flux_err")
        time = "jd" if self.find("mjd", present) is None and self.find("jd", present) else "mjd"
        seen = self.values(table, origin, ("object_id", time, "band", *measured), ("detected", "positive", "quality"))
        found = {"object_id": seen["object_id"], "band": seen["band"], "mjd": self._number(seen, time, origin)}
        found["mjd"] = _mjd(found["mjd"] + self.time_offset + (JULIAN if time == "jd" else 0.0), origin)
        found |= self._from_magnitudes(seen, origin) if magnitudes else self._fluxes(seen, table, origin)
        if "detected" in seen:
            found["detected"] = self._number(seen, "detected", origin) > 0
        found, dropped = _without_limits(found, seen.get("quality"), bool(magnitudes))
        found["passband"] = self.passbands.codes(found.pop("band"), origin)
        if not magnitudes:
            return found, dropped
        found, repeated = one_per_exposure(found)
        return found, dropped | repeated

    def objects(self, table: pa.Table, origin: str) -> dict[str, Array]:
        """Object columns as `from_columns` wants them; a label of "-" is none.

        Raises:
            ValueError: a column is missing or holds text where numbers belong.
        """
        optional = ("label", *OBJECT_NUMBERS, "a_v", "peak_mjd", "peak_time", *self.extra)
        columns = self.values(table, origin, ("object_id",), optional)
        if "label" in columns:
            label = columns["label"].astype(str)
            columns["label"] = np.where(np.isin(label, ("-", "nan", "None")), "", label)
        for name in ("ra", "dec"):
            if name in columns:
                columns[name] = _degrees(columns[name], name)
        for name in (*OBJECT_NUMBERS, "a_v", "peak_mjd", "peak_time"):
            if name in columns:
                columns[name] = self._number(columns, name, origin)
        if "a_v" in columns:
            columns.setdefault("mwebv", columns["a_v"] / 3.1)
        if "peak_time" in columns:
            columns.setdefault("peak_mjd", columns.pop("peak_time") + PEAK_ORIGIN)
        if "trigger_mjd" in columns:
            columns["trigger_mjd"] = columns["trigger_mjd"] + self.time_offset
        return {name: column for name, column in columns.items() if name != "a_v"}

    def values(
        self, table: pa.Table, origin: str, required: Sequence[str], optional: Sequence[str]
    ) -> dict[str, Array]:
        """Our name -> values, of those columns that are there.

        Raises:
            ValueError: one is missing that is required or that the mapping names.
        """
        present = table.column_names
        wanted = {name: self.find(name, present) if name in ALIASES else name for name in (*required, *optional)}
        named = {name for name in optional if self.columns.get(name) not in (None, AUTO)}
        absent = [name for name in wanted if wanted[name] not in present and (name in required or name in named)]
        if absent:
            raise ValueError(
                f"{origin} lacks the column(s) {', '.join(f'{wanted[name] or name} ({name})' for name in absent)}; it has "
                f"{', '.join(present)}: name yours in the survey's card or with +target.reader.columns.{absent[0]}=COLUMN"
            )
        found = {name: column for name, column in wanted.items() if column in present}
        renamed = [
            f"{name} from {column}" for name, column in found.items() if column not in (name, self.columns.get(name))
        ]
        if renamed:
            log.info("%s: taking %s", origin, ", ".join(renamed))
        return {name: column_values(table[column]) for name, column in found.items()}

    def _number(self, columns: Mapping[str, Array], name: str, origin: str) -> Array:
        column = self.columns.get(name) or AUTO
        return numbers(columns[name], name if column == AUTO else column, origin)

    def _fluxes(self, seen: Mapping[str, Array], table: pa.Table, origin: str) -> dict[str, Array]:
        unit = self.flux_unit
        if unit is None:
            unit = "njy" if self.find("flux", table.column_names) in NANOJANSKY else "fluxcal"
        scale = flux_scale(unit)
        return {name: self._number(seen, name, origin) * scale for name in ("flux", "flux_err")}

    def _from_magnitudes(self, seen: Mapping[str, Array], origin: str) -> dict[str, Array]:
        """Difference magnitudes (AB) to flux; negative where the difference is, which is then no detection."""
        magnitude, error = (self._number(seen, name, origin) for name in ("mag", "mag_err"))
        positive = np.ones(len(magnitude), dtype=bool)
        if "positive" in seen:
            positive = _signs(seen["positive"], np.isfinite(magnitude), origin)
        else:
            log.info("%s has no isdiffpos: all differences are taken as positive", origin)
        size = 10 ** (-0.4 * (magnitude - 27.5))
        flux_err = size * error * np.log(10) / 2.5  # of a small error in magnitudes
        return {"flux": np.where(positive, size, -size), "flux_err": flux_err, "detected": positive}


def _mjd(values: Array, origin: str) -> Array:
    middle = np.nanmedian(values) if np.isfinite(values).any() else 0.0
    if middle > LATEST:
        raise ValueError(
            f"{origin}: its times are about {middle:.0f}, which is not MJD in days: set the reader's time_offset (Julian dates: {JULIAN})"
        )
    return values


def _without_limits(
    found: dict[str, Array], quality: Array | None, magnitudes: bool
) -> tuple[dict[str, Array], dict[str, int]]:
    """Leave out upper limits and what the broker calls bad."""
    tag = np.full(len(found["mjd"]), "") if quality is None else quality.astype(str)
    limit = (tag == "upperlim") | (magnitudes & np.isnan(found["flux"]) & np.isnan(found["flux_err"]))
    reasons = {"that are upper limits, without a flux": limit, "tagged badquality": (tag == "badquality") & ~limit}
    keep = ~np.logical_or.reduce(list(reasons.values()))
    dropped = {reason: int(np.count_nonzero(mask)) for reason, mask in reasons.items() if mask.any()}
    return {name: column[keep] for name, column in found.items()}, dropped


def one_per_exposure(found: dict[str, Array]) -> tuple[dict[str, Array], dict[str, int]]:
    """Brokers pass on the same alerts: of one object, band and exposure keep one row, whatever their order."""
    code = pa.array(found["object_id"]).dictionary_encode().indices.to_numpy(zero_copy_only=False)
    order = np.lexsort((found["flux_err"], found["flux"], found["mjd"], found["passband"], code))
    same = np.diff(code[order]) == 0
    same &= np.diff(found["passband"][order].astype(int)) == 0
    same &= np.diff(found["mjd"][order]) < SAME_EXPOSURE
    fresh = order[np.append(True, ~same)[: len(order)]]
    repeated = {"that repeat the same exposure": len(order) - len(fresh)} if same.any() else {}
    return {name: column[np.sort(fresh)] for name, column in found.items()}, repeated


def _signs(given: Array, measured: Array, origin: str) -> Array:
    """(n,) bool from `isdiffpos`: t, true, 1, positive, or f, false, 0, -1, negative."""
    values, index = np.unique(given.astype(str), return_inverse=True)
    known = [value.strip().casefold() in POSITIVE for value in values]
    odd = [value for value in values if value.strip().casefold() not in POSITIVE | NEGATIVE]
    unknown = np.isin(given.astype(str), odd) & measured
    if unknown.any():
        raise ValueError(f"{origin}: isdiffpos is '{given[unknown][0]}': it must be t, true or 1, or f, false, 0 or -1")
    return np.array(known, dtype=bool)[index] if len(values) else np.ones(0, dtype=bool)


def _degrees(values: Array, name: str) -> Array:
    """Sexagesimal text (hours for ra) to degrees; numbers as they are."""
    if values.dtype != object or not any(":" in str(value) for value in values[:10]):
        return values
    from astropy.coordinates import Angle

    known = np.array([":" in str(value) for value in values])
    degrees = np.full(len(values), np.nan)
    degrees[known] = Angle(values[known].astype(str), unit="hourangle" if name == "ra" else "deg").degree
    return degrees


def column_values(column: pa.ChunkedArray) -> Array:
    """Values as numpy: numbers as they are (missing = NaN), everything else as str."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_boolean(column.type):
        return np.asarray(column.fill_null(False).to_numpy())
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type) or pa.types.is_string_view(column.type):
        return np.asarray(column.fill_null("").to_numpy())
    return np.asarray(column.to_numpy())


def numbers(values: Array, name: str, origin: str) -> Array:
    """Values as float64; empty text and "-" are NaN.

    Raises:
        ValueError: a value is not a number; names the column and the first such row.
    """
    try:
        if values.dtype == object:
            return np.where(np.isin(values, ("", "-")), "nan", values).astype(np.float64)
        return values.astype(np.float64)
    except ValueError:
        row = next(row for row, value in enumerate(values) if not _is_number(value))
        raise ValueError(f"{origin}: column {name}, row {row + 1}: '{values[row]}' is not a number") from None


def flux_scale(unit: str | float) -> float:
    """Factor from a flux unit, or an AB zero point, to zero point 27.5.

    Raises:
        ValueError: the unit is unknown.
    """
    if isinstance(unit, int | float):
        return float(10 ** (0.4 * (27.5 - unit)))
    if unit.lower() not in FLUX_UNITS:
        raise ValueError(
            f"flux unit '{unit}': choose one of {', '.join(FLUX_UNITS)}, or give the AB zero point as a number"
        )
    return float(FLUX_UNITS[unit.lower()])


def _is_number(value: object) -> bool:
    try:
        float(value)  # type: ignore[arg-type]
    except ValueError:
        return value in ("", "-")
    return True
