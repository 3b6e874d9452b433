"""Pickled arrays, read without running anything the pickle names."""

import math
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

# What pickles of arrays name, and the stand-in of ours that each name gets. Nothing is imported for a pickle:
# even numpy's own constructors are replaced, as some of them can be made to read memory as object pointers.
STAND_INS = {
    **{
        (f"numpy.{core}.{module}", name): stand_in
        for core in ("core", "_core")
        for module, name, stand_in in (
            ("multiarray", "_reconstruct", "empty_array"),
            ("multiarray", "scalar", "scalar"),
            ("numeric", "_frombuffer", "array"),
        )
    },
    ("numpy", "dtype"): "dtype",
    ("numpy", "ndarray"): "kind",
    ("astropy.table.column", "Column"): "kind",
    ("astropy.table.table", "Table"): "table",
    ("collections", "OrderedDict"): "mapping",
}
PLAIN_DTYPE = re.compile(r"b1|[iuf][1248]|[SU]\d+|O8?")


class PickledTable:
    """What an astropy Table leaves in a pickle.

    Attributes:
        columns: name -> (n,) array.
        meta: name -> value.
    """

    columns: dict[str, Array]
    meta: dict[str, Any]

    def __setstate__(self, state: tuple[dict[str, Array], dict[str, Any]]) -> None:
        columns, meta = state
        if not all(isinstance(column, np.ndarray) for column in columns.values()):
            raise pickle.UnpicklingError("a table's column is not an array")
        self.columns, self.meta = dict(columns), dict(meta)


def load(path: Path) -> Any:
    """The lists, dicts, numbers, text, arrays and tables in a pickle.

    Raises:
        ValueError: the pickle names anything else, or is damaged.
    """
    with Path(path).open("rb") as file:
        try:
            return _Reader(file).load()
        except Exception as error:  # a made-up pickle can make the machine fail in any way
            raise ValueError(f"{path} cannot be read as a pickle of arrays: {error}") from error


class _Reader(pickle.Unpickler):
    """Gives stand-ins for the names a pickle may use and refuses all others."""

    kind = "array"  # the class of an array: no class of numpy's comes within a pickle's reach
    table = PickledTable
    mapping = dict

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in STAND_INS:
            raise pickle.UnpicklingError(
                f"it asks for {module}.{name}, which arrays do not need and which could run code; nothing was run: "
                "do not open this file by other means unless you trust who made it"
            )
        return getattr(self, STAND_INS[module, name])

    def dtype(self, spec: str, *_: Any) -> "_DType":
        return _DType(spec)

    def empty_array(self, *_: Any) -> "_Array":
        return np.empty(0).view(_Array)

    def array(self, data: bytes, dtype: "_DType", shape: tuple[int, ...], order: str) -> Array:
        return np.frombuffer(data, _plain(dtype)).reshape(shape, order="F" if order == "F" else "C")

    def scalar(self, dtype: "_DType", data: bytes) -> Any:
        return np.frombuffer(data, _plain(dtype))[0]


class _DType:
    """A dtype of plain numbers or text; of objects only for arrays that are pickled as lists."""

    def __init__(self, spec: str) -> None:
        if not PLAIN_DTYPE.fullmatch(spec):
            raise pickle.UnpicklingError(f"arrays of type {spec!r} are not read, only of plain numbers and text")
        self.value = np.dtype(spec)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if any(part is not None for part in state[2:5]):
            raise pickle.UnpicklingError("structured arrays are not read")
        if state[1] in ("<", ">"):
            self.value = self.value.newbyteorder(state[1])


class _Array(np.ndarray[Any, Any]):
    """An array whose content arrives after it was made, as pickles before protocol 5 do it."""

    def __setstate__(self, state: Any) -> None:
        shape, dtype, fortran, data = state[1:5]
        objects = isinstance(data, list)
        value = dtype.value if objects else _plain(dtype)
        size = len(data) / (1 if objects else value.itemsize)
        if objects != value.hasobject or min(shape, default=0) < 0 or math.prod(shape) != size:
            raise pickle.UnpicklingError("an array's type, shape and content do not agree")
        super().__setstate__((1, shape, value, bool(fortran), data))  # type: ignore[arg-type]  # wants numpy.bool


def _plain(dtype: _DType) -> np.dtype[Any]:
    if dtype.value.hasobject or not dtype.value.itemsize:
        raise pickle.UnpicklingError("objects in the bytes of an array are not read")
    return dtype.value
