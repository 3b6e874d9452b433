"""`ClassifierTask`: the same training for a user who assembles data, network and Lightning's trainer by hand."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from tlclass.inputs.datamodule import LightCurveDataModule
from tlclass.network.classifier import Classifier, build_classifier
from tlclass.options import checked_arguments
from tlclass.seeds import stream
from tlclass.training.losses import CrossEntropy, Loss
from tlclass.training.metrics import classification_scores
from tlclass.training.schedules import Constant, Schedule
from tlclass.training.settings import FitSettings, MakeOptimizer
from tlclass.training.task import FitTask
from tlclass.wording import in_python, reworded


class ClassifierTask(FitTask):
    """A network and how one step trains it, for `lightning.Trainer`.

    >>> task = ClassifierTask(["wavelength_um", "time", "flux", "flux_err"], ["SN Ia", "SN II"], encoder="transformer")
    >>> sum(parameter.numel() for parameter in task.parameters())
    119074

    With a `LightCurveDataModule` the class weights and the scale of metadata are taken from its training part when the fit
    begins; with other data set `class_weights=False` or copy weights into `task.class_weights`.
    `ClassifierTask.load_from_checkpoint` restores the network; loss, optimizer and schedule are not stored.

    Args:
        channels: names of the input channels, `data.channels`.
        classes: names of the classes in output order, `data.classes`.
        encoder: a name, or name and options, as in `conf/model/`.
        head: the same, as in `conf/head/`.
        learning_rate: before the schedule.
        class_weights: whether rare classes weigh more in the loss.
        truncate: share of training batches that are cut at random observations, so that early light curves are learnt too.
        truncation: see `FitSettings`.
        seed: of initial weights, truncation and dropout.
        loss: see `FitSettings`.
        optimizer: see `FitSettings`.
        schedule: see `FitSettings`.

    Raises:
        ValueError: the encoder or the head is unknown, an argument is of a wrong kind, or a number is out of range.
    """

    classifier: Classifier

    def __init__(
        self,
        channels: Sequence[str],
        classes: Sequence[str],
        encoder: str | Mapping[str, Any] = "gru",
        head: str | Mapping[str, Any] = "linear",
        learning_rate: float = FitSettings.learning_rate,
        class_weights: bool = FitSettings.class_weights,
        truncate: float = FitSettings.truncate,
        truncation: str = FitSettings.truncation,
        seed: int = 0,
        loss: Loss | None = None,
        optimizer: MakeOptimizer = torch.optim.Adam,
        schedule: Schedule | None = None,
    ):
        (
            channels, classes, encoder, head, learning_rate, class_weights, truncate, truncation, seed, loss, optimizer,
            schedule,
        ) = checked_arguments(ClassifierTask.__init__, locals()).values()  # fmt: skip
        channels, classes = list(channels), list(classes)
        encoder, head = options_of(encoder, "encoder", "gru"), options_of(head, "head", "linear")
        with reworded(_of_task):
            settings = FitSettings(
                learning_rate=learning_rate, class_weights=class_weights, truncate=truncate, truncation=truncation,
                loss=loss or CrossEntropy(), optimizer=optimizer, schedule=schedule or Constant(),
            )  # fmt: skip
            built = build_classifier(encoder, head, len(channels), len(classes), stream(seed, "initialisation"))
        super().__init__(built, torch.ones(len(classes)), settings, seed)
        self.classes = classes
        self.save_hyperparameters(ignore=["loss", "optimizer", "schedule"])

    def setup(self, stage: str) -> None:
        """Take from the training part what belongs to the data."""
        data = getattr(self.trainer, "datamodule", None)
        if not isinstance(data, LightCurveDataModule):
            return
        self._refuse_other("channels", data.channels)
        if "metadata" in self.hparams["encoder"]:
            self._refuse_other("metadata", data.metadata)
        if stage != "predict":  # which looks at no class
            self._refuse_other("classes", data.classes)
        if stage != "fit":
            return
        self.settings = replace(self.settings, balance=data.balance)
        if self.settings.class_weights:
            self.class_weights.copy_(data.class_weights())
        self.classifier.encoder.standardise_by(torch.from_numpy(data.encoded.metadata[data.split.train]))

    def _refuse_other(self, kind: str, of_data: Sequence[str]) -> None:
        """Raise ValueError if the network was made for other data."""
        own = (self.hparams["encoder"] if kind == "metadata" else self.hparams)[kind]
        if list(own) != list(of_data):
            where = (
                "ClassifierTask encoder={..., 'metadata': data.metadata}"
                if kind == "metadata"
                else f"ClassifierTask {kind}=data.{kind}"
            )
            raise ValueError(
                f"the task has the {kind} {', '.join(own)}, the data {', '.join(of_data) or 'none'}: give {where}"
            )

    def on_test_epoch_end(self) -> None:
        """Log every score of the test part: `test/auroc_macro`, `test/auroc/TDE`, `test/log_loss`, ..."""
        scores = classification_scores(*self.collected(), self.classes)
        self.log_dict({f"test/{name}": value for name, value in scores.items()}, sync_dist=True)


def options_of(named: str | Mapping[str, Any], what: str, example: str) -> dict[str, Any]:
    """A name alone as `{name: ...}`; plain types, so that a checkpoint loads without running code.

    Raises:
        ValueError: options without a name.
    """
    if isinstance(named, str):
        return {"name": named}
    if "name" not in named:
        raise ValueError(f"{what} is {dict(named)}, which has no name: add one, such as 'name': '{example}'")
    return dict(named)


def _of_task(message: str) -> str:
    """A message in the words of `ClassifierTask`."""
    return re.sub("^model(?=[ .:])", "encoder", in_python(message).removeprefix("fit."))
