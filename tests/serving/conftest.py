"""A small model trained on simulated light curves, with calibration, prediction sets and novelty; made once."""

from pathlib import Path

import pytest

from tests.conftest import SMALL
from tlclass.network.checkpoint import TrainedModel, load_model
from tlclass.serving.making import Recipe, make, pretrain_all

OVERRIDES = (
    "arm=transfer", "target=bts", "source=bts_simulated", "taxonomy@source.taxonomy=twelve", "source.n_objects=240", "labels=0", "target.reader.extra=[]",
)  # fmt: skip


@pytest.fixture(scope="session")
def released_folder(tmp_path_factory: pytest.TempPathFactory, data: Path, cache: Path) -> Path:
    """What `tlclass.release` leaves for one model."""
    folder = tmp_path_factory.mktemp("released")
    words = [
        *SMALL,
        "members=2",
        "pretrain.fit.max_epochs=1",
        f"paths.data={data}",
        f"paths.cache={cache}",
        f"paths.models={folder}/models",
    ]
    recipe = Recipe("tiny", "Five classes, for tests.", OVERRIDES, "ztf", "detections")
    pretrain_all([recipe], words, 1)
    make(recipe, words, folder / "tiny")
    return folder / "tiny"


@pytest.fixture(scope="session")
def released_model(released_folder: Path) -> TrainedModel:
    return load_model(released_folder)
