"""The passbands of a survey: names, effective wavelengths, and what else files call them."""

import functools
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from tlclass.arrays import Array
from tlclass.lightcurves.photometry import FACTS, UNKNOWN_PASSBAND
from tlclass.quoting import as_text, listed, one_of, shortened
from tlclass.wording import option

UNKNOWN = ("error", "drop")  # what may be done with rows of a passband that is not known


@dataclass(frozen=True)
class Passband:
    """One filter.

    Attributes:
        name: unique across surveys, e.g. `ztfg` (sncosmo's names).
        wavelength: effective wavelength in micrometres, as given to the model.
        aliases: what files call it, e.g. `g`, `ZTF-g`, `1`.
        source: where the wavelength comes from.
    """

    name: str
    wavelength: float
    aliases: tuple[str, ...] = ()
    source: str = ""


@dataclass(frozen=True)
class Passbands:
    """The ordered passbands of one survey.

    >>> ztf = Passbands.from_mapping({"ztfg": {"wavelength": 0.4746, "aliases": ["g"]}})
    >>> ztf.codes(np.array(["g", "ZTFG"]), "example")
    array([0, 0], dtype=uint8)
    """

    bands: tuple[Passband, ...]

    @classmethod
    def from_mapping(cls, table: Mapping[str, Mapping[str, Any]]) -> "Passbands":
        """Build from `{name: {wavelength, aliases, source}}`, the form of `conf/passbands/`.

        Raises:
            ValueError: two passbands share a name or alias, or a wavelength is not between 0.1 and 30 um.
        """
        bands = cls(tuple(_passband(name, row) for name, row in table.items()))
        bands._aliases()
        return bands

    def to_mapping(self) -> dict[str, dict[str, Any]]:
        """The inverse of `from_mapping`, in plain types."""
        return {
            band.name: {"wavelength": band.wavelength, "aliases": list(band.aliases), "source": band.source}
            for band in self.bands
        }

    @property
    def names(self) -> tuple[str, ...]:
        """Names in code order."""
        return tuple(band.name for band in self.bands)

    def wavelengths(self, names: Sequence[str], origin: str = "light curves") -> Array:
        """(len(names),) float32 effective wavelengths in um of these passbands.

        Raises:
            ValueError: a passband is not in the table.
        """
        aliases = self._aliases()
        unknown = [f"'{name}'" for name in names if _find(name, aliases) is None]
        if unknown:
            raise ValueError(
                f"{origin}: unknown passband {', '.join(unknown)}; known are {self._known()}: use light curves in these passbands, or a model that knows more"
            )
        return np.array([self.bands[_find(name, aliases) or 0].wavelength for name in names], dtype=np.float32)

    def resolve(self, name: str) -> str | None:
        """The passband's own name for a name or alias; None if it is not in the table."""
        code = _find(name, self._aliases())
        return None if code is None else self.names[code]

    def codes(self, raw: Array, origin: str) -> Array:
        """(n,) uint8 codes of raw band names or numbers, aliases resolved.

        Raises:
            ValueError: a band is unknown; the message gives its count and the known names.
        """
        codes, _, _ = self.resolved(raw, origin)
        return codes

    def resolved(self, raw: Array, origin: str, unknown: str = "error") -> tuple[Array, Array, dict[str, int]]:
        """(n,) uint8 codes of raw band names, (n,) bool where the name is known, and the others counted by reason.

        Args:
            raw: (n,) names or numbers, as a file writes them.
            origin: what to call the file in messages.
            unknown: `error`, or `drop` to count the rows of unknown names, for the caller to leave out.

        Raises:
            ValueError: a band is unknown and `unknown` is `error`, or it is neither of the two.
        """
        one_of("unknown_passbands", unknown, UNKNOWN)
        encoded = pa.array(raw).dictionary_encode()
        index = encoded.indices.fill_null(len(encoded.dictionary)).to_numpy(zero_copy_only=False)
        spelled = [*(as_text(name).strip() for name in encoded.dictionary.to_pylist()), "(missing)"]
        aliases = self._aliases()
        found = [_find(name, aliases) for name in spelled]
        counts = np.bincount(index, minlength=len(spelled))
        strange = {name: int(n) for name, n, code in zip(spelled, counts, found, strict=True) if n and code is None}
        if strange and unknown == "error":
            raise ValueError(
                f"{origin}: unknown passband {_counts(strange)}; known are {self._known()}: {self._of_others(strange)}leave out rows of other "
                f"filters, all at once with {option('--drop-unknown-passbands', 'unknown_passbands=drop')}; where it is one of these, write it "
                "so, or add the name to the survey's passbands as an alias"
            )
        known = np.array([code is not None for code in found])[index]
        left_out = {f"{UNKNOWN_PASSBAND}: '{shortened(name)}'": count for name, count in strange.items()}
        return np.array([code or 0 for code in found], dtype=np.uint8)[index], known, left_out

    def _of_others(self, names: Iterable[str]) -> str:
        """What to do where names are of another survey than these passbands."""
        begin = {system for system in FACTS["systems"] for name in names if name.casefold().startswith(system)}
        others = " and ".join(sorted(begin - self.systems)).upper()
        return f"use a model or card of {others}, whose passbands these are, or " if others else ""

    def knows(self, name: str) -> bool:
        """Whether a raw band name is one of these passbands."""
        return _find(name, self._aliases()) is not None

    @property
    def systems(self) -> frozenset[str]:
        """The photometric systems of the names: `ztf` of `ztfg`."""
        return frozenset(name[:-1] for name in self.names)

    def called(self, letter: str, system: str) -> str:
        """What to look up for a filter of a known system: `ztfg` for `g` of `ztf`.

        The letter alone where this table is of other systems than the facts know, as a card of one's own may name its passbands.
        """
        if len(letter) != 1 or self.systems.isdisjoint(FACTS["systems"]):
            return letter
        return f"{system}{letter.casefold()}"

    def _aliases(self) -> dict[str, int]:
        table: dict[str, int] = {}
        for code, band in enumerate(self.bands):
            for name in (band.name, *band.aliases):
                if table.setdefault(name, code) != code:
                    raise ValueError(f"passbands {self.names[table[name]]} and {band.name} are both called '{name}'")
        return table

    def _known(self) -> str:
        return ", ".join(
            f"{band.name} ({', '.join(band.aliases)})" if band.aliases else band.name for band in self.bands
        )


def joined(tables: Sequence[Passbands]) -> Passbands:
    """The passbands of several surveys, each name once; aliases that two of them share are left out.

    Raises:
        ValueError: a name has two wavelengths.
    """
    bands: dict[str, Passband] = {}
    for band in (band for table in tables for band in table.bands):
        known = bands.setdefault(band.name, band)
        if known.wavelength != band.wavelength:
            raise ValueError(
                f"passband {band.name} has the wavelength {known.wavelength} um in one survey and {band.wavelength} um in another: "
                "name one of them differently, or give both the same"
            )
        bands[band.name] = replace(known, aliases=tuple(dict.fromkeys((*known.aliases, *band.aliases))))
    claims = Counter(name for band in bands.values() for name in {band.name, *band.aliases})
    return Passbands(
        tuple(replace(band, aliases=tuple(a for a in band.aliases if claims[a] == 1)) for band in bands.values())
    )


def _passband(name: str, row: Mapping[str, Any]) -> Passband:
    try:
        wavelength = float(row["wavelength"])
    except (KeyError, TypeError, ValueError):
        raise ValueError(
            f"passband {name}: wavelength '{shortened(row.get('wavelength'))}' is not a number of micrometres"
        ) from None
    if not 0.1 < wavelength < 30:
        raise ValueError(f"passband {name}: wavelength {wavelength} is not between 0.1 and 30 micrometres")
    return Passband(name, wavelength, tuple(str(alias) for alias in row.get("aliases", ())), str(row.get("source", "")))


def _find(name: str, aliases: Mapping[str, int]) -> int | None:
    """The exact name first; then ignoring case, if only one passband matches.

    The case of a single letter is kept: R and I are Johnson's or Cousins's, G is Gaia's, r, i and g are not.
    """
    if name in aliases:
        return aliases[name]
    if len(name) == 1:
        return None
    meant = _meant(name.casefold())
    for spelled in (name.casefold(), *([meant] if meant[-1:] in name else [])):  # P48 R is PTF's
        loose = {code for alias, code in aliases.items() if alias.casefold() == spelled}
        if len(loose) == 1:
            return loose.pop()
    return None


@functools.lru_cache(4096)
def _meant(name: str) -> str:
    """A name in small letters as sncosmo writes it, of those that hold the survey's name and a letter.

    >>> _meant("g-ztf"), _meant("p48r"), _meant("zi"), _meant("ps1 g")
    ('ztfg', 'ztfr', 'ztfi', 'ps1 g')
    """
    words = [word for word in re.split(r"[^a-z0-9]+", name) if word]
    for system, called in FACTS["systems"].items():
        for one in called:
            pairs = {f"{one}{letter}": letter for letter in FACTS["depths"][system]}
            if "".join(words) in pairs:
                return f"{system}{pairs[''.join(words)]}"
            if len(words) == 2 and words[1] == one and words[0] in FACTS["depths"][system]:
                return f"{system}{words[0]}"
    return str(FACTS["spellings"].get(name, name))


def _counts(unknown: Mapping[str, int]) -> str:
    return listed((f"'{shortened(name)}' ({count} observations)" for name, count in unknown.items()), 10)
