"""The plan of a job: the settings of the command line as one typed object, built and checked once.

Modules below this one take these objects, not dictionaries.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from tlclass import plugins
from tlclass.config import CONF, cache_folder
from tlclass.experiments.adapting import adaptation_from
from tlclass.experiments.arm import Arm
from tlclass.experiments.cards import build_survey
from tlclass.experiments.devices import refuse_unusable
from tlclass.experiments.fitting import GROUPS, callbacks_from, fit_from, named_from
from tlclass.experiments.groups import arm_from, encoding_for, named, target_head, trainer_options, with_flux_scale
from tlclass.experiments.job import Training
from tlclass.experiments.result import config_key
from tlclass.inputs.augmentation import Augmentation, augmentation_from
from tlclass.inputs.encoding import encoding_from
from tlclass.inputs.labelling import Labelling
from tlclass.inputs.split import Labels, Protocol
from tlclass.network.classifier import ENCODERS
from tlclass.network.heads import HEADS
from tlclass.network.released import model_folder
from tlclass.options import build, build_named, nearest
from tlclass.plugins import Trust
from tlclass.surveys import Joint, Several, Survey, Union
from tlclass.training.distillation import Distillation
from tlclass.training.fit import Process
from tlclass.training.settings import FitSettings

SCRATCH = "from_scratch"  # arms whose names begin so load nothing
KEYS = (  # what a configuration holds beside GROUPS and Scalars
    *("source", "target", "encoding", "model", "head", "freeze_policy", "arm", "method", "augmentation", "adapt"),
    *("labelling", "trainer", "callbacks", "labels", "protocol", "fit", "pretrain", "logger", "launcher", "paths"),
    *("sizes", "trust"),
)


@dataclass(frozen=True)
class Paths:
    """Where files lie.

    Attributes:
        data: raw survey files. cache: parsed surveys; null: TLCLASS_CACHE or ~/.cache/tlclass.
        models: source models, pretrained or adapted without labels. results: of the jobs.
    """

    data: Path
    cache: Path
    models: Path
    results: Path


@dataclass(frozen=True)
class Pretraining:
    """How the source model is trained; its encoding and encoder are the target's.

    Attributes:
        seed: number of the ensemble; the seeds of its members are `seed * members`, + 1, and so on.
        flux_scale: of the source's encoding; give another number if its fluxes are brighter or fainter than the target's.
        labels: how many labels of the source are used.
        head, protocol, fit, augmentation: see `Training`.
    """

    seed: int
    flux_scale: float | None
    head: Mapping[str, Any]
    labels: Labels
    protocol: Protocol
    fit: FitSettings
    augmentation: Augmentation


@dataclass(frozen=True)
class Scalars:
    """The settings that belong to no group.

    Attributes:
        experiment_name: folder of the results, and group of the dashboards.
        seed: number from which all random draws of a job follow: labels, initial weights and shuffling are separate streams.
        members: networks whose mean probability is the prediction, each from a source model of its own.
        threads: threads of torch in this process; a sweep is fastest with one per job.
        overwrite: whether to replace a job whose configuration or data differ.
        progress: `auto` (a bar in a terminal, lines in a log file), true or false.
        source_model: model to start from: a released one (`ztf-alerts-12`), a folder or hf://USER/NAME; null: pretrain on `source` once and keep that model.
        tags: tags of the runs in dashboards.
        notes: text for the runs in dashboards, e.g. why you ran this.
    """

    experiment_name: str
    seed: int
    members: int
    threads: int
    overwrite: bool
    progress: bool | str
    source_model: str | None
    tags: tuple[str, ...]
    notes: str

    def __post_init__(self) -> None:
        """Raise ValueError for a value out of range."""
        if isinstance(self.progress, str) and self.progress != "auto":
            raise ValueError(f"progress is '{self.progress}': give auto, true or false")
        for name in ("members", "threads"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: choose 1 or more")


@dataclass(frozen=True)
class Plan(Scalars):
    """Everything that a job does.

    Attributes:
        arm: the recipe.
        target: the survey to be classified. source: the survey of the source model; None where the arm needs none.
        training: what is trained on the target.
        adaptation: of the source networks to unlabelled light curves of the target; None for none.
        pretrain: how the source model is trained. source_folder: of a model to start from instead.
        labelling: which objects of the pool get the labels.
        process: how it is run. launcher: name and options of the launcher. logger: name -> card, as in `conf/logger/`.
        trust: what cards may build beside the classes of `tlclass`; see `tlclass.experiments.cards`.
        paths: where files lie.
        config: what the user composed, for the job's folder, its key and the dashboards.
    """

    arm: Arm
    target: Survey | Several
    source: Survey | Several | None
    training: Training
    adaptation: Distillation | None
    pretrain: Pretraining
    labelling: Labelling
    source_folder: Path | None
    process: Process
    launcher: Mapping[str, Any]
    logger: Mapping[str, Any]
    trust: Trust
    paths: Paths
    config: Mapping[str, Any]

    def __post_init__(self) -> None:
        """Raise ValueError for contradictory settings."""
        refuse_unusable(self.process.trainer)
        if self.adaptation is not None and not self.arm.needs_source:
            raise ValueError(
                f"adapt={self.adaptation.name} adapts the networks of a source model, and arm={self.arm.name} has none: choose adapt=none"
            )
        if self.labelling.chooses and not self.training.protocol.same_test:
            raise ValueError(
                f"labelling={self.labelling.name} chooses which objects get a label, and protocol.test={self.training.protocol.test} would "
                "test on the objects that are left, which is no fair test: choose protocol.test=fixed or protocol.test=tuning"
            )
        if self.source is not None and self.source_folder is None:
            refuse_twins(self.source, self.target)

    @property
    def key(self) -> str:
        """Hash of what decides the result."""
        return config_key(self.config)

    def pretraining(self) -> list[tuple[Training, dict[str, Any]]]:
        """Of each member of the source ensemble: what is trained, and what decides its result.

        Raises:
            ValueError: the arm needs no source, or the source's card states no flux scale.
        """
        if self.source is None:
            raise ValueError(f"arm={self.arm.name} needs no source model")
        first, given, config = self.pretrain.seed * self.members, self.pretrain, dict(self.config)
        encoding: Mapping[str, Any] = with_flux_scale(config["encoding"], given.flux_scale)
        encoding = encoding_for(config["source"], encoding)
        own = {name: value for name, value in config["pretrain"].items() if name != "flux_scale"}
        decisive = {"survey": config["source"], "encoding": encoding, "model": config["model"], **own}
        training = Training(
            self.source,
            encoding_from(encoding),
            self.training.encoder,
            given.head,
            given.labels,
            given.protocol,
            given.fit,
            given.augmentation,
            given.seed,
        )
        seeds = range(first, first + self.members)
        return [(replace(training, seed=seed), {**decisive, "seed": seed}) for seed in seeds]


def plan_from(config: Mapping[str, Any]) -> Plan:
    """Build and check the plan of a composed configuration.

    Raises:
        ValueError: a setting is unknown, of the wrong kind, out of range, or contradicts another; one sentence that names
            the key as the user writes it and what is allowed.
    """
    refuse_unknown(config)
    trust = config["trust"]
    plugins.use(trust)
    arm = arm_from(config["arm"], config["method"], trust)
    refuse_other_policy(arm.name, config["freeze_policy"])
    target = build_survey(config["target"], trust, "target")
    scalars = build(Scalars, {field.name: config[field.name] for field in fields(Scalars)}, "")
    encoding = encoding_from(encoding_for(config["target"], config["encoding"]))
    encoder = named(config["model"], ENCODERS, "model")
    build_named(ENCODERS, encoder, "model", n_channels=len(encoding.channels))  # only for what it refuses
    training = Training(
        survey=target,
        encoding=encoding,
        encoder=encoder,
        head=target_head(config["head"], arm),
        labels=Labels.of(config["labels"]),
        protocol=build(Protocol, config["protocol"], "protocol"),
        fit=fit_from(config, trust),
        augmentation=augmentation_from(config["augmentation"]),
        seed=scalars.seed,
    )
    needs_survey = arm.needs_source and scalars.source_model is None
    return Plan(
        **vars(scalars),
        arm=arm,
        target=target,
        source=build_survey(config["source"], trust, "source") if needs_survey else None,
        training=training,
        adaptation=adaptation_from(config, trust),
        pretrain=pretraining_from(config["pretrain"], trust),
        labelling=build(Labelling, config["labelling"], "labelling"),
        source_folder=None if scalars.source_model is None else model_folder(scalars.source_model),
        process=Process(
            trainer_options(config["trainer"]), scalars.progress, callbacks_from(config["callbacks"], trust)
        ),
        launcher=config["launcher"],
        logger=config["logger"],
        trust=trust,
        paths=build(Paths, {**config["paths"], "cache": cache_folder(config["paths"]["cache"])}, "paths"),
        config=config,
    )


def pretraining_from(config: Mapping[str, Any], trust: Trust) -> Pretraining:
    """The settings of the source model.

    Raises:
        ValueError: see `plan_from`.
    """
    if not isinstance(config, Mapping):
        raise ValueError(f"pretrain is '{config}': set one of its keys, e.g. pretrain.fit.max_epochs=5")
    with named_from("pretrain."):
        checked = {
            **{name: value for name, value in config.items() if name not in GROUPS},
            "head": named(config["head"], HEADS, "pretrain.head"),
            "labels": Labels.of(config["labels"], "pretrain.labels"),
            "protocol": build(Protocol, config["protocol"], "pretrain.protocol"),
            "fit": fit_from(config, trust, "pretrain."),
            "augmentation": augmentation_from(config["augmentation"]),
        }
    return build(Pretraining, checked, "pretrain")


def refuse_unknown(config: Mapping[str, Any]) -> None:
    """Raise ValueError for an unknown setting, such as `+freez_policy=full` or `+pretrain.members=3`."""
    scalars, inner = ([field.name for field in fields(kind)] for kind in (Scalars, Pretraining))
    known = {"": [*KEYS, *GROUPS, *scalars], "pretrain": [*inner, *GROUPS]}
    for place, names in known.items():
        given: Any = config[place] if place else config
        prefix = f"{place}." if place else ""
        unknown = [f"{prefix}{name}{nearest(str(name), names)}" for name in given if name not in names]
        if unknown:
            listed = ", ".join(f"{prefix}{name}" for name in names)
            raise ValueError(f"unknown setting {', '.join(unknown)}; known are {listed}")


def refuse_other_policy(arm: str, freeze_policy: Mapping[str, Any]) -> None:
    """Raise ValueError if an arm that is called after a freeze policy has another one: its name would be wrong in the report."""
    policies = {path.stem for path in (CONF / "freeze_policy").glob("*.yaml")}
    meant = next((name for name in policies if arm == name or (name == SCRATCH and arm.startswith(f"{name}_"))), None)
    chosen = freeze_policy.get("name") if isinstance(freeze_policy, Mapping) else meant
    if meant not in (None, chosen):
        instead = f"choose arm={chosen}, or " if (CONF / "arm" / f"{chosen}.yaml").is_file() else ""
        raise ValueError(
            f"arm={arm} means freeze_policy={meant}, and freeze_policy={chosen} is chosen beside it: {instead}leave one of them out "
            "(an experiment that has freeze policies takes no arm)"
        )


def refuse_twins(source: Survey | Several, target: Survey | Several) -> None:
    """Raise ValueError if source and target are simulated with the same seed: test objects would also be in the source.

    The simulator draws an object from the seed, its class and its number alone, whatever the survey.
    """
    seeds = set(simulation_seeds(source)), set(simulation_seeds(target))
    shared = sorted(seeds[0] & seeds[1])
    if shared:
        raise ValueError(
            f"source and target {target.name} are simulated with the same seed {', '.join(map(str, shared))}, "
            "so both contain the same objects: give the target another seed, "
            f"e.g. target.seed={max(set.union(*seeds)) + 1}"
        )


def simulation_seeds(survey: Survey | Several) -> Iterator[int]:
    """The seeds of the built-in simulations in a survey, those of its parts included."""
    parts: Sequence[Survey] = ()
    if isinstance(survey, Several):
        parts = list(survey.parts.values())
    elif isinstance(survey.reader, Union):
        parts = list(survey.reader.parts.values())
    elif isinstance(survey.reader, Joint):
        parts = list(survey.reader.surveys.values())
    elif isinstance(seed := getattr(survey.reader, "seed", None), int):
        yield seed
    for part in parts:
        yield from simulation_seeds(part)
