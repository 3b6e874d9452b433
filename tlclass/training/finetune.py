"""Fine-tuning: the stages of a freeze policy, one fit after the other."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tlclass.atomic import write_json
from tlclass.inputs.datamodule import LightCurveDataModule
from tlclass.network.checkpoint import TrainedModel
from tlclass.network.classifier import Classifier
from tlclass.network.transfer import FreezePolicy, TransferReport, assert_unchanged, frozen_copy, set_trainable
from tlclass.training.fit import HISTORY, FitSummary, fit
from tlclass.training.task import FitSettings


@dataclass(frozen=True)
class Process:
    """How a job is run; nothing here decides its result, except what else `trainer` gives to Lightning.

    Attributes:
        trainer: options of Lightning's trainer. progress: a bar, or `auto`: in a terminal only.
    """

    trainer: Mapping[str, Any]
    progress: bool | str = "auto"


@dataclass(frozen=True)
class Start:
    """A network that holds what a policy loads.

    Attributes:
        policy: what to train. report: what was loaded.
        model: the network and what it was made for; `finetune` trains it in place.
    """

    policy: FreezePolicy
    model: TrainedModel
    report: TransferReport

    @property
    def classifier(self) -> Classifier:
        """The network."""
        return self.model.members[0]


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
    progress = sys.stderr.isatty() if process.progress == "auto" else bool(process.progress)
    anchor = {name: classifier.get_parameter(name).detach().clone() for name in start.report.loaded}
    summaries = []
    for number, stage in enumerate(policy.stages):
        set_trainable(classifier, stage.train, policy.name)
        frozen = frozen_copy(classifier)
        staged = replace(settings, learning_rate=settings.learning_rate * stage.rate)
        place = folder / f"stage{number}"
        trainer = process.trainer
        summaries.append(fit(classifier, data, staged, place, trainer, logger, progress, policy.rates, anchor))
        assert_unchanged(classifier, frozen)
    write_json(folder / HISTORY, joined_history(folder, len(policy.stages)))
    return replace(summaries[-1], steps=sum(s.steps for s in summaries), epochs=sum(s.epochs for s in summaries))


def joined_history(folder: Path, stages: int) -> list[dict[str, float]]:
    """The validations of all stages, with steps, epochs and seconds counted from the first one's start."""
    joined: list[dict[str, float]] = []
    for number in range(stages):
        before = joined[-1] if joined else {}
        for line in json.loads((folder / f"stage{number}" / HISTORY).read_text(encoding="utf-8")):
            joined.append(line | {name: line[name] + before.get(name, 0) for name in ("step", "epoch", "seconds")})
    return joined
