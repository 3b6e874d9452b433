"""The proportions of the classes that probabilities assume, and how to change them."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from tlclass.config import CONF
from tlclass.network.calibration import with_prior
from tlclass.network.checkpoint import TrainedModel
from tlclass.quoting import shortened
from tlclass.serving.request import Estimated, Prior

FLAT, BALANCED, ESTIMATE, MODEL = "flat", "balanced", "estimate", "model"
POWER = {FLAT: 0.0, BALANCED: 0.5}  # of the proportions that the model assumes
LEAST = 1e-4  # share of a class that is not quite absent
STEPS, TOLERANCE = 1000, 1e-7


def reweighed(model: TrainedModel, log_probability: Tensor, prior: Prior | None) -> tuple[Tensor, str]:
    """The (N, K) log probabilities under another prior, and what it is in words.

    Args:
        model: states the proportions that its probabilities assume.
        log_probability: of all objects.
        prior: None or `model` leave them as they are; `flat`; `balanced`: the square root of the model's proportions, half-way to
            flat, for the highest macro F1; `estimate`: from these objects, by the expectation
            maximisation of Saerens, Latinne & Decaestecker 2002; the name of a taxonomy with shares (`bts`); a YAML or JSON file of
            `class: share`; such a mapping; or what was estimated before from an input of which these objects are a part.

    Raises:
        ValueError: the model states no proportions, or the prior does not name its classes.
    """
    if prior is None or prior == MODEL:
        return log_probability, ""
    old = assumed(model)
    if prior == ESTIMATE:
        prior = Estimated(estimated([log_probability], old))
    new: Sequence[float]
    if isinstance(prior, Estimated):
        new = prior.shares
    elif prior in (FLAT, BALANCED):
        powers = [share ** POWER[str(prior)] for share in old]
        new = [power / sum(powers) for power in powers]
    else:
        new = _shares(model, prior)
    words = ", ".join(f"{name} {100 * share:.1f} %" for name, share in zip(model.classes, new, strict=True))
    named = str(prior) if prior in (FLAT, BALANCED) else "as given"
    how = "estimated from the input" if isinstance(prior, Estimated) else named
    return with_prior(log_probability, old, new), f"class proportions {how}: {words}"


def assumed(model: TrainedModel) -> tuple[float, ...]:
    """The proportions of the classes that a model's probabilities assume.

    Raises:
        ValueError: it states none.
    """
    if model.calibration is None:
        raise ValueError(
            "this model has no calibration, so the proportions its probabilities assume are not known: leave out the prior"
        )
    return model.calibration.prior


def estimated(parts: Sequence[Tensor], old: tuple[float, ...]) -> tuple[float, ...]:
    """Class proportions of unlabelled objects.

    Args:
        parts: (N_i, K) log probabilities that assume the proportions `old`, of all objects in one or several parts.
        old: see above.
    """
    share = torch.tensor(old, dtype=torch.float64)
    number = sum(map(len, parts))
    for _ in range(STEPS if number else 0):
        total = torch.zeros_like(share)
        for part in parts:
            total += with_prior(part, old, share.tolist()).exp().sum(0)
        found = (total / number).clamp(min=LEAST)
        found = found / found.sum()
        moved = float((found - share).abs().max())
        share = found
        if moved < TOLERANCE:
            break
    return tuple(share.tolist())


def _shares(model: TrainedModel, prior: str | Path | Mapping[str, float]) -> list[float]:
    stated = dict(prior) if isinstance(prior, Mapping) else _read(prior)
    total = dict.fromkeys(model.classes, 0.0)
    for name, share in stated.items():
        index = model.taxonomy.index_of(str(name))
        if index is None:
            raise ValueError(
                f"prior: '{shortened(name)}' is not a class of this model: name {', '.join(model.classes)}"
            )
        if index >= 0:
            total[model.classes[index]] += _share(name, share)
    absent = [name for name, share in total.items() if not share > 0]
    if absent:
        raise ValueError(f"prior: {', '.join(absent)} has no share above 0: give one for every class of the model")
    whole = sum(total.values())
    return [share / whole for share in total.values()]


def _share(name: object, given: Any) -> float:
    """A share as a number; raises ValueError if it is none."""
    try:
        share = float(given)
    except (TypeError, ValueError):
        share = math.nan
    if not 0 <= share < math.inf:
        raise ValueError(f"prior: the share of {name} is '{shortened(given)}': give a number, 0 or more, such as 0.2")
    return share


def _read(prior: str | Path) -> dict[str, Any]:
    """Shares of a file, or of a taxonomy that ships with the package."""
    path, named = Path(prior), CONF / "taxonomy" / f"{prior}.yaml"
    if path.is_file():
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError):
            content = None
        if not isinstance(content, Mapping):
            raise ValueError(f"prior {path} holds no class proportions: write YAML or JSON of the form 'class: share'")
        return dict(content)
    shares = yaml.safe_load(named.read_text(encoding="utf-8")).get("shares") if named.is_file() else None
    if not shares:
        known = sorted(
            file.stem for file in (CONF / "taxonomy").glob("*.yaml") if "\nshares:" in file.read_text("utf-8")
        )
        raise ValueError(
            f"prior '{prior}': give flat, balanced, estimate, a file of 'class: share', or the name of a survey: {', '.join(known)}"
        )
    return dict(shares)
