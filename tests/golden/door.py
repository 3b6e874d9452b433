"""All that the golden tests call of the package: where modules move or functions get other names, this file alone changes."""

import functools
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import numpy.typing as npt
import pandas as pd

from tlclass import predict as predict_module
from tlclass import train as train_module
from tlclass.experiments import arm
from tlclass.experiments.cards import build_survey
from tlclass.experiments.composition import compose
from tlclass.inputs.encoding import encode, encoding_from

Array = npt.NDArray[Any]

RESULT, PREDICTIONS, MODEL = "result.json", "predictions.parquet", ("model.json", "model.safetensors")


@dataclass(frozen=True)
class Curves:
    """Selected light curves of one survey as the golden files describe them.

    Attributes:
        object_id, label, lengths: per object.
        encoded: encoding -> (n_obs, channels).
        days: (n_obs,) since the trigger.
        metadata: (n, 2) of the dust column and the redshift.
    """

    object_id: Array
    label: Array
    lengths: Array
    encoded: dict[str, Array]
    days: Array
    metadata: Array


def train(words: Sequence[str]) -> None:
    """`python -m tlclass.train WORDS` in this process, without the calibration of probabilities.

    The golden numbers are those of the plain softmax, as they were before there was a calibration; it has tests of its own.
    """
    with _command_line("tlclass.train", words), patch.object(arm, "made_reliable", lambda model, *_: model):
        train_module.main()


def predict(model: Path, table: Path, output: Path) -> pd.DataFrame:
    """`python -m tlclass.predict MODEL TABLE -o OUTPUT` in this process, and what it wrote."""
    predict_module.main([str(model), str(table), "-o", str(output)])
    return pd.read_csv(output)


def curves_of(words: Sequence[str], encodings: Sequence[str], cache: Path) -> Curves:
    """The target survey of these words of a command line: read, selected, labelled and encoded in every way named."""
    survey = build_survey(compose(words)["target"])
    curves, label = survey.load(cache)
    bands = survey.passbands
    made = {name: encode(curves, bands, encoding_from(_encoding(name)), ("mwebv", "redshift")) for name in encodings}
    first = made[encodings[0]]
    encoded = {name: one.x for name, one in made.items()}
    return Curves(curves.object_id, label, np.diff(first.offsets), encoded, first.days, first.metadata)


@functools.cache
def _encoding(name: str) -> dict[str, Any]:
    settings: dict[str, Any] = compose([f"encoding={name}"])["encoding"]
    return settings


@contextmanager
def _command_line(program: str, words: Sequence[str]) -> Iterator[None]:
    before = sys.argv
    sys.argv = [program, *words]
    try:
        yield
    finally:
        sys.argv = before
