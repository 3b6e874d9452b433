"""What SNANA's numbers mean: the bits of PHOTFLAG and the values that stand for nothing."""

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

DETECTION, TRIGGER, SATURATED = 4096, 2048, 1024  # of an observation; the first trigger of an object has 6144
MISSING = (-9.0, -99.0, -999.0, -9999.0, 999.0)


def known(values: Array) -> Array:
    """Values as float64, those that SNANA writes for "unknown" as NaN.

    >>> known(np.array([0.1, -9.0]))
    array([0.1, nan])
    """
    numbers = np.asarray(values, dtype=np.float64)
    return np.where(np.isin(numbers, MISSING), np.nan, numbers)
