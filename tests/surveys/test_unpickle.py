import os
import pickle
import resource
import subprocess
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.table import Table

from tlclass.surveys.unpickle import load

PROTOCOLS = [3, 4, 5]
OBJECTS = np.empty(2, dtype=object)
OBJECTS[:] = [np.ones((2, 4)), np.ones((3, 4))]
PLAIN: list[Any] = [
    np.arange(6.0).reshape(2, 3), np.asfortranarray(np.arange(6, dtype=">f4").reshape(2, 3)), np.array(["g", "bcd"]), np.array([b"g"]),
    np.zeros((0, 4)), np.array(2.0), np.array([True, False]), np.float32(0.1), np.int64(3), np.str_("SNIa"), np.bool_(True),
    3, 0.5, None, True, "SNIa", b"x", [1, [2.5]], (1, "a"), {"a": [1]}, OrderedDict(a=1),
]  # fmt: skip


class Call:
    """Pickles as a call of `function` with `arguments`."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


def loaded(content: bytes, folder: Path) -> Any:
    (folder / "file").write_bytes(content)
    return load(folder / "file")


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("value", PLAIN, ids=repr)
def test_plain_values_come_back_as_they_were(value: Any, protocol: int, tmp_path: Path) -> None:
    again = loaded(pickle.dumps([value], protocol=protocol), tmp_path)[0]
    if isinstance(value, np.ndarray):
        assert np.array_equal(again, value) and again.dtype.newbyteorder("=") == value.dtype.newbyteorder("=")
    else:
        assert again == value and type(again) in (type(value), dict)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_arrays_of_arrays_and_tables(protocol: int, tmp_path: Path) -> None:
    again = loaded(pickle.dumps(OBJECTS, protocol=protocol), tmp_path)
    assert [part.shape for part in again] == [(2, 4), (3, 4)] and again[1].sum() == 12
    table = Table({"passband": ["g", "r"], "time": [1.5, 2.5]}, meta={"redshift": np.float64(0.1), "peak": None})
    again = loaded(pickle.dumps({"id": table}, protocol=protocol), tmp_path)["id"]
    assert list(again.columns) == ["passband", "time"] and again.columns["passband"].tolist() == ["g", "r"]
    assert again.columns["time"].tolist() == [1.5, 2.5] and again.meta == {"redshift": 0.1, "peak": None}


def hostile(sentinel: Path) -> dict[str, Any]:
    command = f"touch {sentinel}"
    call = Call(os.system, command)
    objects = np.empty(1, dtype=object)
    objects[0] = call
    table = Table({"time": [1.0]})
    table.meta["redshift"] = call
    scalar = np.float64(0).__reduce__()[0]
    return {
        "system": call,
        "eval": Call(eval, f"open({str(sentinel)!r}, 'w')"),
        "getattr": Call(getattr, "text", "upper"),
        "popen": Call(subprocess.Popen, ["touch", str(sentinel)]),
        "in a list of arrays": [np.ones((2, 4)), call],
        "in an array": objects,
        "in a table": table,
        "as a scalar": Call(scalar, np.dtype(object), call),
        "as a scalar's bytes": Call(scalar, np.dtype(object), pickle.dumps(call)),
        "numpy's own loader": Call(np.load, str(sentinel), None, True),
        "a class": sentinel,
    }


@pytest.mark.parametrize("name", list(hostile(Path())))
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_nothing_a_pickle_names_is_run(name: str, protocol: int, tmp_path: Path) -> None:
    sentinel = tmp_path / "sentinel"
    with pytest.raises(ValueError, match=r"file cannot be read as a pickle of arrays: "):
        loaded(pickle.dumps(hostile(sentinel)[name], protocol=protocol), tmp_path)
    assert not sentinel.exists()


def test_the_refusal_names_the_file_and_what_it_asked_for(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=rf"{tmp_path}/file cannot be read .* it asks for posix.system, which .* nothing was run"
    ):
        loaded(pickle.dumps(Call(os.system, "true")), tmp_path)


def test_the_same_pickles_are_harmful_elsewhere(tmp_path: Path) -> None:
    """The tests above must be able to fail."""
    sentinel = tmp_path / "sentinel"
    pickle.loads(pickle.dumps(hostile(sentinel)["in an array"]))
    assert sentinel.exists()


F8 = b"cnumpy\ndtype\n(X\x02\x00\x00\x00f8\x89\x88tR"
O8 = b"cnumpy\ndtype\n(X\x02\x00\x00\x00O8\x89\x88tR"
ARRAY = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tC\x01btR"
MADE_UP = {
    "object pointers in bytes": b"\x80\x03" + ARRAY + b"(K\x01(K\x01t" + O8 + b"\x89C\x0812345678tb.",
    "object pointers by a changed flag": b"\x80\x03"
    + ARRAY
    + b"(K\x01(K\x01t"
    + O8
    + b"(K\x03X\x01\x00\x00\x00|NNNK\x08K\x08K\x00tb\x89C\x0812345678tb.",
    "objects in a buffer": b"\x80\x03cnumpy.core.numeric\n_frombuffer\n(C\x0812345678"
    + O8
    + b"(K\x01tX\x01\x00\x00\x00CtR.",
    "a structured type": b"\x80\x03" + F8 + b"(K\x03X\x01\x00\x00\x00<N(X\x01\x00\x00\x00at}K\x08K\x08K\x00tb.",
    "more than its bytes": b"\x80\x03" + ARRAY + b"(K\x01(M\x00\x10t" + F8 + b"\x89C\x0812345678tb.",
    "a negative shape": b"\x80\x03"
    + ARRAY
    + b"(K\x01(J\xff\xff\xff\xffJ\xff\xff\xff\xfft"
    + F8
    + b"\x89C\x0812345678tb.",
    "numpy's array class called": b"\x80\x03cnumpy\nndarray\n(K\x01tR.",
    "numpy's array class made": b"\x80\x03cnumpy\nndarray\n(K\x01t\x81.",
    "a persistent id": b"\x80\x03X\x01\x00\x00\x00aQ.",
    "an extension code": b"\x80\x03\x82\x01.",
    "the reader's own attribute": b"\x80\x03cnumpy\nfind_class\n.",
    "a dotted name": b"\x80\x04\x8c\x05numpy\x8c\x0edtype.__init__\x93.",
    "a buffer out of band": b"\x80\x05\x97.",
    "a changed class": b"\x80\x03castropy.table.table\nTable\nN}X\x01\x00\x00\x00aK\x01s\x86b.",
    "tuples without end": b"\x80\x04N" + b"\x85" * 300_000 + b".",
    "tuples without end as a key": b"\x80\x04}N" + b"\x85" * 300_000 + b"Ns.",
    "sets without end": b"\x80\x04" + b"(" * 100_000 + b"\x91" * 100_000 + b".",
    "more bytes than there are": b"\x80\x05\x96" + (2**40).to_bytes(8, "little") + b".",
    "not a pickle": b"SIMPLE  = T",
    "nothing": b"",
    "half a file": pickle.dumps([np.ones(1000)])[:500],
}


@pytest.mark.parametrize("name", MADE_UP)
def test_made_up_pickles_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be read as a pickle of arrays"):
        loaded(MADE_UP[name], tmp_path)


def test_a_list_that_holds_itself_is_no_trap(tmp_path: Path) -> None:
    endless: list[Any] = []
    endless.append(endless)
    assert isinstance(loaded(pickle.dumps(endless), tmp_path), list)
    deep = b"\x80\x03" + b"]" * 100_000 + b"a" * 99_999 + b"."
    assert isinstance(loaded(deep, tmp_path), list)


def test_nine_bytes_take_no_gigabytes(tmp_path: Path) -> None:
    """They number their only object 2^31; see `resource.getrusage` for the unit."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert loaded(b"\x80\x03Nr\xff\xff\xff\x7f.", tmp_path) is None
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000
