"""Predictions for a whole file or folder: part by part where its format allows, so that memory stays bounded."""

import json
import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from tlclass.atomic import atomic_path
from tlclass.lightcurves.curves import LightCurves
from tlclass.lightcurves.passbands import Passbands
from tlclass.network.checkpoint import TrainedModel
from tlclass.network.released import named_model, released
from tlclass.network.sets import usable
from tlclass.serving.predictions import ABOUT, before_prior, predict_each
from tlclass.serving.priors import ESTIMATE, assumed, estimated
from tlclass.serving.recognise import recognised
from tlclass.serving.request import Estimated, Request
from tlclass.surveys import Survey, door

log = logging.getLogger(__name__)

OUTPUTS = (".parquet", ".csv", ".jsonl")


class Writer(Protocol):
    """Takes tables of predictions one after the other."""

    def write(self, table: pa.Table) -> None:
        """Append."""

    def close(self) -> None:
        """Finish the file."""


@contextmanager
def opened(path: Path, schema: pa.Schema) -> Iterator[Writer]:
    """A writer of predictions, whose form is the suffix of `path`; the file appears when the block ends without an error."""
    with atomic_path(path) as temporary:
        writer = _open(temporary, path.suffix, schema)
        try:
            yield writer
        finally:
            writer.close()


def refuse_output(path: Path, given: Path | Survey) -> None:
    """Raise ValueError, before anything is read, if `path` is not the name of a table, or is a file of the input `given`."""
    if path.suffix not in OUTPUTS:
        raise ValueError(f"output {path}: choose a name that ends in {', '.join(OUTPUTS)}")
    if path.exists():
        read = given.reader.files() if isinstance(given, Survey) else door.accepted(given) or [given]
        if os.path.realpath(path) in {
            os.path.realpath(file) for file in read
        }:  # as resolve, also of links that go round
            raise ValueError(
                f"output {path} is a file of the input {door.name_of(given)} and would replace it: choose another name"
            )


def predict_in_parts(
    model: TrainedModel, source: Path | Survey, request: Request, options: Mapping[str, Any], output: Path
) -> tuple[int, int, str]:
    """Read, classify and write part after part; a survey is read as its card says.

    Where the class proportions are estimated from the input, it is read and classified twice; memory then holds one part, and
    the probabilities of all objects (8 bytes or less a class).

    Returns:
        How many objects there are, how many of them cannot be classified, and under which class proportions.

    Raises:
        FileNotFoundError, ValueError: see `tlclass.surveys.door.read` and `tlclass.serving.predictions.predict`.
    """
    if request.coverage is not None:
        usable(model.sets, request.coverage)  # before anything is read
    origin = door.name_of(source)

    def parts() -> Iterator[LightCurves]:
        return door.parts(source, model.passbands, options, model.input)

    if request.prior == ESTIMATE:
        request = replace(request, prior=_proportions(model, parts(), origin, request))
    objects = silent = 0
    tables = predict_each(model, parts(), origin, request)
    with _progress() as bar:
        first = next(tables)
        with opened(output, first.schema) as writer:
            for table in chain([first], tables):
                writer.write(table)
                objects += len(pc.unique(table["object_id"]))
                silent += _silent(table)
                bar(objects)
    return objects, silent, json.loads(first.schema.metadata[ABOUT])["prior"]


def _proportions(model: TrainedModel, parts: Iterator[LightCurves], origin: str, request: Request) -> Estimated:
    """The class proportions of all parts together; messages about them come when they are classified."""
    old = assumed(model)
    with _unlogged():
        log_probability = [before_prior(model, part, origin, request) for part in parts]
    return Estimated(estimated(log_probability, old))


def _silent(table: pa.Table) -> int:
    """Objects none of whose rows has a class."""
    best = "class" if "class" in table.column_names else "class_1"
    spoken = table.filter(pc.is_valid(table[best]))["object_id"]
    return len(pc.unique(table["object_id"])) - len(pc.unique(spoken))


def model_for(source: Path, options: Mapping[str, Any]) -> str:
    """Name of the released model for the survey of an input; see `tlclass.serving.recognise`.

    Raises:
        ValueError: no model is released, or the survey is not recognised.
    """
    if not released():
        raise ValueError("no released model is installed: name the folder of a model before the input")
    reasons = []
    for passbands, settings in _readings():
        try:
            with _unlogged():
                part = next(filter(len, door.parts(source, passbands, options, settings)))
            return recognised(part, source)
        except ValueError as error:
            reasons.append(str(error))
    raise ValueError(reasons[0])


@contextmanager
def _unlogged() -> Iterator[None]:
    """Without messages: they come again when the input is read to be classified."""
    loggers = [logging.getLogger(name) for name in ("tlclass", "tlclass.surveys")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _readings() -> Iterator[tuple[Passbands, Mapping[str, Any]]]:
    """The passbands and reader settings of each survey that there are released models for."""
    seen = set()
    for name, about in released().items():
        survey = (about["training"].get("default_for") or {}).get("survey")
        if survey and survey not in seen:
            seen.add(survey)
            model = named_model(name)
            yield model.passbands, model.input


def as_csv(table: pa.Table) -> str:
    """A table as the text that a .csv file of it holds."""
    sink = pa.BufferOutputStream()
    writer = _Flat(sink, table.schema)
    writer.write(table)
    writer.close()
    return str(sink.getvalue().to_pybytes().decode())


class _Lines:
    """JSON, an object a line."""

    def __init__(self, path: Path):
        self.file = path.open("w", encoding="utf-8")

    def write(self, table: pa.Table) -> None:
        for row in table.to_pylist():
            self.file.write(json.dumps(row, allow_nan=False) + "\n")

    def close(self) -> None:
        self.file.close()


class _Flat:
    """CSV; lists become text with ` | ` between."""

    def __init__(self, path: "Path | pa.NativeFile", schema: pa.Schema):
        self.writer = pa.csv.CSVWriter(path, pa.schema([_flat_field(column) for column in schema]))

    def write(self, table: pa.Table) -> None:
        for number, column in enumerate(table.schema):
            if pa.types.is_list(column.type):
                joined = pc.binary_join(table[column.name].combine_chunks(), " | ")
                table = table.set_column(number, _flat_field(column), joined)
        self.writer.write_table(table.replace_schema_metadata(None))

    def close(self) -> None:
        self.writer.close()


def _flat_field(column: pa.Field) -> pa.Field:
    return pa.field(column.name, pa.string()) if pa.types.is_list(column.type) else column.remove_metadata()


def _open(path: Path, suffix: str, schema: pa.Schema) -> Writer:
    if suffix == ".jsonl":
        return _Lines(path)
    if suffix == ".csv":
        return _Flat(path, schema)
    writer: Writer = pq.ParquetWriter(path, schema)  # a row group a part
    return writer


@contextmanager
def _progress() -> Iterator[Any]:
    """A function that shows how many objects are done; silent where standard error is no terminal."""
    console = Console(stderr=True)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TextColumn("{task.completed} objects"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("classified", total=None)
        yield lambda objects: progress.update(task, completed=objects)
