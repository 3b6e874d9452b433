"""Fine-tuning: the stages of a freeze policy, one fit after the other."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from torch import Tensor

from tlclass.arrays import Array
from tlclass.atomic import write_json
from tlclass.inputs.datamodule import LightCurveDataModule
from tlclass.network.checkpoint import TrainedModel
from tlclass.network.classifier import Classifier
from tlclass.network.transfer import FreezePolicy, TransferReport, assert_unchanged, frozen_copy, moved, set_trainable
from tlclass.training.fit import FitSummary, Process, fit
from tlclass.training.leavings import HISTORY, Row
from tlclass.training.settings import FitSettings


@dataclass(frozen=True)
class Start:
    """A network that holds what a policy loads.

    Attributes:
        policy: what to train. report: what was loaded.
        model: the network and what it was made for; `finetune` trains it in place.
        frozen: copies of the tensors that must not change, see `never_trained`.
    """

    policy: FreezePolicy
    model: TrainedModel
    report: TransferReport
    frozen: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def classifier(self) -> Classifier:
        """The network."""
        return self.model.members[0]

    @property
    def frozen_identical(self) -> bool:
        """Whether what is frozen is to the last bit what it was before the training, its stages, folds and averages."""
        return not moved(self.classifier, self.frozen)


@dataclass(frozen=True)
class Trained:
    """One member of an ensemble after training.

    Attributes:
        start: holds the network.
        summary: how its fit went, of folds the first one's; None if nothing was trained.
        folder: of that fit, with its `history.json`. row: more for the result row.
        networks: one per fold, before they were averaged, and `parts`: the objects that validated each.
    """

    start: Start
    summary: FitSummary | None
    folder: Path
    row: Row
    networks: Sequence[Classifier] = ()
    parts: Sequence[Array] = ()


def finetune(
    start: Start,
    data: LightCurveDataModule,
    settings: FitSettings,
    folder: Path,
    process: Process,
    logger: Any = None,
) -> FitSummary | None:
    """Fit every stage of the policy; None, and nothing done, where there is no label or nothing to train.

    Args:
        start: its network is left with the best weights of the last stage.
        data: light curves and split.
        settings: of the first stage.
        folder: for the checkpoints, and for `history.json` with the validations of all stages.
        process: how it is run.
        logger: a Lightning logger or None.

    Raises:
        RuntimeError: a frozen tensor moved.
    """
    classifier = start.classifier
    policy = start.policy.with_patterns(classifier.encoder.parts)
    if not data.split.budget or not policy.train:
        return None
    anchor = {name: classifier.get_parameter(name).detach().clone() for name in start.report.loaded}
    summaries = []
    for number, stage in enumerate(policy.stages):
        set_trainable(classifier, stage.train, policy.name)
        frozen = frozen_copy(classifier)
        staged = replace(settings, learning_rate=settings.learning_rate * stage.rate)
        place = folder / f"stage{number}"
        summaries.append(fit(classifier, data, staged, place, process, logger, policy.rates, anchor))
        assert_unchanged(classifier, frozen)
    write_json(folder / HISTORY, joined_history(folder, len(policy.stages)))
    return replace(summaries[-1], steps=sum(s.steps for s in summaries), epochs=sum(s.epochs for s in summaries))


def never_trained(classifier: Classifier, policy: FreezePolicy) -> dict[str, Tensor]:
    """A copy of the tensors that no stage of the policy trains, buffers among them."""
    stages = policy.with_patterns(classifier.encoder.parts).stages
    trained = [pattern for stage in stages for pattern in stage.train]
    parameters = {name for name, _ in classifier.named_parameters()}
    return {
        name: tensor.detach().clone()
        for name, tensor in classifier.state_dict().items()
        if name not in parameters or not any(fnmatchcase(name, pattern) for pattern in trained)
    }


def joined_history(folder: Path, stages: int) -> list[dict[str, float]]:
    """The validations of all stages, with steps, epochs and seconds counted from the first one's start."""
    joined: list[dict[str, float]] = []
    for number in range(stages):
        before = joined[-1] if joined else {}
        for line in json.loads((folder / f"stage{number}" / HISTORY).read_text(encoding="utf-8")):
            joined.append(line | {name: line[name] + before.get(name, 0) for name in ("step", "epoch", "seconds")})
    return joined
