"""The dust law: what interstellar dust leaves of the light at a wavelength."""

from functools import lru_cache

import numpy as np

from tlclass.arrays import Array

R_V = 3.1  # A_V / E(B-V), of the Milky Way


def transmission(wave: Array, extinction: Array | float) -> Array:
    """Fraction of light left by dust of `extinction` A_V (mag) at `wave`, um (Gordon+ 2023)."""
    grid, curve = _extinction_curve()
    return np.asarray(np.exp(-0.4 * np.log(10) * np.interp(wave, grid, curve) * extinction))


@lru_cache(maxsize=1)
def _extinction_curve() -> tuple[Array, Array]:
    from astropy import units
    from dust_extinction.parameter_averages import G23  # imported here: it takes seconds

    wave = np.geomspace(0.0925, 1.5, 600)
    return wave, np.asarray(G23(Rv=R_V)(1.0 / wave * (1.0 / units.micron)))
