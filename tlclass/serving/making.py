"""Make a released model: pretrain on the built-in simulator; without labels take the source's head to the release's classes, calibrate and adapt."""

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import yaml

from tlclass.config import CONF
from tlclass.experiments.adapting import adapt_model
from tlclass.experiments.cards import build_survey
from tlclass.experiments.composition import compose
from tlclass.experiments.job import Training, load
from tlclass.experiments.plan import Plan, plan_from
from tlclass.experiments.pretraining import pretrained
from tlclass.experiments.run import run_job
from tlclass.experiments.start import head_settings, new_model, source_state
from tlclass.logs import TIMED, log_to_terminal
from tlclass.network.checkpoint import TrainedModel, as_one, load_model, save_model
from tlclass.network.history import ADAPTED
from tlclass.network.transfer import FreezePolicy, transfer
from tlclass.serving.evaluating import evaluate
from tlclass.training.card import CITATION, write_card
from tlclass.training.distillation import Distillation
from tlclass.training.folds import ZERO
from tlclass.training.reliability import made_reliable

log = logging.getLogger(__name__)

RECIPES = CONF / "release"
TEST_PART = "--test-part"  # of `tlclass evaluate`


@dataclass(frozen=True)
class Recipe:
    """How a released model is made; one file of `conf/release/`.

    Attributes:
        name: of the model.
        summary: one sentence for users.
        overrides: words of `tlclass.train`.
        survey: `ztf` or `lsst`: which survey's light curves it is the default for, or None.
        photometry: `detections`, `forced` or `any`: which kind of them.
        scored: surveys on which the model is scored for its card, title -> words of `tlclass evaluate`.
        measured: what no command measures, for the card, name -> text.
        limits: what else users must know, for the card.
    """

    name: str
    summary: str
    overrides: tuple[str, ...]
    survey: str | None = None
    photometry: str | None = None
    scored: Mapping[str, Sequence[str]] = field(default_factory=dict)
    measured: Mapping[str, str] = field(default_factory=dict)
    limits: tuple[str, ...] = ()


def recipes() -> dict[str, Recipe]:
    """All recipes by name."""
    return {path.stem: _recipe(path) for path in sorted(RECIPES.glob("*.yaml"))}


def _recipe(path: Path) -> Recipe:
    content: Mapping[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return Recipe(
        **{
            **content,
            "name": path.stem,
            "overrides": tuple(content["overrides"]),
            "limits": tuple(content.get("limits", ())),
        }
    )


def check_data(chosen: Sequence[Recipe], words: Sequence[str]) -> None:
    """Read the light curves that models are adapted to or trained with, before hours of pretraining.

    Raises:
        FileNotFoundError, ValueError: they are not there or cannot be read.
    """
    for recipe in chosen:
        plan = plan_from(compose([*recipe.overrides, *words]))
        if not needs_data(plan):
            continue
        try:
            load(plan.training, plan.paths.cache)
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f"{recipe.name} learns from light curves of {plan.target.name}, which are needed: give their folder with --data ({error})"
            ) from error


def pretrain_all(chosen: Sequence[Recipe], words: Sequence[str], jobs: int) -> None:
    """Simulate the sources and pretrain all networks of these recipes, `jobs` at a time; what is done already stays.

    Args:
        chosen: the recipes; networks that two of them share are trained once.
        words: further words of `tlclass.train`, e.g. `paths.models=FOLDER`.
        jobs: processes, of one thread each.
    """
    wanted = {}
    for recipe in chosen:
        config = compose([*recipe.overrides, *words])
        build_survey(_with_jobs(config["source"], jobs)).load(plan_from(config).paths.cache)
        for number, (_, decisive) in enumerate(plan_from(config).pretraining()):
            wanted[repr(decisive)] = ([*recipe.overrides, *words], number)
    if jobs == 1:
        for task in wanted.values():
            _pretrain(*task)
        return
    with ProcessPoolExecutor(min(jobs, len(wanted)), get_context("spawn")) as pool:
        for done in [pool.submit(_pretrain, *task) for task in wanted.values()]:
            done.result()


def _with_jobs(card: Mapping[str, Any], jobs: int) -> dict[str, Any]:
    """A card in which every simulated survey uses so many processes; its light curves stay the same."""
    changed = {name: _with_jobs(value, jobs) if isinstance(value, Mapping) else value for name, value in card.items()}
    return changed | ({"n_jobs": jobs} if "n_jobs" in changed else {})


def _pretrain(words: Sequence[str], number: int) -> Path:
    torch.set_num_threads(1)
    log_to_terminal(TIMED, "%H:%M:%S")
    plan = plan_from(compose(words))
    training, decisive = plan.pretraining()[number]
    return pretrained(training, decisive, plan)


def make(recipe: Recipe, words: Sequence[str], folder: Path) -> TrainedModel:
    """Assemble the released model from its pretrained networks (trained now where they are not there) into `folder`."""
    plan = plan_from(compose([*recipe.overrides, *words]))
    return assemble(recipe, plan, [pretrained(*member, plan) for member in plan.pretraining()], folder)


def assemble(recipe: Recipe, plan: Plan, networks: Sequence[Path], folder: Path) -> TrainedModel:
    """The released model of these pretrained networks, with calibration, prediction sets, novelty and card.

    With labels it is what the job of the plan leaves. Without, the source's head is taken to its classes; where the plan has an adaptation
    it is adapted to the unlabelled light curves of its target outside the test part.

    Args:
        recipe: what it is for. plan: of its overrides.
        networks: folders of the source models, one per member.
        folder: where it is written.
    """
    sources = [load_model(path) for path in networks]
    model = _without_labels(plan, sources) if without_labels(plan) else _with_labels(plan)
    origin = {
        "labels": 0,
        **model.training,
        "release": recipe.name,
        "summary": recipe.summary,
        "command": f"tlclass release {recipe.name}" + (" --data FOLDER" if needs_data(plan) else ""),
        "source": sources[0].survey,
        "seed": [source.training["seed"] for source in sources],
        "counts": sources[0].training.get("counts"),
        "source_auroc_macro": [source.training["row"]["auroc_macro"] for source in sources],
        "default_for": {"survey": recipe.survey, "photometry": recipe.photometry} if recipe.survey else None,
        "measured": dict(recipe.measured),
        "limits": list(recipe.limits),
    }
    model = replace(model, training=origin)
    save_model(model, folder)
    write_card(model, folder)
    log.info("released model %s: %s", recipe.name, folder)
    return model


def without_labels(plan: Plan) -> bool:
    """Whether a plan uses no label of its target."""
    return plan.training.labels.count == 0


def needs_data(plan: Plan) -> bool:
    """Whether a plan uses light curves of its target, with their labels or without."""
    return plan.adaptation is not None or not without_labels(plan)


def _with_labels(plan: Plan) -> TrainedModel:
    """What the job of this plan trains, or trained before; it stands beside the pretrained networks."""
    folder = plan.paths.models / f"{plan.target.name}-trained-{plan.key}"
    run_job(plan, folder)
    return load_model(folder)


def _without_labels(plan: Plan, sources: Sequence[TrainedModel]) -> TrainedModel:
    """The networks of these sources with the target's classes, by their own heads, adapted where the plan says so."""
    starts = [_zero_shot(plan.training, source) for source in sources]
    model = replace(starts[0], classifier=as_one([start.members[0] for start in starts]))
    model = made_reliable(replace(model, training={}), sources, None, None)
    return model if plan.adaptation is None else _adapted(model, plan.adaptation, plan)


def _adapted(model: TrainedModel, how: Distillation, plan: Plan) -> TrainedModel:
    """The model, adapted to the target's light curves."""
    data = load(plan.training, plan.paths.cache)
    with TemporaryDirectory() as checkpoints:
        changed = adapt_model(
            model, data.curves.take(data.unlabelled), data.survey.name, how, plan.training.seed, Path(checkpoints)
        )
    return replace(changed, training={ADAPTED: changed.training[ADAPTED], CITATION: data.survey.citation})


def score(recipe: Recipe, words: Sequence[str], folder: Path) -> None:
    """Score the released model in `folder` on the surveys that its recipe names, and put the scores into its card.

    Args:
        words: further words, e.g. `paths.data=FOLDER` of the surveys' files.
    """
    for title, given in recipe.scored.items():
        with TemporaryDirectory() as output:
            chosen = [word for word in given if word != TEST_PART]
            evaluate(folder, [*chosen, *words], TEST_PART in given, Path(output), card=title)
        log.info("%s is scored on: %s", recipe.name, title)


def _zero_shot(training: Training, source: TrainedModel) -> TrainedModel:
    """The source network for the classes of another survey, by its own head; nothing is trained."""
    head = head_settings(training.head, source, training.survey.taxonomy)
    model = new_model(training, head)
    policy = FreezePolicy(ZERO, load=("encoder.*", "head.*"), train=())
    transfer(model.members[0], policy, source_state(source, head), source.classes, model.classes)
    return replace(model, simulated=source.simulated)
