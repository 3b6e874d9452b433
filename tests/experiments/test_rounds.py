import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import Job as Settings
from tlclass.experiments.arm import Sources
from tlclass.experiments.job import Job, load
from tlclass.experiments.plan import Plan
from tlclass.experiments.rounds import CHOSEN, parts, with_labels
from tlclass.inputs.labelling import Labelling
from tlclass.lightcurves.brightness import THIRDS, peak_magnitudes
from tlclass.training.evaluation import write_predictions
from tlclass.training.leavings import Row


@dataclass
class Guesses:
    """An arm that trains nothing: the probabilities of an object depend on its number and on how many labels there are."""

    needs_source: bool = True
    name: str = "guesses"
    reference: bool = False
    budgets: list[int] = field(default_factory=list)

    def check(self, job: Job, sources: Sources) -> None:
        """Nothing."""

    def run(self, job: Job, sources: Sources) -> Row:
        import torch

        data, budget = job.data, job.data.split.budget
        self.budgets.append(budget)
        numbers = torch.from_numpy(data.split.test).double()
        logits = torch.stack([numbers * (k + 1 + budget) % 7 for k in range(len(data.classes))], dim=1)
        job.folder.mkdir(parents=True, exist_ok=True)
        write_predictions(job.folder / "predictions.parquet", data, logits)
        return {}


@pytest.fixture(scope="module")
def plan(settings: Settings) -> Plan:
    return settings("labels=40", "seed=1", "freeze_policy=from_scratch")


@pytest.fixture(scope="module")
def loaded(plan: Plan) -> Job:
    return Job(plan.training, load(plan.training, plan.paths.cache), Path(), plan.process)


def labels(job: Job) -> list[int]:
    split = job.data.split
    return sorted([*split.train.tolist(), *split.val.tolist()])


@pytest.mark.parametrize("rounds", [1, 3])
@pytest.mark.parametrize("initial", [0, 10])
def test_the_budget_is_chosen_in_rounds(loaded: Job, tmp_path: Path, rounds: int, initial: int) -> None:
    arm, how = Guesses(), Labelling("margin", rounds, initial)
    job = with_labels(replace(loaded, folder=tmp_path), arm, [None], how)
    assert arm.budgets == [initial + sum(parts(40 - initial, rounds)[:k]) for k in range(rounds)]
    assert len(labels(job)) == 40 == job.data.split.budget and job.data.split.pool == loaded.data.split.pool
    assert job.data.split.test.tolist() == loaded.data.split.test.tolist()
    assert not set(labels(job)) & set(job.data.split.test.tolist())
    assert labels(job) != labels(loaded)
    again = with_labels(replace(loaded, folder=tmp_path / "again"), Guesses(), [None], how)
    assert labels(again) == labels(job)
    told = json.loads((tmp_path / CHOSEN).read_text())
    ids = loaded.data.curves.object_id
    assert sorted(name for one in told for name in one["chosen"]) == sorted(ids[labels(job)].tolist())


def test_an_interrupted_job_goes_on_with_the_next_round(loaded: Job, tmp_path: Path) -> None:
    how = Labelling("entropy", 3, 10)
    whole = with_labels(replace(loaded, folder=tmp_path / "whole"), Guesses(), [None], how)

    class Fails(Guesses):
        def run(self, job: Job, sources: Sources) -> Row:
            if job.data.split.budget > 10:
                raise KeyboardInterrupt
            return super().run(job, sources)

    job = replace(loaded, folder=tmp_path / "stopped")
    with pytest.raises(KeyboardInterrupt):
        with_labels(job, Fails(), [None], how)
    arm = Guesses()
    assert labels(with_labels(job, arm, [None], how)) == labels(whole)
    assert arm.budgets == [20, 30]


def test_only_objects_that_fulfil_the_condition_are_chosen(loaded: Job, tmp_path: Path) -> None:
    peak = peak_magnitudes(loaded.data.curves)
    limit = float(np.quantile(peak, 0.6))
    job = with_labels(
        replace(loaded, folder=tmp_path), Guesses(), [None], Labelling("margin", where=f"peak_mag < {limit}")
    )
    assert (peak[labels(job)] < limit).all()
    for secret in ("label", "redshift"):
        with pytest.raises(ValueError, match=secret):
            with_labels(
                replace(loaded, folder=tmp_path / secret), Guesses(), [None], Labelling("margin", where=f"{secret} > 0")
            )


@pytest.mark.parametrize("how", [Labelling(), Labelling("random", rounds=5)], ids=str)
def test_the_draw_of_the_protocol_stays(loaded: Job, how: Labelling) -> None:
    assert with_labels(loaded, Guesses(), [None], how) is loaded


def test_an_arm_that_needs_labels_is_told_so(loaded: Job, tmp_path: Path) -> None:
    job = replace(loaded, folder=tmp_path)
    with pytest.raises(ValueError, match=r"labelling\.initial"):
        with_labels(job, Guesses(needs_source=False), [None], Labelling("margin"))
    with pytest.raises(ValueError, match=r"latent .* trees"):
        with_labels(job, Guesses(), [None], Labelling("coreset"))
    for wrong in (3, 40):
        with pytest.raises(ValueError, match=f"labelling.initial is {wrong}"):
            with_labels(job, Guesses(), [None], Labelling("margin", initial=wrong))


def test_choosing_among_those_who_test_is_refused(composed: Any) -> None:
    from tlclass.experiments.plan import plan_from

    config = composed("labelling=margin", "freeze_policy=from_scratch")
    for kind, fine in {"fixed": True, "tuning": True, "remainder": False, "development": False}.items():
        config["protocol"]["test"] = kind
        if fine:
            assert plan_from(config).labelling.name == "margin"
        else:
            with pytest.raises(ValueError, match=f"protocol.test={kind}.*protocol.test=fixed"):
                plan_from(config)


def test_every_row_has_the_scores_of_thirds_by_brightness(scratch_job: Path) -> None:
    row = json.loads((scratch_job / "result.json").read_text())
    counts = [[row[f"{third}/n/{name}"] for third in THIRDS] for name in ("SN Ia", "TDE")]
    assert [sum(count) for count in counts] == [row["n/SN Ia"], row["n/TDE"]]
    assert all(0 < row[f"{third}/auroc_macro"] < 1 for third in THIRDS)
    assert None not in [value for key, value in row.items() if key.partition("/")[0] in THIRDS]
