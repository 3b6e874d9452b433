"""Light curves held out from a source model and stored beside it, to calibrate models made from it without labels."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy

from tlclass.arrays import Array
from tlclass.atomic import atomic_path
from tlclass.inputs.datamodule import LightCurveDataModule
from tlclass.inputs.encoding import Encoded
from tlclass.lightcurves.curves import HOST_NUMBERS

HELDOUT = "heldout.safetensors"
MOST = 4000  # light curves that are kept
VERSION = "1"


@dataclass(frozen=True)
class Heldout:
    """Encoded light curves of a test part.

    Attributes:
        encoded: n light curves.
        label: (n,) index into `classes`.
        classes: of the model that never saw them.
        simulated: whether they are simulated.
        survey: where they come from.
        digest: (n,) first eight bytes of the SHA-256 of each object's id, to find the same objects beside several networks.
    """

    encoded: Encoded
    label: Array
    classes: tuple[str, ...]
    simulated: bool
    survey: str
    digest: Array

    def __len__(self) -> int:
        return len(self.label)

    def take(self, objects: Array) -> "Heldout":
        """The light curves at these indices."""
        return Heldout(
            self.encoded.take(objects), self.label[objects], self.classes, self.simulated, self.survey,
            self.digest[objects],
        )  # fmt: skip


def heldout_of(data: LightCurveDataModule) -> Heldout:
    """The test part of a pretraining, at most `MOST` objects: a random choice by their ids, the same for every network.

    Hosts are hidden of as many as in training (`Augmentation.drop_host`), for a calibration and a novelty score that hold for both.
    """
    ids = data.curves.object_id[data.split.test]
    digest = np.array([_digest(name) for name in ids], dtype=np.int64)
    chosen = np.sort(np.argsort(digest, kind="stable")[:MOST])
    part = data.split.test[chosen]
    encoded = data.encoded.take(part)
    hosts = [name in HOST_NUMBERS for name in data.metadata]
    if any(hosts):
        hidden = np.mod(digest[chosen], 1000) < 1000 * data.augmentation.drop_host
        encoded = replace(
            encoded, metadata=np.where(hidden[:, None] & np.array(hosts), np.float32(np.nan), encoded.metadata)
        )
    return Heldout(
        encoded, data.label[part], data.classes, data.survey.simulated, data.survey.name,
        digest[chosen],
    )  # fmt: skip


def write_heldout(heldout: Heldout, folder: Path) -> None:
    """Write `heldout.safetensors` into the folder of a source model, atomically."""
    encoded = heldout.encoded
    tensors = {
        "x": encoded.x,
        "offsets": encoded.offsets,
        "days": encoded.days,
        "metadata": encoded.metadata,
        "label": heldout.label.astype(np.int64),
        "digest": heldout.digest,
    }
    about = {"version": VERSION, "classes": json.dumps(list(heldout.classes)), "survey": heldout.survey}
    about["simulated"] = json.dumps(heldout.simulated)
    with atomic_path(folder / HELDOUT) as temporary:
        safetensors.numpy.save_file({name: np.ascontiguousarray(t) for name, t in tensors.items()}, temporary, about)


def read_heldout(folder: Path) -> Heldout | None:
    """What `write_heldout` left in a folder; None if there is no such file.

    Raises:
        ValueError: the file is damaged.
    """
    path = folder / HELDOUT
    if not path.exists():
        return None
    try:
        with safetensors.safe_open(path, framework="np") as file:
            about = file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        encoded = Encoded(tensors["x"], tensors["offsets"], tensors["days"], tensors["metadata"])
        classes, simulated = tuple(json.loads(about["classes"])), bool(json.loads(about["simulated"]))
        return Heldout(encoded, tensors["label"], classes, simulated, about["survey"], tensors["digest"])
    except (KeyError, TypeError, ValueError, safetensors.SafetensorError) as error:
        raise ValueError(f"{path} is damaged ({type(error).__name__} {error}): pretrain the model again") from error


def common(parts: Sequence[Heldout]) -> list[Heldout]:
    """Of each the objects that all of them have, in one order; for an ensemble whose networks were held out from the same."""
    shared = parts[0].digest
    for part in parts[1:]:
        shared = np.intersect1d(shared, part.digest)
    shared = np.sort(shared)
    found = []
    for part in parts:
        order = np.argsort(part.digest, kind="stable")
        found.append(part.take(order[np.searchsorted(part.digest[order], shared)]))
    return found


def _digest(name: str) -> int:
    return int.from_bytes(hashlib.sha256(str(name).encode()).digest()[:8], "little", signed=True)
