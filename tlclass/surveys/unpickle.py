"""Pickled arrays, read without running anything the pickle names."""

import math
import pickle
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np

from tlclass.arrays import Array
from tlclass.quoting import sentence

DEEPEST = 100  # nested tuples
IN_PYTHON: Any = pickle._Unpickler  # ours is its only use; see `_Reader`

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
            return _Reader(file, Path(path).stat().st_size).load()
        except Exception as error:  # a made-up pickle can make the machine fail in any way
            raise ValueError(f"{path} cannot be read as a pickle of arrays: {sentence(error, 400)}") from error


class _Reader(IN_PYTHON):  # type: ignore[misc]
    """Gives stand-ins for the names a pickle may use and refuses all others.

    The unpickler written in Python: that in C takes gigabytes for nine bytes which number an object 2^31, and ends the process
    where tuples nest hundreds of thousands deep. It takes 30 us more per array.
    """

    dispatch = dict(IN_PYTHON.dispatch)

    def __init__(self, file: IO[bytes], size: int) -> None:
        super().__init__(file)
        self.size = size
        self.depths: dict[int, int] = {}  # of nested tuples, by identity

    def load_bytearray8(self) -> None:
        """The length is not believed: a bytearray is filled before it is read."""
        (length,) = struct.unpack("<Q", self.read(8))
        if length > self.size:
            raise pickle.UnpicklingError("it states more bytes than the file has")
        self.append(bytearray(self.read(length)))

    def _shallow(self) -> None:
        """Refuse tuples in tuples in tuples: hashing them, as a key, recurses without a limit."""
        value = self.stack[-1]
        depth = 1 + max(
            (self.depths.get(id(part), 1) for part in value if isinstance(part, tuple | frozenset)), default=0
        )
        if depth > DEEPEST:
            raise pickle.UnpicklingError(
                f"its tuples are nested more than {DEEPEST} deep, which those of arrays are not"
            )
        if depth > 1:
            self.depths[id(value)] = depth
        else:
            self.depths.pop(id(value), None)

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


def _limited(load: Callable[[Any], None]) -> Callable[[Any], None]:
    def limited(reader: Any) -> None:
        load(reader)
        reader._shallow()

    return limited


for _code in (pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3, pickle.FROZENSET):
    _Reader.dispatch[_code[0]] = _limited(_Reader.dispatch[_code[0]])
_Reader.dispatch[pickle.BYTEARRAY8[0]] = _Reader.load_bytearray8


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
