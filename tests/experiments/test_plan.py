"""The plan: what the words of a command line mean, and every mistake in them, before anything is read or trained."""

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import compose, shared
from tlclass.config import CONF
from tlclass.experiments.axes import varied
from tlclass.experiments.composition import one_sentence
from tlclass.experiments.plan import Plan, plan_from
from tlclass.inputs.split import Labels
from tlclass.network.released import RELEASED

EXPERIMENTS = sorted((CONF / "experiment").glob("*.yaml"))
ARMS = sorted(path.relative_to(CONF / "arm") for path in (CONF / "arm").rglob("*.yaml"))


def plan(words: str) -> Plan:
    return plan_from(shared(words.split()))


def refusal(words: str) -> str:
    """The one sentence that refuses these words."""
    with pytest.raises(Exception) as refused:
        plan(words)
    sentence = one_sentence(refused.value)
    assert sentence is not None, f"{type(refused.value).__name__}: {refused.value}"
    assert "\n" not in sentence
    return sentence


# -- what is there


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_every_experiment_builds_a_plan_and_begins_with_its_command(path: Path) -> None:
    built = plan(f"experiment={path.stem}")
    assert built.experiment_name != "default" and (built.source is not None) == built.arm.needs_source
    comments = [line for line in path.read_text().splitlines() if line.startswith("#")]
    assert any(f"experiment={path.stem}" in line for line in comments)


def recipes(path: Path) -> dict[str, list[str]]:
    """The arms, or the freeze policies and methods, that the sweep of an experiment varies, those inherited included."""
    given = yaml.safe_load(path.read_text())
    parents = [path.parent / f"{name}.yaml" for name in given.get("defaults", []) if isinstance(name, str)]
    params: dict[str, Any] = {}
    for found in [
        *(recipes(parent) for parent in parents if parent.is_file()),
        given.get("hydra", {}).get("sweeper", {}).get("params", {}),
    ]:
        params |= found
    return {name: params[name] for name in ("arm", "freeze_policy", "method") if name in varied(params, [])}


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_every_recipe_of_a_sweep_is_what_its_name_says(path: Path) -> None:
    axes = {name: str(values).split(",") for name, values in recipes(path).items()}
    for values in itertools.product(*axes.values()):
        words = [f"{name}={value}" for name, value in zip(axes, values, strict=True)]
        assert plan(" ".join([f"experiment={path.stem}", *words])).experiment_name


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("arm=head_only freeze_policy=from_scratch", "arm=head_only means freeze_policy=head_only, and"),
        ("arm=from_scratch_context freeze_policy=full", "arm=from_scratch_context means freeze_policy=from_scratch"),
    ],
)
def test_an_arm_called_after_a_freeze_policy_has_that_one(words: str, said: str) -> None:
    assert said in refusal(words)
    assert plan("arm=transfer freeze_policy=head_only method.up_to=20000").arm.name == "transfer"


@pytest.mark.parametrize("arm", ARMS, ids=str)
def test_every_arm_is_a_complete_recipe_with_a_name_of_its_own(arm: Path) -> None:
    built = plan(f"arm={arm.with_suffix('')}")
    assert built.arm.name == arm.stem.removesuffix("_lsst")
    assert built.source is None or built.pretraining()


@pytest.mark.parametrize(
    "group",
    [
        "freeze_policy",
        "method",
        "encoding",
        "model",
        "head",
        "augmentation",
        "loss",
        "optimizer",
        "schedule",
        "callbacks",
    ],
)
def test_every_file_of_a_group_builds_a_plan(group: str) -> None:
    for path in sorted((CONF / group).glob("*.yaml")):
        assert plan(f"{group}={path.stem}").target.name == "bts"


@pytest.mark.parametrize("words", ["{}experiment=ztf2lsst seed=7", "{}arm=head_only"])
def test_the_plus_before_a_group_may_be_left_out(words: str) -> None:
    assert compose(words.format("+").split()) == compose(words.format("").split())


@pytest.mark.parametrize(
    "words",
    [
        "experiment=demo_bts target=bts", "experiment=demo_bts source=plasticc", "experiment=ztf2lsst target=table", "source=plasticc arm=head_only",
        "experiment=demo_bts source=[bts,plasticc]",
    ],
)  # fmt: skip
def test_any_survey_takes_the_place_of_the_one_in_an_experiment(words: str) -> None:
    built = plan(words)
    for role, chosen in (word.split("=") for word in words.split()):
        if role in ("source", "target"):
            assert getattr(built, role).name == chosen.strip("[]").replace(",", "+")


def test_another_target_keeps_the_recommended_arm() -> None:
    assert plan("experiment=best_transfer target=table").arm.name == "transfer"


# -- labels


@pytest.mark.parametrize(
    ("given", "name", "of_200"),
    [("100", "n100", 100), ("0", "n0", 0), ("5%", "5pct", 10), ("7pct", "7pct", 14), ("2.5%", "2.5pct", 5), ("all", "all", 200)],
)  # fmt: skip
def test_labels_are_a_number_a_share_or_all(given: str, name: str, of_200: int) -> None:
    labels = plan(f"labels={given}").training.labels
    assert (labels.name, labels.size(200)) == (name, of_200)


@pytest.mark.parametrize("given", ["many", "1.5", "-3", "150%", "0%", "nan", "true", "[1]", "1e3", "n", "%", "null"])
def test_other_labels_are_refused(given: str) -> None:
    for key in ("labels", "pretrain.labels"):
        said = refusal(f"{key}={given}")
        assert said.startswith(f"{key} is ")


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("data_fraction=n300", "n300"), ("data_fraction=100", "n100"), ("data_fraction=count data_fraction.count=60", "n60"),
        ("data_fraction.fraction=0.05", "5pct"), ("data_fraction=full", "all"), ("data_fraction=n100 labels=7", "n7"),
    ],
)  # fmt: skip
def test_the_former_word_for_labels_is_understood(words: str, name: str) -> None:
    assert plan(words).training.labels.name == name


@pytest.mark.parametrize("word", ["data_fraction=many", "data_fraction.count=some", "data_fraction.fraction=abc"])
def test_the_former_word_with_another_value_is_refused(word: str) -> None:
    assert word.partition("=")[2] in refusal(word)


def test_labels_that_do_not_fit_the_pool_are_refused_with_both_numbers() -> None:
    for given in ("4", "201", "1%"):
        with pytest.raises(ValueError, match=rf"labels={Labels.of(given).count or 2}\b.*200"):
            Labels.of(given).size(200)


# -- truths


def truths(settings: Any, place: str = "") -> Iterator[str]:
    """Every key that holds true or false."""
    if isinstance(settings, Mapping):
        for key, value in settings.items():
            yield from truths(value, f"{place}.{key}" if place else str(key))
    elif isinstance(settings, bool):
        yield place


def test_no_is_false() -> None:
    for word, expected in (("no", False), ("yes", True), ("off", False), ("false", False), ("true", True)):
        built = plan(f"overwrite={word} fit.balance={word} target.simulated={word} arm.reference={word}")
        found = (built.overwrite, built.training.fit.balance, built.target.simulated, built.arm.reference)
        assert found == (expected,) * 4, word


def test_every_truth_refuses_maybe() -> None:
    keys = set(truths(compose(["head=source"]))) - {"trust"}  # which also takes names of packages
    assert {"overwrite", "fit.class_weights", "pretrain.fit.balance", "target.simulated", "head.use_shares"} <= keys
    for key in keys:
        said = refusal(f"head=source {key}=maybe")
        assert said.startswith(f"{key} is 'maybe'") and "true or false" in said, said


# -- mistakes: words, and what the sentence must hold

REFUSED = {
    "seed=abc": ("seed", "abc", "whole number"),
    "seed=1.5": ("seed", "1.5"),
    "members=true": ("members", "True"),
    "members=0": ("members", "0", "1 or more"),
    "threads=0": ("threads", "0"),
    "progress=maybe": ("progress", "maybe", "auto"),
    "model.hidden=0": ("model.hidden", "0"),
    "model.hidden=two": ("model.hidden", "two", "whole number"),
    "model=transformer model.heads=0": ("model.heads", "0"),
    "head=mlp head.hidden=[0]": ("head.hidden", "0"),
    "+model.hiden=3": ("model", "hiden", "did you mean hidden"),
    "+head.hiden=3": ("head", "hiden"),
    "fit.learning_rate=fast": ("fit.learning_rate", "fast", "number"),
    "fit.learning_rate=nan": ("fit.learning_rate", "nan", "finite"),
    "fit.truncate=1.5": ("fit.truncate", "1.5"),
    "fit.monitor=loss": ("fit.monitor", "loss", "val/loss"),
    "schedule=one_cycle schedule.warmup_steps=5": ("schedule", "warmup_steps", "rising"),
    "+fit.schedule=one_cycle": ("fit.schedule", "schedule=one_cycle"),
    "+optimizer.weigth_decay=1": ("optimizer", "weigth_decay", "did you mean weight_decay"),
    "optimizer._target_=torch.optim.lr_scheduler.StepLR": ("optimizer",),
    "+callbacks.mine._target_=tlclass.surveys.Table": ("callbacks.mine",),
    "+trainer.strategy=fsdp": ("trainer.strategy", "fsdp"),
    "pretrain.fit.batch_size=1.5": ("pretrain.fit.batch_size", "1.5"),
    "fit=foo": ("fit", "foo", "learning_rate"),
    "protocol=foo": ("protocol", "foo", "test_fraction"),
    "protocol.validation_fraction=0": ("protocol.validation_fraction", "0"),
    "+protocol.foo=1": ("protocol", "foo", "test_fraction"),
    "+pretrain.protocol.foo=1": ("pretrain.protocol", "foo"),
    "augmentation.thin=[2,3]": ("augmentation.thin", "2", "3"),
    "+augmentation.thinn=1": ("thinn", "did you mean thin"),
    "pretrain.augmentation=alerts": ("alerts", "conf/augmentation"),
    "encoding=paper_matched target.typical_flux=null": ("encoding.flux_scale", "bts", "typical_flux"),
    "target.simulated=maybe": ("target.simulated", "maybe"),
    "target.taxonomy=foo": ("target.taxonomy", "foo"),
    "target.reader=foo": ("target.reader", "foo"),
    "target.reader.extra=5": ("target.reader.extra", "5", "list"),
    "target.selection.window=[70,-30]": ("selection.window", "70", "-30"),
    "target.selection.window=[1,2,3]": ("selection.window", "3"),
    "target.selection.photometry.kind=forcd": ("selection.photometry.kind", "forcd", "forced"),
    "target=bts_simulated target.simulated=false": ("bts_simulated", "simulated"),
    "freeze_policy.train=head": ("freeze_policy.train", "head", "list"),
    "+freeze_policy.then_train=[head.*]": ("freeze_policy", "then_train", "load"),
    "method=chosen +method.candidates.full.trian=[]": ("candidates.full", "trian", "did you mean train"),
    "method=chosen method.candidates.full.load=[]": ("candidates", "'full'", "loads nothing"),
    "method=folds method.folds=1": ("folds", "1", "2 or more"),
    "method=forest +method.options.tres=5": ("tres", "did you mean trees"),
    "method=forest method.model=tree": ("tree", "forest, lightgbm"),
    "trainer.devices=two": ("trainer.devices", "two"),
    "trainer=cuda trainer.devices=99": ("trainer.devices=99", "CUDA"),
    "trainer.deterministic=maybe": ("trainer.deterministic", "maybe"),
    "trainer.devices=0": ("trainer.devices", "0"),
    "trainer=cpu trainer.devices=[0,1]": ("trainer.devices", "[0, 1]"),
    "trainer.accelerator=foo": ("trainer.accelerator", "'foo'", "cpu"),
    "trainer.accelerator=tpu": ("trainer.accelerator", "'tpu'"),
    "trainer.limit_train_batches=-1": ("trainer.limit_train_batches", "-1"),
    "trainer.max_time=soon": ("trainer.max_time", "'soon'", "DD:HH:MM:SS"),
    "trainer.profiler=fast": ("trainer.profiler", "'fast'", "simple"),
    "trainer.num_nodes=2": ("trainer", "num_nodes", "one machine"),
    "+trainer.max_epochs=3": ("trainer", "max_epochs cannot", "fit"),
    "+trainer.precison=16": ("trainer", "precison", "accelerator"),
    # misspelt
    "fit.learning_rat=0.1": ("fit.learning_rat", "did you mean fit.learning_rate"),
    "+fit.learning_rat=0.1": ("fit", "learning_rat", "did you mean learning_rate"),
    "+pretrain.fit.learning_rat=0.1": ("pretrain.fit", "learning_rat", "did you mean learning_rate"),
    "freez_policy=full": ("freez_policy", "did you mean freeze_policy"),
    "experimnt=best_transfer": ("experimnt", "did you mean experiment?"),
    "+freez_policy=full": ("freez_policy", "did you mean freeze_policy"),
    "pretrain.fit.max_epoch=3": ("pretrain.fit.max_epoch", "did you mean pretrain.fit.max_epochs"),
    "+pretrain.learning_rate=3e-4": ("pretrain.learning_rate", "pretrain.fit"),
    "+pretrain.members=3": ("pretrain.members",),
    "+paths.model=m": ("paths", "model", "did you mean models"),
    "freeze_policy=ful": ("freeze_policy", "ful", "did you mean full", "from_scratch"),
    "arm=transfr": ("arm", "transfr", "did you mean transfer"),
    "experiment=plastic2bts": ("experiment", "plastic2bts", "did you mean plasticc2bts"),
    "target=btss": ("target", "btss", "did you mean bts"),
    "model=grru": ("model", "grru", "did you mean gru"),
    "trainer=cud": ("trainer", "cud", "did you mean cuda"),
    "launcher.n_jobs=two": ("launcher.n_jobs",),
    "seed": ("seed",),
    # sources
    "source=[bts,nowhere]": ("nowhere", "alerts_simulated", "ztf_snana"),
    "source=[bts,bts]": ("source=[bts,bts]",),
    "source=[]": ("source=[]",),
    "source=several": ("source=several", "source=[NAME,NAME]"),
    "target=[bts,plasticc]": ("target=[bts,plasticc]", "source"),
    "experiment=several2plasticc source=[ztf_simulated,bts]": ("ztf_simulated", "+survey@source.parts.NAME=NAME"),
    "source=plasticc_simulated target=lsst_simulated target.seed=404": ("404", "target.seed=607"),
    "source=ztf_simulated target=ztf_simulated": ("ztf_simulated", "101", "target.seed=102"),
}  # fmt: skip


@pytest.mark.parametrize("words", REFUSED)
def test_a_mistake_is_one_sentence_that_names_the_key_the_value_and_what_is_allowed(words: str) -> None:
    said = refusal(words)
    assert all(part in said for part in REFUSED[words]), said


# -- twins


BUILT_IN = ["experiment=best_transfer target=bts_simulated", "experiment=best_transfer_lsst target=lsst_simulated"]


@pytest.mark.parametrize("words", BUILT_IN)
def test_no_recommended_recipe_simulates_source_and_target_with_the_same_seed(words: str) -> None:
    built = plan(words)
    assert built.source is not None and built.source.simulated and built.target.simulated  # else `plan` had refused


def test_the_source_model_may_be_a_released_one_by_name() -> None:
    chosen = plan("arm=transfer source_model=ztf-alerts-12").source_folder
    assert chosen is not None and chosen == RELEASED / "ztf-alerts-12"
    text = refusal("arm=transfer source_model=ztf-alert")
    assert "'ztf-alert'" in text and "ztf-alerts-12" in text and "model.json" in text
