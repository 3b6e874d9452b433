"""Spectral templates from sncosmo as classes of the simulator: `engine: template` in a population file.

A template is a spectral flux on a grid of rest-frame phase and wavelength, for instance `nugent-sn2p` of the list at
https://sncosmo.readthedocs.io/en/stable/source-list.html, which sncosmo downloads once, or a file of one's own.
It replaces engine, temperature and spectral shape of a class. Magnitude, redshift, dust, cadence, noise and
selection are those of every other class. Each object is the same template, scaled to its drawn peak
absolute magnitude and stretched in time by its drawn `stretch`.

- The peak absolute magnitude is that of the template's own flux density at 0.62 um, lines included.
- The clock starts at the template's first phase. Before it and after the last one the flux is zero, as it is
  at wavelengths the template does not cover; nothing is extrapolated.
- Spectra are smoothed to the width of the narrowest line of the built-in classes (0.008 um, standard deviation),
  so that the quadrature of a pass band does not depend on where its nodes fall.
- Parameters of the source, such as x1 and c of `salt2`, have sncosmo's default values.
- `dust`, `magnitude` and `time_scale` of a survey's `gap` apply; those of temperature, blanketing and lines do not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tlclass.arrays import Array
from tlclass.extras import needs
from tlclass.simulator.photosphere import REFERENCE

OWN_KEYS = ("source", "magnitude", "stretch")  # of a class with `engine: template`
PHYSICAL_KEYS = ("duration", "lead", "parameters", "spectrum")  # of all other classes; the template holds them
PHASE_STEP = 0.25  # d
WAVE_STEP = 0.002  # um
SMOOTHING = 0.008  # um
WAVE_RANGE = (0.05, 1.5)  # um; no survey sees more, at any redshift
ANGSTROM = 1e-4  # um


@dataclass(frozen=True)
class Template:
    """Flux of a transient on a uniform grid of P phases and W wavelengths.

    Attributes:
        source: what it was made from.
        digest: checksum of the flux; it makes a changed file a changed survey.
        duration: rest-frame days from the first to the last phase.
        peak_time: rest-frame days from the first phase to maximum light at 0.62 um.
        blue: um, the first wavelength.
        table: (P, W) float32, F_nu relative to its maximum at 0.62 um.
    """

    source: str
    digest: str
    duration: float
    peak_time: float
    blue: float
    table: Array = field(repr=False, compare=False)

    @classmethod
    def from_source(cls, source: Any, name: str) -> Template:
        """Sample a `sncosmo.Source`.

        Raises:
            ValueError: the source does not cover 0.62 um, or is dark there.
        """
        blue, red = max(source.minwave() * ANGSTROM, WAVE_RANGE[0]), min(source.maxwave() * ANGSTROM, WAVE_RANGE[1])
        if not blue < REFERENCE < red - WAVE_STEP:
            raise ValueError(
                f"template {name} covers {blue:.3f} to {red:.3f} um: choose one that covers {REFERENCE} um, where fluxes are scaled"
            )
        duration = float(source.maxphase() - source.minphase())
        phases = np.linspace(source.minphase(), source.maxphase(), int(np.ceil(duration / PHASE_STEP)) + 1)
        wave = blue + WAVE_STEP * np.arange(int((red - blue) / WAVE_STEP) + 1)
        angstrom = np.clip(wave / ANGSTROM, source.minwave(), source.maxwave())
        flux = np.maximum(source.flux(phases, angstrom), 0.0) * wave**2  # F_nu; (P, W)
        table = flux @ _smoothing(wave).T
        reference = np.array([np.interp(REFERENCE, wave, row) for row in table])
        if not (np.isfinite(table).all() and reference.max() > 0):
            raise ValueError(
                f"template {name} has no positive finite flux at {REFERENCE} um, where fluxes are scaled: choose another template"
            )
        table = np.ascontiguousarray(table / reference.max(), dtype=np.float32)
        digest = hashlib.sha256(table.tobytes()).hexdigest()[:16]
        peak_time = float(phases[reference.argmax()] - phases[0])
        return cls(name, digest, duration, peak_time, float(blue), table)

    def at(self, wave: Array) -> TemplateRows:
        """Look up the columns of rest wavelengths `wave`, (K, M) um."""
        position = (wave - self.blue) / WAVE_STEP
        last = self.table.shape[1] - 1
        inside = (position >= 0) & (position <= last)
        left = np.clip(position.astype(np.int64), 0, last - 1)
        return TemplateRows(self, left, np.clip(position - left, 0, 1).astype(np.float32), inside)


@dataclass(frozen=True)
class TemplateRows:
    """A template prepared at (K, M) wavelengths: column to the left, weight of the next one, covered or not."""

    template: Template
    left: Array
    weight: Array
    inside: Array

    def flux(self, rows: Array, phase: Array) -> Array:
        """Interpolate linearly: F_nu relative to the peak at 0.62 um, (K, m) float32.

        Args:
            rows: (m,) which of the M columns each epoch uses.
            phase: (m,) rest-frame days since the first phase, without stretch.
        """
        table = self.template.table
        last, width = len(table) - 1, table.shape[1]
        position = phase / self.template.duration * last
        lit = (position >= 0) & (position <= last)
        position = np.clip(position, 0, last)
        early = np.minimum(position.astype(np.int64), last - 1)
        later = (position - early).astype(np.float32)
        corner = np.take(self.left, rows, axis=1) + early * width  # (K, m)
        weight = np.take(self.weight, rows, axis=1)
        flat = table.ravel()
        before = (1 - weight) * np.take(flat, corner) + weight * np.take(flat, corner + 1)
        corner += width
        after = (1 - weight) * np.take(flat, corner) + weight * np.take(flat, corner + 1)
        flux: Array = before + (after - before) * later
        flux *= np.take(self.inside, rows, axis=1) & lit
        return flux


def template_entry(name: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """Turn the entry of a class with `engine: template` into that of any other class.

    Args:
        name: of the class.
        config: its keys; `PHYSICAL_KEYS` of a class that the entry replaces must be null.

    Raises:
        ValueError: a key is missing or contradicts the template, or the template cannot be had.
    """
    given = [key for key in PHYSICAL_KEYS if config.get(key) is not None]
    if given:
        raise ValueError(
            f"{name}: a class of engine template takes {', '.join(OWN_KEYS)}; remove {', '.join(given)} or set them to null"
        )
    missing = [key for key in ("source", "magnitude") if config.get(key) is None]
    if missing:
        raise ValueError(f"{name}: a class of engine template needs the keys {', '.join(missing)}: add them")
    template = Template.from_source(load_source(str(config["source"]), name), str(config["source"]))
    entry = {key: value for key, value in config.items() if key not in (*OWN_KEYS, *PHYSICAL_KEYS)}
    entry["parameters"] = {"peak_magnitude": config["magnitude"], "stretch": config.get("stretch", 1.0)}
    return entry | {"spectrum": template, "duration": template.duration}


def load_source(source: str, name: str) -> Any:
    """Return the `sncosmo.Source` that class `name` asks for: a file, or a name in sncosmo's list.

    Raises:
        ValueError: sncosmo is not installed, or knows no such source, or cannot download it.
    """
    try:
        import sncosmo
    except ImportError as error:
        raise ValueError(f"{name}: {needs('a spectral template', 'sncosmo', 'templates')}") from error
    path = Path(source).expanduser()
    if path.is_file():
        return sncosmo.TimeSeriesSource(*read_grid(path), zero_before=True, time_spline_degree=1, name=source)
    try:
        return sncosmo.get_source(source)
    except Exception as error:  # sncosmo raises plain Exception; downloads raise many kinds
        reason = str(error).split(". Registered names")[0]
        raise ValueError(
            f"{name}: source {source!r} is neither a file nor a source sncosmo can load ({reason}); names are listed "
            "at https://sncosmo.readthedocs.io/en/stable/source-list.html"
        ) from error


def read_grid(path: Path) -> tuple[Array, Array, Array]:
    """Read a text file with the columns phase (d), wavelength (Angstrom) and flux (F_lambda, any scale).

    Lines may come in any order but must form a complete grid; `#` starts a comment.

    Returns:
        phase (P,), wavelength (W,) and flux (P, W).
    """
    form = "give lines of three numbers, phase (d), wavelength (Angstrom) and flux, one for each pair of at least 2 phases and 4 wavelengths"
    try:
        rows = np.loadtxt(path, ndmin=2)
    except ValueError as error:
        raise ValueError(f"{path} cannot be read as a template ({error}): {form}") from error
    if rows.shape[1] != 3:
        raise ValueError(f"{path} has {rows.shape[1]} columns: {form}")
    phase, wave = np.unique(rows[:, 0]), np.unique(rows[:, 1])
    if len(np.unique(rows[:, :2], axis=0)) != len(rows) or len(rows) != phase.size * wave.size:
        raise ValueError(f"{path} has {len(rows)} lines for {phase.size} phases and {wave.size} wavelengths: {form}")
    if phase.size < 2 or wave.size < 4:
        raise ValueError(f"{path} has {phase.size} phases and {wave.size} wavelengths: {form}")
    return phase, wave, rows[np.lexsort((rows[:, 1], rows[:, 0])), 2].reshape(phase.size, wave.size)


def _smoothing(wave: Array) -> Array:
    kernel = np.exp(-0.5 * ((wave[:, None] - wave) / SMOOTHING) ** 2)
    return np.asarray(kernel / kernel.sum(axis=1, keepdims=True))
