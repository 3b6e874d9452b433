"""Arms: the complete recipes that a sweep compares, behind one interface."""

import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from tlclass.atomic import write_json, write_text
from tlclass.baselines.trees import BASELINES, Baseline, fit_and_score
from tlclass.experiments.job import Job, coordinates
from tlclass.experiments.result import CHECKPOINTS
from tlclass.experiments.start import prepare
from tlclass.inputs.encoding import encoding_settings
from tlclass.inputs.split import absent_classes
from tlclass.network.checkpoint import TrainedModel, as_one, save_model
from tlclass.network.history import ADAPTED
from tlclass.network.transfer import FreezePolicy, TransferReport
from tlclass.options import build
from tlclass.quoting import one_of
from tlclass.training.card import CITATION, write_card
from tlclass.training.evaluation import evaluate
from tlclass.training.finetune import Start, Trained, finetune
from tlclass.training.fit import device_of
from tlclass.training.folds import ZERO, choose, splits
from tlclass.training.leavings import HISTORY, SURVEY, Row
from tlclass.training.reliability import Validated, made_reliable

log = logging.getLogger(__name__)
Sources = Sequence[TrainedModel | None]


class Arm(Protocol):
    """A complete recipe. Its class is named in a file of `conf/arm/` by `_target_`; any package may hold it.

    Attributes:
        name: used in folders, tables and figures.
        needs_source: whether it starts from a source model.
        reference: whether the report compares the other arms with it.
    """

    @property
    def name(self) -> str:
        """See above."""

    @property
    def needs_source(self) -> bool:
        """See above."""

    @property
    def reference(self) -> bool:
        """See above."""

    def check(self, job: Job, sources: Sources) -> None:
        """Raise ValueError for what does not fit; `sources` are untrained, so this costs no training."""

    def run(self, job: Job, sources: Sources) -> Row:
        """Train on the labels, score on the test part, leave model and predictions in the job's folder.

        Args:
            job: what is trained on what.
            sources: the model to start from, or None, for each member of the ensemble; mostly there is one.

        Returns:
            The result row: coordinates, then scores.

        Raises:
            ValueError: the arm does not fit the data or the source; says what to choose.
        """


@dataclass(frozen=True)
class FineTune:
    """One freeze policy; the labels are split once into training and validation (the paper).

    Attributes:
        name: see `Arm`.
        policy: options of a `FreezePolicy`.
        is_reference: whether the report compares others with it; None: where it is training from scratch.
    """

    name: str
    policy: Mapping[str, Any]
    is_reference: bool | None = None

    def __post_init__(self) -> None:
        """Raise ValueError for a wrong policy now, not after the pretraining."""
        _ = self.freeze_policy

    @property
    def freeze_policy(self) -> FreezePolicy:
        """What is loaded and trained."""
        return build(FreezePolicy, self.policy, "freeze_policy")

    @property
    def needs_source(self) -> bool:
        """Whether anything is loaded."""
        return bool(self.freeze_policy.load)

    @property
    def reference(self) -> bool:
        """See `Arm`."""
        from_scratch = not self.needs_source and not self.freeze_policy.allow_untrained
        return from_scratch if self.is_reference is None else self.is_reference

    def check(self, job: Job, sources: Sources) -> None:
        """See `Arm`."""
        prepare(job, self.freeze_policy, sources[0], 0)

    def run(self, job: Job, sources: Sources) -> Row:
        """See `Arm`."""
        return run_network(job, sources, self, self._train, self.freeze_policy.name)

    def _train(self, job: Job, source: TrainedModel | None, member: int, folder: Path, logger: Any) -> Trained:
        start = prepare(job, self.freeze_policy, source, member)
        log.info("%s", start.report)
        summary = finetune(start, job.data, job.training.fit, folder, job.process, logger)
        return Trained(start, summary, folder, {}, [start.classifier], [job.data.split.val])


@dataclass(frozen=True)
class Folds:
    """Freeze policies, fitted in folds of the labels; the networks of the best policy's folds are averaged into one.

    Every label trains and validates. With `head=source` the unchanged network takes part as a candidate.

    Attributes:
        name: see `Arm`.
        candidates: options of a `FreezePolicy` by name, from few to many moved weights: where the scores cannot
            tell, the earlier one is taken.
        folds: of the cross-validation.
        up_to: labels; larger budgets are split once, as for a single policy.
        is_reference: whether the report compares others with it.
    """

    name: str
    candidates: Mapping[str, Mapping[str, Any]]
    folds: int = 5
    up_to: int = 1000
    is_reference: bool = False

    def __post_init__(self) -> None:
        """Raise ValueError for policies that cannot be chosen from."""
        if self.folds < 2:
            raise ValueError(f"method.folds is {self.folds}: choose 2 or more")
        if not self.policies:
            raise ValueError("method.candidates is empty: name at least one freeze policy")
        for policy in self.policies:
            if policy.name == ZERO:
                raise ValueError(
                    f"method.candidates: '{ZERO}' is the name of the unchanged weights, which take part by themselves with head=source: "
                    "choose another name"
                )
            if not policy.load:
                raise ValueError(
                    f"method.candidates: '{policy.name}' loads nothing, and networks without common starting weights cannot be averaged: "
                    "run it as a freeze policy of its own"
                )

    @property
    def policies(self) -> list[FreezePolicy]:
        """The candidates in their order."""
        return [
            build(FreezePolicy, {"name": name, **options}, f"method.candidates.{name}")
            for name, options in self.candidates.items()
        ]

    @property
    def needs_source(self) -> bool:
        """Always: the folds' networks must begin at the same weights."""
        return True

    @property
    def reference(self) -> bool:
        """See `Arm`."""
        return self.is_reference

    def check(self, job: Job, sources: Sources) -> None:
        """See `Arm`."""
        self.starting_points(job, sources[0], 0)

    def run(self, job: Job, sources: Sources) -> Row:
        """See `Arm`."""
        return run_network(job, sources, self, self._train, "+".join(self.candidates))

    def starting_points(self, job: Job, source: TrainedModel | None, member: int) -> list[Start]:
        """A network per candidate, and before them, if every part comes from the source, one that changes nothing."""
        starts = [prepare(job, policy, source, member) for policy in self.policies]
        if any(part.new for part in starts[0].report.parts):
            return starts
        zero = FreezePolicy(ZERO, load=starts[0].policy.load, train=())
        return [prepare(job, zero, source, member), *starts]

    def _train(self, job: Job, source: TrainedModel | None, member: int, folder: Path, logger: Any) -> Trained:
        starts = self.starting_points(job, source, member)
        for start in starts:
            log.info("%s", start.report)
        parts = splits(job.data, self.folds, self.up_to)
        return choose(starts, parts, job.training.fit, folder, job.process, logger)


@dataclass(frozen=True)
class Trees:
    """Light-curve features and trees; no network, so source model, encoding, encoder and head have no effect.

    Attributes:
        name: see `Arm`.
        model: `forest` or `lightgbm`.
        options: of the class of that name in `tlclass.baselines.trees`.
        is_reference: whether the report compares others with it.
    """

    name: str
    model: str
    options: Mapping[str, Any]
    is_reference: bool = True

    def __post_init__(self) -> None:
        """Refuse wrong options."""
        _ = self.baseline

    @property
    def baseline(self) -> Baseline:
        """The classifier of features."""
        one_of("arm.model", self.model, BASELINES)
        return build(BASELINES[self.model], {"name": self.name, **self.options}, "arm.options")

    @property
    def needs_source(self) -> bool:
        """Never."""
        return False

    @property
    def reference(self) -> bool:
        """See `Arm`."""
        return self.is_reference

    def check(self, job: Job, sources: Sources) -> None:
        """There is nothing to check before the fit."""

    def run(self, job: Job, sources: Sources) -> Row:
        """See `Arm`."""
        row = coordinates(job, self.name, self.reference) | fit_and_score(self.baseline, job.data, job.folder)
        write_json(job.folder / SURVEY, {"target": job.data.class_counts(), "source": None})
        return {**row, "freeze_policy": ""}


def run_network(
    job: Job,
    sources: Sources,
    arm: Arm,
    train: Callable[[Job, TrainedModel | None, int, Path, Any], Trained],
    freeze_policy: str,
) -> Row:
    """Train and score a network, or an ensemble; leaves the model and the history of its fit in the job's folder.

    Of an ensemble, `history.json`, what is logged of the fit and what the row says about it are those of the first
    member, and of folds those of the first fold.

    Args:
        job, sources: see `Arm.run`.
        arm: for the coordinates.
        train: makes one member.
        freeze_policy: its name, for the row.
    """
    name_absent_classes(job)
    job.data.device = device_of(job.process.trainer)
    trained = [
        train(job, source, member, job.folder / CHECKPOINTS / f"member{member}", None if member else job.logger)
        for member, source in enumerate(sources)
    ]
    start, summary, found = trained[0].start, trained[0].summary, trained[0].row
    if summary:
        write_text(job.folder / HISTORY, (trained[0].folder / HISTORY).read_text(encoding="utf-8"))
    model = replace(start.model, classifier=as_one([each.start.classifier for each in trained]))
    model = made_reliable(model, sources, job.data, validated(trained), job.believed)
    row = coordinates(job, arm.name, arm.reference) | describe(job, sources, start.report)
    row |= {"freeze_policy": freeze_policy, **found, **(vars(summary) if summary else {})}
    row |= evaluate(model, job.data, job.folder)
    row["frozen_identical"] = all(each.start.frozen_identical for each in trained)
    counts, source = job.data.class_counts(), sources[0]
    counts_of_source = source.training.get("counts") if source else None
    write_json(job.folder / SURVEY, {"target": counts, "source": counts_of_source})
    origin = {"source": source.name if source else None, "arm": arm.name, "seed": job.training.seed}
    origin |= {CITATION: job.training.survey.citation}
    adapted = {ADAPTED: source.training[ADAPTED]} if source and ADAPTED in source.training else {}
    model = replace(model, training={**origin, **adapted, "row": row, "counts": counts})
    save_model(model, job.folder)
    write_card(model, job.folder)
    shutil.rmtree(job.folder / CHECKPOINTS, ignore_errors=True)
    return row


def validated(trained: Sequence[Trained]) -> Validated | None:
    """The networks of all members and the labels they were not trained on, if the members have the same folds."""
    parts = trained[0].parts
    alike = all([part.tolist() for part in each.parts] == [part.tolist() for part in parts] for each in trained)
    if not alike or not any(len(part) for part in parts):
        return None
    return Validated([each.networks for each in trained], parts)


def name_absent_classes(job: Job) -> None:
    """Name the classes without a training object in the log."""
    data = job.data
    missing = absent_classes(data.label[data.split.train], data.classes)
    if missing and data.split.budget:
        known = "the network knows these classes from the source model alone"
        then = known if job.training.head["name"] == "source" else "expect scores near chance for these classes"
        message = "no training object of %s among the %d labels of seed %d: %s"
        log.warning(message, ", ".join(missing), data.split.budget, data.seed, then)


def describe(job: Job, sources: Sources, report: TransferReport) -> Row:
    """What was trained on what, for the row."""
    source, data, training = sources[0], job.data, job.training
    adapted = source.training.get(ADAPTED, {}) if source else {}
    return {
        "source": source.name if source else "",
        "source_simulated": bool(source and source.simulated),
        "adapt": adapted.get("name", ""),
        "unlabelled": adapted.get("objects", 0),
        "head": training.head["name"],
        "encoder": training.encoder["name"],
        "encoding": encoding_settings(training.encoding)["name"],
        "members": len(sources),
        "trained_parameters": report.trained,
        "parameters": report.total,
        "absent_in_training": absent_classes(data.label[data.split.train], data.classes),
    }
