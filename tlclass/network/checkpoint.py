"""Self-describing model files: safetensors and JSON, so that loading a stranger's model runs no code."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch

from tlclass import __version__
from tlclass.atomic import atomic_path, write_json
from tlclass.inputs.encoding import ENCODINGS, Encoding, encoding_from, encoding_settings
from tlclass.lightcurves.passbands import Passbands
from tlclass.lightcurves.selection import Selection
from tlclass.lightcurves.taxonomy import Taxonomy
from tlclass.network.calibration import Calibration
from tlclass.network.classifier import ENCODERS, Classifier, Ensemble, build_classifier
from tlclass.network.heads import HEADS
from tlclass.network.novelty import Novelty
from tlclass.network.sets import PredictionSets
from tlclass.network.soundness import description_of, refuse_infinite, refuse_misfit
from tlclass.network.training_range import TrainingRange
from tlclass.options import MISTAKES
from tlclass.quoting import shortened
from tlclass.wording import TRUST

FORMAT = 3  # 2: the novelty score looks at other statistics, and at no entropy. 1: without training range, calibration, sets and novelty
READABLE = (1, 2, 3)
WEIGHTS, DESCRIPTION = "model.safetensors", "model.json"
CARD = "README.md"  # the name that model hubs show
RELIABILITY = "reliability.safetensors"  # arrays of the prediction sets and of the novelty


@dataclass(frozen=True)
class TrainedModel:
    """A classifier and all that is needed to use it on other light curves.

    Attributes:
        classifier: the network or an ensemble of networks, in evaluation mode.
        encoder, head: their settings. encoding, passbands, taxonomy, selection: of the survey it was trained for.
        survey: that survey's name. simulated: whether any of its training data were simulated.
        input: how that survey's files are read (columns, extra columns, flux unit, time offset, forced photometry), the
            default for `predict`.
        training: where it comes from: source, policy, budget, seed, scores. Informative only.
        trained_on: what its training data were like; None where that is not known (models of format 1).
        calibration: from logits to probabilities; None: the softmax as it is.
        sets: thresholds of the prediction sets, or None. novelty: the score of what is like none of the classes, or None.
        folder: where it was loaded from, or None.
    """

    classifier: Classifier | Ensemble
    encoder: Mapping[str, Any]
    head: Mapping[str, Any]
    encoding: Encoding
    passbands: Passbands
    taxonomy: Taxonomy
    selection: Selection
    survey: str
    simulated: bool
    input: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    trained_on: TrainingRange | None = None
    calibration: Calibration | None = None
    sets: PredictionSets | None = None
    novelty: Novelty | None = None
    folder: Path | None = field(default=None, compare=False)

    @property
    def name(self) -> str:
        """What to call it: the released model that it is, or the survey that it was trained for."""
        return str(self.training.get("release") or self.survey)

    @property
    def row(self) -> Mapping[str, Any]:
        """The result row of the job that trained it; empty where there was none, as for released models."""
        row: Mapping[str, Any] = self.training.get("row") or {}
        return row

    @property
    def labels(self) -> int:
        """On how many labels it was trained and validated, as far as its row says."""
        return int(self.row.get("n_train", 0) + self.row.get("n_val", 0))

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in output order."""
        return self.taxonomy.classes

    @property
    def members(self) -> list[Classifier]:
        """The networks of the ensemble, or the one network."""
        return list(self.classifier.members) if isinstance(self.classifier, Ensemble) else [self.classifier]  # type: ignore[arg-type]

    @property
    def trained_passbands(self) -> frozenset[str | None]:
        """The passbands that its training data had, all it has a wavelength for where that is not known."""
        names = self.passbands.names if self.trained_on is None else self.trained_on.passbands
        return frozenset(map(self.passbands.resolve, names))

    @property
    def metadata(self) -> tuple[str, ...]:
        """Metadata columns the network takes."""
        return tuple(self.encoder.get("metadata", ()))


def save_model(model: TrainedModel, folder: Path) -> None:
    """Write `model.safetensors`, `reliability.safetensors` where there is any, and last `model.json`, each atomically."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.classifier.state_dict().items()}
    with atomic_path(folder / WEIGHTS) as temporary:
        safetensors.torch.save_file(tensors, temporary)
    arrays = _arrays(model)
    if arrays:
        with atomic_path(folder / RELIABILITY) as temporary:
            safetensors.torch.save_file(arrays, temporary)
    write_json(
        folder / DESCRIPTION,
        {
            "format": FORMAT,
            "tlclass": __version__,
            "weights_sha256": _digest(folder / WEIGHTS),
            "classes": list(model.classes),
            "channels": list(model.encoding.channels),
            "encoder": dict(model.encoder),
            "head": dict(model.head),
            "members": len(model.members),
            "encoding": encoding_settings(model.encoding),
            "passbands": model.passbands.to_mapping(),
            "taxonomy": model.taxonomy.to_mapping(),
            "selection": model.selection.to_mapping(),
            "survey": model.survey,
            "simulated": model.simulated,
            "input": dict(model.input),
            "training": dict(model.training),
            "trained_on": model.trained_on.to_mapping() if model.trained_on else None,
            "calibration": model.calibration.to_mapping() if model.calibration else None,
            "reliability_sha256": _digest(folder / RELIABILITY) if arrays else None,
        },
    )


def load_model(path: Path) -> TrainedModel:
    """Load what `save_model` wrote; `path` is the folder or its `model.json`.

    Raises:
        FileNotFoundError: there is no model.
        ValueError: its files are damaged, do not belong together, or come from a newer format.
    """
    folder = _model_folder(path)
    try:
        about = description_of(folder / DESCRIPTION)
        if about["format"] not in READABLE:
            raise ValueError(
                f"{folder / DESCRIPTION} has format {shortened(about['format'])}, this version reads {', '.join(map(str, READABLE))}: update tlclass"
            )
        for name, digest in ((WEIGHTS, about["weights_sha256"]), (RELIABILITY, about.get("reliability_sha256"))):
            if digest is not None and (not (folder / name).is_file() or _digest(folder / name) != digest):
                raise ValueError(
                    f"{folder}: {name} is not the file that {DESCRIPTION} describes (checksum): copy both again"
                )
        return _rebuild(about, folder)
    except MISTAKES as error:
        if str(folder) in str(error):
            raise
        raise ValueError(f"{folder / DESCRIPTION}: {error}") from error
    except Exception as error:  # whatever a damaged or made-up description makes of it
        raise ValueError(
            f"{folder} does not hold a readable model: {type(error).__name__} {shortened(error, 200)}: copy its files again"
        ) from error


def model_digest(path: Path) -> str:
    """Hash of the files that `load_model` reads.

    Raises:
        FileNotFoundError: there is no model.
    """
    folder = _model_folder(path)
    return hashlib.sha256(f"{_digest(folder / DESCRIPTION)}{_digest(folder / WEIGHTS)}".encode()).hexdigest()[:16]


def _model_folder(path: Path) -> Path:
    folder = path.parent if path.name == DESCRIPTION else path
    for name in (DESCRIPTION, WEIGHTS):
        if not (folder / name).is_file():
            raise FileNotFoundError(
                f"no model at {folder}: name a folder with {DESCRIPTION} and {WEIGHTS}, which `tlclass train` and `tlclass adapt` write "
                "at their end (if one was stopped, run it again)"
            )
    return folder


def _rebuild(about: dict[str, Any], folder: Path) -> TrainedModel:
    refuse_unknown_parts(about)
    taxonomy, encoding = Taxonomy(**about["taxonomy"]), encoding_from(about["encoding"])
    for name, of_parts in (("classes", taxonomy.classes), ("channels", encoding.channels)):
        if list(about[name]) != list(of_parts):
            raise ValueError(
                f"{folder / DESCRIPTION}: {name} are {shortened(about[name])}, its taxonomy and encoding give {shortened(list(of_parts))}: copy it again"
            )
    for name, kind in (("survey", str), ("simulated", bool), ("input", dict), ("training", dict)):
        if not isinstance(about[name], kind):
            raise ValueError(f"{folder / DESCRIPTION}: {name} is {shortened(about[name])}: copy it again")
    build = partial(build_classifier, about["encoder"], about["head"], len(encoding.channels), len(taxonomy.classes))
    number, tensors = about.get("members", 1), safetensors.torch.load_file(folder / WEIGHTS)
    refuse_infinite(tensors, folder / WEIGHTS)
    refuse_misfit(build, number, tensors, folder)
    classifier = as_one([build() for _ in range(number)])
    try:
        classifier.load_state_dict(tensors)
    except RuntimeError as error:
        raise ValueError(
            f"{folder}: the weights do not fit the architecture in {DESCRIPTION}: {shortened(error, 200)}"
        ) from error
    return TrainedModel(
        classifier=classifier.eval(),
        encoder=about["encoder"],
        head=about["head"],
        encoding=encoding,
        passbands=Passbands.from_mapping(about["passbands"]),
        taxonomy=taxonomy,
        selection=_selection(about["selection"], folder),
        survey=about["survey"],
        simulated=about["simulated"],
        input=about["input"],
        training=about["training"],
        trained_on=TrainingRange.from_mapping(about["trained_on"]) if about.get("trained_on") else None,
        calibration=Calibration.from_mapping(about["calibration"]) if about.get("calibration") else None,
        folder=folder,
        **_reliability(folder, about),
    )


def _selection(settings: Any, folder: Path) -> Selection:
    try:
        return Selection.from_mapping(settings)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{folder / DESCRIPTION}: {shortened(error, 200)}: copy it again") from None


def _arrays(model: TrainedModel) -> dict[str, torch.Tensor]:
    """What `reliability.safetensors` holds, by name."""
    parts = {"sets": model.sets, "novelty": model.novelty}
    return {f"{name}.{key}": t for name, part in parts.items() if part is not None for key, t in part.tensors().items()}


def _reliability(folder: Path, about: dict[str, Any]) -> dict[str, Any]:
    """The inverse: keyword arguments of `TrainedModel`."""
    if about.get("reliability_sha256") is None:
        return {}
    arrays = safetensors.torch.load_file(folder / RELIABILITY)
    refuse_infinite(arrays, folder / RELIABILITY)

    def part(name: str) -> dict[str, torch.Tensor]:
        return {key.removeprefix(f"{name}."): t for key, t in arrays.items() if key.startswith(f"{name}.")}

    sets, novelty = part("sets"), part("novelty")
    return {
        "sets": PredictionSets.from_tensors(sets) if sets else None,
        "novelty": Novelty.from_tensors(novelty) if novelty else None,
    }


def refuse_unknown_parts(about: Mapping[str, Any]) -> None:
    """Raise ValueError for an encoder, a head or an encoding of a package that is not imported."""
    tables: Mapping[str, Mapping[str, Any]] = {"encoder": ENCODERS, "head": HEADS, "encoding": ENCODINGS}
    for place, table in tables.items():
        if about[place]["name"] not in table:
            raise ValueError(f"{place} '{shortened(about[place]['name'])}' is not among {', '.join(table)}: {TRUST}")


def as_one(members: Sequence[Classifier]) -> Classifier | Ensemble:
    """The only member, or the ensemble of several."""
    return Ensemble(members) if len(members) > 1 else members[0]


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
