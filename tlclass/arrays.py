"""What signatures call an array; its shape, kind and unit stand in the docstring."""

from typing import Any

import numpy.typing as npt

Array = npt.NDArray[Any]
