"""Result folders of sweeps that were never run: scores follow a given curve, so that laws can be stated."""

import functools
import io
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

CLASSES = ("SN Ia", "SN II", "TDE")
Curve = Callable[[int], float]


def scratch(labels: int) -> float:
    """Rises with the logarithm of the labels."""
    return 0.5 + 0.1 * float(np.log10(max(labels, 1) / 10))


def shifted(factor: float) -> Curve:
    """The same curve with so many times fewer labels."""
    return lambda labels: 0.5 + 0.1 * float(np.log10(max(labels, 1) * factor / 10))


def write_sweep(
    folder: Path,
    policies: dict[str, Curve],
    budgets: Sequence[int] = (100, 300, 1000),
    seeds: Iterable[int] = range(5),
    noise: float = 0.005,
    classes: Sequence[str] = CLASSES,
    absent: Iterable[tuple[str, int, int]] = (),
    **row: Any,
) -> Path:
    """One job folder per policy, budget and seed, but for the absent ones; noise is shared by the arms of a seed."""
    skipped = set(absent)
    for policy, curve in policies.items():
        for budget in budgets:
            for seed in seeds:
                baseline = policy in ("from_scratch", "forest", "lightgbm")
                if (policy, budget, seed) not in skipped and not (baseline and budget == 0):
                    macro = curve(budget) + noise * float(np.random.default_rng(seed).normal())
                    job = folder / policy / f"n{budget}" / f"seed{seed}"
                    write_job(job, policy, budget, seed, macro, classes, row)
    return folder


def write_job(
    folder: Path, policy: str, budget: int, seed: int, macro: float, classes: Sequence[str], more: dict[str, Any]
) -> None:
    """What a job leaves, as far as the report reads it."""
    baseline = policy in ("from_scratch", "forest", "lightgbm")
    row: dict[str, Any] = {
        "experiment": "e", "source": "" if baseline else "ztf_simulated", "target": "bts", "head": "linear", "encoding": "paper", "encoder": "gru",
        "reference": baseline, "trained_parameters": 100,
        "simulated": False, "source_simulated": not baseline, "arm": policy, "labels": budget, "seed": seed,
        "auroc_macro": macro, "auroc_common": macro, "antares_alert/auroc_macro": macro - 0.1, "log_loss": 1.0, "ece": 0.1,
        "balanced_accuracy": 0.5, "f1_macro": 0.45, "auprc_macro": 0.4,
    }  # fmt: skip
    row |= {f"auroc/{name}": macro for name in classes} | {f"n/{name}": 20.0 for name in classes}
    row |= {f"auroc_macro@{day}d": macro - 0.1 + 0.001 * day for day in (0, 10, 70)}
    folder.mkdir(parents=True)
    (folder / "result.json").write_text(json.dumps(row | more))
    counts = {name: budget // (number + 1) for number, name in enumerate(classes)}
    every = dict.fromkeys(classes, 5000)
    target = {
        "survey": "bts",
        "simulated": False,
        "objects": every,
        "train": counts,
        "test": dict.fromkeys(classes, 20),
    }
    (folder / "survey.json").write_text(json.dumps({"target": target, "source": None}))
    (folder / "predictions.parquet").write_bytes(predictions(seed, tuple(classes)))
    (folder / "mistakes.parquet").write_bytes(mistakes(tuple(classes)))
    timing = {"seconds": 90.0, "ended": f"2026-01-0{seed + 1}T12:00:00+00:00", "machine": "Linux x86_64, 2 CPU cores"}
    (folder / "timing.json").write_text(json.dumps(timing | {"versions": {"tlclass": "0.1.0", "torch": "2.13.0"}}))
    if policy not in ("forest", "lightgbm"):
        steps = {"from_scratch": 100}.get(policy, 50)
        history = [line(step, min(macro, 0.4 + (macro - 0.4) * step / steps)) for step in range(0, 2 * steps, 5)]
        (folder / "history.json").write_text(json.dumps(history))


@functools.cache
def mistakes(classes: tuple[str, ...]) -> bytes:
    """A file of two objects of the last class, taken for the first."""
    days = np.array([-3.0, 0.0, 5.0, 12.0])
    one = {
        "class": classes[-1],
        "predicted": classes[0],
        "redshift": 0.1,
        "days": days,
        "passband": np.array(["ztfg", "ztfr", "ztfg", "ztfr"]),
        "flux": np.array([5.0, 100.0, 150.0, 120.0]),
        "flux_err": np.full(4, 10.0),
        "detected": days >= 0,
        "at_days": np.array([0, 10]),
    }
    one |= {f"p({name})": np.array([0.5, 0.9 if number == 0 else 0.1]) for number, name in enumerate(classes)}
    return parquet(pd.DataFrame([{"object_id": f"object{k}", **one} for k in range(2)]))


def parquet(table: pd.DataFrame) -> bytes:
    table.to_parquet(file := io.BytesIO())
    return file.getvalue()


def line(step: int, auroc: float) -> dict[str, float]:
    """One validation; a step takes 0.1 s."""
    return {"step": step, "epoch": step, "seconds": step / 10, "val/loss": 1.0, "val/auroc_macro": auroc}


@functools.cache
def predictions(seed: int, classes: tuple[str, ...]) -> bytes:
    """A file of twenty test objects per class, most of them right."""
    generator = np.random.default_rng(seed)
    label = np.repeat(np.arange(len(classes)), 20)
    logits = generator.normal(size=(len(label), len(classes))) + 2 * np.eye(len(classes))[label]
    probability = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    table = pd.DataFrame({"object_id": np.arange(len(label)).astype(str), "class": np.array(classes)[label]})
    for number, name in enumerate(classes):
        table[f"p({name})"] = probability[:, number]
    return parquet(table)
