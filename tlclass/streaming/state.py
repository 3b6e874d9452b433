"""What is remembered of a live object, and as which bytes it is stored."""

import json
import struct
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tlclass.arrays import Array
from tlclass.streaming.arrivals import ABOUT, NOTHING_KNOWN, SEEN

Network = dict[str, Array]  # `Encoder.step`'s state of one object, as arrays

# The selected observations without which the next cannot be encoded; as in `LightCurves`.
KEPT = np.dtype([("mjd", "f8"), ("flux", "f4"), ("flux_err", "f4"), ("passband", "u1"), ("detected", "?")])
FACTS = f"<I{len(ABOUT) + 3}d"  # length of the JSON head; what is known of the object, and its times
NO_ROWS, NOTHING_KEPT, NO_REPORT = np.empty(0, SEEN), np.empty(0, KEPT), np.empty(0, "f8")


@dataclass(frozen=True)
class Live:
    """One object.

    Attributes:
        rows: every distinct row that arrived, in order of time.
        about: see `tlclass.streaming.arrivals.Arrival`.
        contested: whether two rows of one exposure are equally good.
        steps: how many selected observations the networks have seen; 0: there is no network state. detections: how many of them are such.
        zero, first, last: MJD of time zero, and of the first and last of those observations.
        kept: those that the encoding of the next needs.
        networks: state of each network of the ensemble.
        reported: probabilities that were last put out.
    """

    rows: Array = field(default_factory=lambda: NO_ROWS)
    about: tuple[float, ...] = NOTHING_KNOWN
    contested: bool = False
    steps: int = 0
    detections: int = 0
    zero: float = np.nan
    first: float = np.nan
    last: float = np.nan
    kept: Array = field(default_factory=lambda: NOTHING_KEPT)
    networks: tuple[Network, ...] = ()
    reported: Array = field(default_factory=lambda: NO_REPORT)


def to_bytes(live: Live) -> bytes:
    """The inverse of `from_bytes`."""
    arrays = [live.rows, live.kept, live.reported]
    shapes: list[Any] = []
    for network in live.networks:
        shapes.append([[name, array.dtype.str, list(array.shape)] for name, array in network.items()])
        arrays += network.values()
    about = [*live.about, live.zero, live.first, live.last]
    counts = [len(live.rows), len(live.kept), len(live.reported), live.contested, live.steps, live.detections]
    head = json.dumps([*counts, shapes]).encode()
    return b"".join([struct.pack(FACTS, len(head), *about), head, *(array.tobytes() for array in arrays)])


def from_bytes(content: bytes) -> Live:
    """What `to_bytes` stored."""
    length, *about = struct.unpack_from(FACTS, content)
    start = struct.calcsize(FACTS)
    rows, kept, reported, is_contested, steps, detections, shapes = json.loads(content[start : start + length])
    place = start + length

    def take(dtype: Any, shape: list[int]) -> Array:
        nonlocal place
        count = int(np.prod(shape))
        array = np.frombuffer(content, dtype, count, place).reshape(shape)
        place += array.nbytes
        return array

    seen, needed, said = take(SEEN, [rows]), take(KEPT, [kept]), take("f8", [reported])
    networks = tuple({name: take(kind, shape) for name, kind, shape in network} for network in shapes)
    *told, zero, first, last = about
    return Live(seen, tuple(told), is_contested, steps, detections, zero, first, last, needed, networks, said)
