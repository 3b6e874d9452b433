"""A small model trained on simulated light curves, with calibration, prediction sets and novelty; made once."""

from pathlib import Path

import pytest

from tests.conftest import SMALL, Once
from tlclass.network.checkpoint import TrainedModel, load_model
from tlclass.serving.making import Recipe, make, pretrain_all

OVERRIDES = (
    "arm=transfer", "target=bts", "source=bts_simulated", "taxonomy@source.taxonomy=twelve", "source.n_objects=240", "labels=0", "target.reader.extra=[]",
)  # fmt: skip


RECIPE = Recipe("tiny", "Five classes, for tests.", OVERRIDES, "ztf", "detections")


@pytest.fixture(scope="session")
def released_words(once: Once, data: Path, cache: Path) -> list[str]:
    """Words of `tlclass.train` for small models."""
    models = once("source_models", lambda folder: None)
    return [
        *SMALL,
        "members=2",
        "pretrain.fit.max_epochs=1",
        f"paths.data={data}",
        f"paths.cache={cache}",
        f"paths.models={models}/models",
    ]


@pytest.fixture(scope="session")
def released_folder(once: Once, released_words: list[str]) -> Path:
    """What `tlclass.release` leaves for one model."""

    def release(folder: Path) -> None:
        pretrain_all([RECIPE], released_words, 1)
        make(RECIPE, released_words, folder / "tiny")

    return once("released", release) / "tiny"


@pytest.fixture(scope="session")
def released_model(released_folder: Path) -> TrainedModel:
    return load_model(released_folder)
