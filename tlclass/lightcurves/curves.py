"""Light curves of many objects as one columnar, ragged table."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute

from tlclass.arrays import Array
from tlclass.lightcurves.photometry import MAG_RANGE, ZERO_POINT
from tlclass.quoting import listed, shortened

log = logging.getLogger(__name__)

OBSERVATION_DTYPES = {"mjd": np.float64, "flux": np.float32, "flux_err": np.float32, "detected": np.bool_}
NO_TIME = "with a missing or infinite time"
NO_ID = "without an object id"
TOO_BRIGHT = f"with a flux or error beyond that of magnitude {MAG_RANGE[0]} (no measurement)"
BRIGHTEST = 10 ** (0.4 * (ZERO_POINT - MAG_RANGE[0]))
SIMULATED = "simulated"  # extra column of files that `tlclass.simulate` writes: whether an object is simulated
LONGEST_TEXT = 256  # characters of an id or a label
HOST_NUMBERS = ("host_photoz", "host_photoz_err")
HOST_ERRORS = 0.001, 0.05  # over 1 + z: smallest, and that of a redshift whose error is not known
FARTHEST = 20.0  # beyond it is no redshift
# of an object, also read where they stand beside each of its observations
ROW_NUMBERS = ("mwebv", "redshift", *HOST_NUMBERS)
OBJECT_NUMBERS = ("mwebv", "ra", "dec", "redshift", *HOST_NUMBERS, "trigger_mjd")


@dataclass(frozen=True)
class LightCurves:
    """One flat array per observed quantity and offsets that delimit the objects.

    Observations `offsets[i]:offsets[i + 1]` belong to object `i`, in ascending time.

    Attributes:
        passbands: names; `passband` holds codes into this list.
        mjd: (n_obs,) float64, Modified Julian Date in days.
        passband: (n_obs,) uint8.
        flux: (n_obs,) float32 at zero point 27.5 AB (SNANA FLUXCAL).
        flux_err: (n_obs,) float32, same unit, > 0.
        detected: (n_obs,) bool, the survey's own detection flag.
        offsets: (n + 1,) int64.
        object_id: (n,) str, unique.
        label: (n,) str, the class as the survey states it; empty where unknown.
        mwebv: (n,) Milky Way E(B-V) in mag; NaN where unknown, as all that follow.
        ra: (n,) degrees.
        dec: (n,) degrees.
        redshift: (n,) measured in a spectrum, or the true one of a simulation.
        host_photoz: (n,) photometric redshift of the host galaxy.
        host_photoz_err: (n,) its standard deviation; see `known_hosts`.
        trigger_mjd: (n,) the survey's own trigger time.
        extra: further columns per object, (n,) each.
        dropped: reason -> number of raw observations that were dropped for it.
    """

    passbands: tuple[str, ...]
    mjd: Array
    passband: Array
    flux: Array
    flux_err: Array
    detected: Array
    offsets: Array
    object_id: Array
    label: Array
    mwebv: Array
    ra: Array
    dec: Array
    redshift: Array
    host_photoz: Array
    host_photoz_err: Array
    trigger_mjd: Array
    extra: Mapping[str, Array] = field(default_factory=dict)
    dropped: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.object_id)

    @property
    def lengths(self) -> Array:
        """(n,) observations per object."""
        return np.diff(self.offsets)

    @property
    def simulated(self) -> bool:
        """Whether the file says of any object that it is simulated."""
        return bool(np.any(self.extra.get(SIMULATED, False)))

    @property
    def owner(self) -> Array:
        """(n_obs,) index of the object each observation belongs to."""
        return np.repeat(np.arange(len(self)), self.lengths)

    @property
    def days(self) -> Array:
        """(n_obs,) float64 days since time zero (`trigger_mjd`)."""
        return self.mjd - self.trigger_mjd[self.owner]

    def object_columns(self) -> dict[str, Array]:
        """Every per-object column by name, `extra` included."""
        named = {name: getattr(self, name) for name in ("object_id", "label", *OBJECT_NUMBERS)}
        return named | dict(self.extra)

    def take(self, objects: Array) -> "LightCurves":
        """The objects at these indices (or where this mask is true), in this order."""
        objects = np.flatnonzero(objects) if np.asarray(objects).dtype == bool else np.asarray(objects, dtype=np.int64)
        rows, offsets = rows_of(self.offsets[objects], self.lengths[objects])
        columns = {name: column[objects] for name, column in self.object_columns().items()}
        return self._with_objects(columns)._with_observations(rows, offsets)

    def keep(self, observations: Array) -> "LightCurves":
        """The same objects with only the observations where this (n_obs,) mask is true."""
        counts = np.bincount(self.owner[observations], minlength=len(self))
        return self._with_observations(observations, np.concatenate([[0], np.cumsum(counts)]).astype(np.int64))

    def _with_observations(self, rows: Array, offsets: Array) -> "LightCurves":
        columns: dict[str, Any] = {name: getattr(self, name)[rows] for name in (*OBSERVATION_DTYPES, "passband")}
        return replace(self, **columns, offsets=offsets)

    def _with_objects(self, columns: dict[str, Array]) -> "LightCurves":
        own = {column.name for column in fields(self)}
        named: dict[str, Any] = {name: column for name, column in columns.items() if name in own}
        return replace(self, **named, extra={name: c for name, c in columns.items() if name not in own})


def rows_of(start: Array, lengths: Array) -> tuple[Array, Array]:
    """Rows of flat arrays, object after object, and the (n + 1,) offsets of these objects among them.

    Args:
        start: (n,) first row of each object. lengths: (n,) how many rows of each.
    """
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return np.arange(offsets[-1]) + np.repeat(start - offsets[:-1], lengths), offsets


def from_columns(
    objects: Mapping[str, Array],
    observations: Mapping[str, Array],
    passbands: tuple[str, ...],
    origin: str,
    dropped: Mapping[str, int] | None = None,
    part: bool = False,
) -> LightCurves:
    """Check, sort and pack long-format columns; every reader builds its light curves with this function.

    Observations are sorted by object and time. Rows with a non-finite time or flux, a
    non-positive or non-finite error, of an object not listed, or repeated exactly, are dropped
    and counted in `dropped`, which `log_dropped` says.

    Args:
        objects: `object_id` and any of label and OBJECT_NUMBERS; others become `extra`.
        observations: `object_id` (or `owner`, the row of the object, -1 for none), `mjd`, `passband` (uint8 codes),
            `flux`, `flux_err`, optionally `detected`.
        passbands: names the codes stand for.
        origin: what to call the source in messages, e.g. the file.
        dropped: observations the reader left out before, by reason.
        part: whether they are a part of the source, of which nothing need be left.

    Raises:
        ValueError: an object id is listed twice, or nothing is left.
    """
    counts = dict(dropped or {})
    object_id = texts(objects["object_id"], f"{origin}: object ids")
    order = np.argsort(object_id, kind="stable")
    refuse_duplicates(object_id[order], origin)
    rows = (
        np.asarray(observations["owner"])
        if "owner" in observations
        else _owner_of(np.asarray(observations["object_id"]), object_id, order)
    )
    keep = _good_rows(rows, observations, counts)
    if len(rows) and not keep.any() and not part:
        refuse_unusable(len(rows), counts, origin)
    owner = rows[keep]
    columns: dict[str, Array] = {
        name: np.asarray(observations[name])[keep].astype(dtype)
        for name, dtype in OBSERVATION_DTYPES.items()
        if name in observations
    }
    columns["passband"] = np.asarray(observations["passband"])[keep].astype(np.uint8)
    columns.setdefault("detected", np.ones(len(owner), dtype=bool))
    by_time = np.lexsort(
        (~columns["detected"], columns["flux_err"], columns["flux"], columns["passband"], columns["mjd"], owner)
    )
    owner, columns = owner[by_time], {name: column[by_time] for name, column in columns.items()}
    fresh = _first_of_repeats(owner, columns)
    _count(counts, "that repeat another one exactly", len(fresh) - np.count_nonzero(fresh))
    offsets = np.searchsorted(owner[fresh], np.arange(len(object_id) + 1)).astype(np.int64)
    unknown = np.full(len(object_id), np.nan)
    objects = {**objects, **known_hosts(*(objects.get(name, unknown) for name in HOST_NUMBERS))}
    packed = pack(objects, object_id, {name: column[fresh] for name, column in columns.items()}, offsets, passbands)
    return replace(packed, dropped=counts)


def log_dropped(dropped: Mapping[str, int], kept: int, origin: str) -> None:
    """Log how many raw observations were dropped, and why; `kept` were not."""
    total = kept + sum(dropped.values())
    for reason, each in _by_kind(dropped).items():
        examples = listed((f"{which} ({count})" for which, count in each.items() if which), 10)
        message = "%s: dropped %d of %d observations %s%s"
        log.warning(message, origin, sum(each.values()), total, reason, f": {examples}" if examples else "")


def _by_kind(dropped: Mapping[str, int]) -> dict[str, dict[str, int]]:
    """The counts by what stands before a colon in the reason, then by what stands behind it."""
    kinds: dict[str, dict[str, int]] = {}
    for reason, count in dropped.items():
        kind, _, which = reason.partition(": ")
        kinds.setdefault(kind, {})[which] = count
    return kinds


def _count(counts: dict[str, int], reason: str, number: Any) -> None:
    if number:
        counts[reason] = counts.get(reason, 0) + int(number)


def pack(
    objects: Mapping[str, Array],
    object_id: Array,
    columns: dict[str, Array],
    offsets: Array,
    passbands: tuple[str, ...],
) -> LightCurves:
    """Light curves of columns that keep the invariants; object columns that have no field of their own become `extra`."""
    unknown = np.full(len(object_id), np.nan)
    numbers = {name: np.asarray(objects.get(name, unknown), dtype=np.float64) for name in OBJECT_NUMBERS}
    label = texts(objects.get("label", np.full(len(object_id), "")), "labels")
    known = {"object_id", "label", *OBJECT_NUMBERS}
    extra = {name: np.asarray(column) for name, column in objects.items() if name not in known}
    named: dict[str, Any] = {**numbers, **columns}
    return LightCurves(passbands=passbands, offsets=offsets, object_id=object_id, label=label, extra=extra, **named)


def settled(stated: Mapping[str, Array], owner: Array, n: int) -> dict[str, Any]:
    """One value of each of the `ROW_NUMBERS` for `n` objects, of all that is stated of them; whatever the order, (n,) each.

    Of several photometric redshifts of a host that with the smallest error counts, of several extinctions or redshifts the smallest.

    Args:
        stated: (m,) each, NaN where unknown; one that is not there is unknown. owner: (m,) of whom.
    """
    hosts = known_hosts(*(stated[name] for name in HOST_NUMBERS))
    order = np.lexsort((*hosts.values(), owner))  # NaN stands last
    owners, first = np.unique(owner[order], return_index=True)
    found = {name: np.full(n, np.nan) for name in ROW_NUMBERS}
    for name, values in hosts.items():
        found[name][owners] = values[order][first]
    for name in set(stated) - set(HOST_NUMBERS):
        np.fmin.at(found[name], owner, stated[name])
    return found


def known_redshifts(redshift: Array | float) -> Array:
    """(n,) bool, whether a number is a redshift: surveys write 0, -9 or 999 where they know none."""
    return np.asarray((np.asarray(redshift) > 0) & (np.asarray(redshift) < FARTHEST))


def known_hosts(photoz: Array, error: Array) -> dict[str, Any]:
    """(n,) `host_photoz` and `host_photoz_err` of redshifts as they are stated.

    Both are NaN where the redshift is not known (`known_redshifts`). An error that is not
    stated, or beyond `FARTHEST`, is a usual one.
    """
    photoz, error = (np.asarray(values, dtype=np.float64) for values in (photoz, error))
    known = known_redshifts(photoz)
    least, usual = HOST_ERRORS
    stated = (error >= 0) & (error < FARTHEST)
    error = np.where(stated, np.maximum(error, least * (1 + photoz)), usual * (1 + photoz))
    return {"host_photoz": np.where(known, photoz, np.nan), "host_photoz_err": np.where(known, error, np.nan)}


def refuse_duplicates(sorted_ids: Array, origin: str) -> None:
    """Raise ValueError, naming some, if an object id stands more than once."""
    repeated = np.unique(sorted_ids[1:][sorted_ids[1:] == sorted_ids[:-1]])
    if len(repeated):
        raise ValueError(
            f"{origin}: {len(repeated)} object id(s) appear more than once, e.g. {_some(repeated)}: "
            "every object must have one row; merge or rename them"
        )


def texts(values: Any, what: str) -> Array:
    """(n,) str of fixed width.

    Raises:
        ValueError: one is longer than `LONGEST_TEXT`: every other one would take as much memory.
    """
    array = np.asarray(values)
    if array.dtype.kind in "OU" and len(array):
        given = array.tolist()
        longest = max(given, key=lambda value: len(value) if isinstance(value, str) else 0)
        if isinstance(longest, str) and len(longest) > LONGEST_TEXT:
            raise ValueError(
                f"{what}: {shortened(longest)} is longer than {LONGEST_TEXT} characters: name another column, or shorten it"
            )
    return array.astype(str)


def _owner_of(ids: Array, object_id: Array, order: Array) -> Array:
    """(n_obs,) index into object_id; -1 where an observation's object is not listed."""
    names, code = _factorize(ids)
    position = np.searchsorted(object_id[order], names)
    position = np.minimum(position, max(len(order) - 1, 0))
    found = object_id[order][position] == names if len(order) else np.zeros(len(names), bool)
    return np.where(found, order[position] if len(order) else -1, -1)[code]


def _factorize(ids: Array) -> tuple[Array, Array]:
    """Distinct ids as str and the code of each row, through Arrow's hash table."""
    values = pa.array(ids)
    encoded = (
        values.dictionary_encode()
        if isinstance(values, pa.Array)
        else pa.compute.dictionary_encode(values).combine_chunks()
    )
    names = texts(encoded.dictionary.to_numpy(zero_copy_only=False), "object ids of observations")
    return names, np.asarray(encoded.indices.to_numpy(zero_copy_only=False))


def _good_rows(rows: Array, observations: Mapping[str, Array], counts: dict[str, int]) -> Array:
    mjd, flux, error = (np.asarray(observations[name], dtype=np.float64) for name in ("mjd", "flux", "flux_err"))
    with np.errstate(over="ignore"):  # a value beyond float32 is not finite there either
        bad = {
            "of objects that are not in the object table": rows < 0,
            NO_TIME: ~np.isfinite(mjd),
            "with a missing or infinite flux": ~np.isfinite(flux.astype(np.float32)),
            "with a missing, zero or negative flux error": ~(
                np.isfinite(error.astype(np.float32)) & (error.astype(np.float32) > 0)
            ),
            TOO_BRIGHT: (np.abs(flux) > BRIGHTEST) | (error > BRIGHTEST),
        }
    keep = np.ones(len(rows), dtype=bool)
    for reason, mask in bad.items():
        _count(counts, reason, np.count_nonzero(mask & keep))
        keep &= ~mask
    return keep


def refuse_unusable(observations: int, dropped: Mapping[str, int], origin: str) -> None:
    """Raise ValueError: none of so many observations is left, for these reasons."""
    reasons = ", ".join(f"{count} {reason}" for reason, count in dropped.items())
    raise ValueError(f"{origin}: none of its {observations} observations is usable: {reasons}")


def refuse_none(objects: int, origin: str) -> None:
    """Raise ValueError if nothing was read."""
    if not objects:
        raise ValueError(f"{origin} holds no light curve: give a table with observations")


def _first_of_repeats(owner: Array, columns: dict[str, Array]) -> Array:
    same = owner[1:] == owner[:-1]
    for name in ("mjd", "passband", "flux", "flux_err"):
        same &= columns[name][1:] == columns[name][:-1]
    return np.concatenate([[True], ~same])[: len(owner)]


def check(curves: LightCurves, origin: str) -> LightCurves:
    """Return `curves` if every invariant of the class holds.

    Raises:
        ValueError: names the first violation, its object and its row within the object.
    """
    n, n_obs = len(curves), int(curves.offsets[-1]) if len(curves.offsets) else 0
    if len(curves.offsets) != n + 1 or curves.offsets[0] != 0 or (np.diff(curves.offsets) < 0).any():
        raise ValueError(
            f"{origin}: the offsets do not fit {n} objects: give {n + 1} numbers that begin with 0 and never fall"
        )
    for name in (*OBSERVATION_DTYPES, "passband"):
        if len(getattr(curves, name)) != n_obs:
            raise ValueError(
                f"{origin}: column {name} has {len(getattr(curves, name))} rows, but the offsets give {n_obs}"
            )
    refuse_duplicates(np.sort(curves.object_id), origin)
    inside = np.ones(n_obs, dtype=bool)
    inside[curves.offsets[:-1][curves.lengths > 0]] = False  # the first row has nothing before it
    rising = np.concatenate([[True], np.diff(curves.mjd) >= 0])[:n_obs] | ~inside
    laws = {
        "mjd": ("a finite number", np.isfinite(curves.mjd)),
        "the order of mjd": ("the observations of an object in order of time", rising),
        "flux": ("a finite number", np.isfinite(curves.flux)),
        "flux_err": ("a finite number above 0", np.isfinite(curves.flux_err) & (curves.flux_err > 0)),
        "passband": (f"a code below {len(curves.passbands)}", curves.passband < len(curves.passbands)),
    }
    for name, (wanted, holds) in laws.items():
        if not holds.all():
            row = int(np.flatnonzero(~holds)[0])
            owner = int(np.searchsorted(curves.offsets, row, side="right")) - 1
            place = f"row {row - curves.offsets[owner]} of object {curves.object_id[owner]}"
            raise ValueError(f"{origin}: {name} is wrong in {place}: give {wanted}")
    return curves


def with_passbands(curves: LightCurves, names: tuple[str, ...]) -> LightCurves:
    """The same light curves with codes into these passbands, which hold all of theirs."""
    codes = np.array([names.index(name) for name in curves.passbands], dtype=np.uint8)
    return replace(curves, passbands=names, passband=codes[curves.passband])


def concatenate(parts: list[LightCurves]) -> LightCurves:
    """Join sets over the union of their passbands; `extra` keeps the columns all of them have, and what is simulated."""
    if any(SIMULATED in part.extra for part in parts):
        parts = [replace(part, extra={SIMULATED: np.zeros(len(part), bool), **part.extra}) for part in parts]
    names = tuple(dict.fromkeys(name for part in parts for name in part.passbands))
    codes = [with_passbands(part, names).passband for part in parts]
    shifts = np.concatenate([[0], np.cumsum([len(part.mjd) for part in parts])])
    offsets = [parts[0].offsets[:1], *(part.offsets[1:] + shift for part, shift in zip(parts, shifts, strict=False))]
    shared = [name for name in parts[0].extra if all(name in part.extra for part in parts)]
    plain = [
        column.name
        for column in fields(LightCurves)
        if column.name not in ("passbands", "passband", "offsets", "extra", "dropped")
    ]
    joined = {name: np.concatenate([getattr(part, name) for part in parts]) for name in plain}
    return LightCurves(
        passbands=names,
        passband=np.concatenate(codes),
        offsets=np.concatenate(offsets),
        extra={name: np.concatenate([part.extra[name] for part in parts]) for name in shared},
        dropped=sum_dropped(part.dropped for part in parts),
        **joined,
    )


def sum_dropped(parts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Counts by reason over several sets."""
    total: dict[str, int] = {}
    for part in parts:
        for reason, number in part.items():
            _count(total, reason, number)
    return total


def _some(names: Array) -> str:
    return ", ".join(str(name) for name in names[:3])
