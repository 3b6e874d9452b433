"""Where the simulated alerts differ from the real Bright Transient Survey, class by class; writes docs/gap.md.

    python benchmarks/gap.py --data data --model models/alerts_simulated-KEY/seed0 [source.key=value ...]

`--data` holds `ztf_bts/` as the card `conf/survey/bts.yaml` wants it. The fixed fifth of its objects that tests are made
on (`tlclass.inputs.split.fixed_test`) is taken away before anything else is done: all numbers are of the other objects.
Words such as `source.reader.parts.faint.n_objects=9000` change the simulation; `--model` is one trained on it, scored
without any real label. The text of the page comes from `benchmarks/gap_notes.md`.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
import torch
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors

from tlclass.arrays import Array
from tlclass.baselines.features import features
from tlclass.experiments.cards import build_survey
from tlclass.experiments.composition import compose
from tlclass.inputs.batches import CurveDataset
from tlclass.inputs.encoding import encode
from tlclass.inputs.split import fixed_test
from tlclass.lightcurves.curves import LightCurves
from tlclass.network.checkpoint import TrainedModel, load_model
from tlclass.network.heads import SourceHead
from tlclass.network.inference import encode_all
from tlclass.surveys import Survey

matplotlib.use("agg")
from matplotlib import pyplot as plt

DOCS = Path(__file__).parent.parent / "docs"
NOTES = Path(__file__).with_name("gap_notes.md")
TEST_FRACTION = 0.2  # protocol.test_fraction of conf/train.yaml
PER_REAL = 4  # simulated objects compared with a real one, at least
LEAST = 600  # and at least so many in all
MAGNITUDE_WIDTH = 0.15  # mag, within which a simulated partner's peak should lie
TREES = 400
LEAST_AXIS = 0.05  # principal axes of the latent space weaker than this part of the strongest are left out
TOLD = 2  # features named per class and kind
SEED = 20
DRAWN = (
    "sampling nights", "sampling longest step", "sampling first S/N", "sampling last S/N", "sampling day of peak",
    "shape ztfr flux at peak-10d", "shape ztfr flux at peak+15d", "shape ztfr flux at peak+40d",
    "shape ztfg-ztfr best+0d", "shape ztfg-ztfr best+20d",
)  # fmt: skip
GROUPS = ("SN Ia", "SN II", "SN Ib/c", "SLSN-I", "TDE")


@dataclass(frozen=True)
class Sample:
    """Selected light curves with what they are.

    Attributes:
        curves: as `Selection.apply` leaves them.
        group: (n,) class of the Bright Transient Survey; "" for none of them.
    """

    curves: LightCurves
    group: Array

    def take(self, objects: Array) -> Sample:
        """The objects at these indices, or where this mask is true."""
        return Sample(self.curves.take(objects), self.group[objects])


def development(survey: Survey, cache: Path) -> Sample:
    """The real objects that are not in the fixed test part."""
    curves, label = survey.load(cache)
    left = ~fixed_test(label, curves.object_id, TEST_FRACTION)
    return Sample(curves.take(left), np.array(survey.taxonomy.classes)[label[left]])


def simulated(survey: Survey, target: Survey, cache: Path) -> Sample:
    """Simulated objects that have a class in the target survey."""
    curves, label = survey.load(cache)
    group = np.array([*target.taxonomy.classes, ""])[np.array(target.taxonomy.class_map(survey.taxonomy.classes))]
    return Sample(curves, group[label]).take(group[label] != "")


# What a light curve is like


def describe(curves: LightCurves, survey: Survey) -> dict[str, Array]:
    """Numbers that describe light curves: `sampling ...` of the survey and `shape ...` of the object, (n,) each.

    No flux in absolute units is among them, except the peak magnitude in r.
    """
    found = features(curves, survey.passbands)
    plain = [k for k, name in enumerate(found.names) if "ztfi" not in name and _is_shape(name)]
    table = {f"shape {found.names[k]}": found.values[:, k] for k in plain}
    rows = [_sampling(curves, i) for i in range(len(curves))]
    return {f"sampling {name}": np.array([row[name] for row in rows]) for name in rows[0]} | table


def _is_shape(name: str) -> bool:
    last = name.split(" ", 1)[1]
    return (
        "-" in name.split(" ")[0] or last.startswith("flux at peak") or last in ("rise_time", "fall_time", "peak day")
    )


def _sampling(curves: LightCurves, i: int) -> dict[str, float]:
    part = slice(int(curves.offsets[i]), int(curves.offsets[i + 1]))
    t, flux, error, band = curves.mjd[part], curves.flux[part], curves.flux_err[part], curves.passband[part]
    blue, red = (band == curves.passbands.index(name) for name in ("ztfg", "ztfr"))
    nights = np.unique(np.floor(t))
    top, steps = int(flux.argmax()), np.diff(nights)
    peak = flux[top]
    snr = flux / error
    values = {
        "peak magnitude": 27.5 - 2.5 * np.log10(max(peak, 1e-3)),
        "detections": t.size,
        "detections g": blue.sum(),
        "share g": blue.mean(),
        "nights": nights.size,
        "per night": t.size / nights.size,
        "same band per night": _same_band(t, band),
        "duration": t[-1] - t[0],
        "median step": np.median(steps) if steps.size else np.nan,
        "longest step": steps.max() if steps.size else np.nan,
        "day of peak": t[top] - t[0],
        "days after peak": t[-1] - t[top],
        "best S/N": snr.max(),
        "median S/N": np.median(snr),
        "worst S/N": snr.min(),
        "first S/N": snr[0],
        "last S/N": snr[-1],
        "relative error at peak": error[top] / peak,
        "error ratio faint to bright": np.median(error[flux < 0.5 * peak]) / np.median(error[flux >= 0.5 * peak])
        if (flux < 0.5 * peak).any()
        else np.nan,
        "first below peak": 2.5 * np.log10(peak / max(flux[0], 1e-3)),
        "last below peak": 2.5 * np.log10(peak / max(flux[-1], 1e-3)),
        "first is g": float(blue[0]),
    }
    for name, own in (("g", blue), ("r", red)):
        values |= {f"{key} {name}": value for key, value in _noise(t[own], flux[own], error[own]).items()}
    return {key: float(value) for key, value in values.items()}


def _same_band(t: Array, band: Array) -> float:
    """Share of steps, in time order within a passband, that are shorter than a night."""
    if t.size < 2:
        return 0.0
    order = np.lexsort((t, band))
    near = (np.diff(t[order]) < 0.6) & (np.diff(band[order]) == 0)
    return float(near.mean())


def _noise(t: Array, flux: Array, error: Array) -> dict[str, float]:
    """Scatter about the line through the neighbours in time, in units of the quoted error; scatter of errors."""
    if t.size < 5:
        return {"pull": np.nan, "worst pull": np.nan, "error scatter": np.nan}
    gap = t[2:] - t[:-2]
    weight = np.where(gap > 0, (t[1:-1] - t[:-2]) / np.maximum(gap, 1e-6), 0.5)
    guess = flux[:-2] * (1 - weight) + flux[2:] * weight
    spread = np.sqrt(error[1:-1] ** 2 + ((1 - weight) * error[:-2]) ** 2 + (weight * error[2:]) ** 2)
    pull = np.abs(flux[1:-1] - guess) / spread
    near = gap < 10
    if not near.any():
        return {"pull": np.nan, "worst pull": np.nan, "error scatter": np.nan}
    slope = np.polyfit(np.log(flux), np.log(error), 1)
    return {
        "pull": float(np.median(pull[near])),
        "worst pull": float(pull[near].max()),
        "error scatter": float(np.std(np.log(error) - np.polyval(slope, np.log(flux)))),
    }


# Real against simulated


def partners(real: Array, sim: Array) -> Array:
    """Indices into `sim` whose peak magnitudes are distributed as those of `real`: nearest free ones, in turn."""
    rng = np.random.default_rng(SEED)
    rounds = max(PER_REAL, int(np.ceil(LEAST / max(len(real), 1))))
    order = rng.permutation(np.tile(real, rounds))
    free, chosen = np.ones(len(sim), bool), []
    position = np.argsort(sim)
    ordered = sim[position]
    for value in order + MAGNITUDE_WIDTH * rng.uniform(-0.5, 0.5, order.size):
        low, high = np.searchsorted(ordered, (value - MAGNITUDE_WIDTH, value + MAGNITUDE_WIDTH))
        near = np.flatnonzero(free[low:high])
        if near.size:
            pick = low + near[rng.integers(near.size)]
            free[pick] = False
            chosen.append(pick)
    return position[np.array(chosen, dtype=np.int64)]


def shares(sample: Sample, target: Survey, source: Survey) -> Sample:
    """Thin the simulated classes inside each group to the taxonomy's shares."""
    rng, keep = np.random.default_rng(SEED), np.zeros(len(sample.group), bool)
    for group in GROUPS:
        names = [
            n for n in source.taxonomy.classes if target.taxonomy.index_of(n) == target.taxonomy.classes.index(group)
        ]
        weight = np.array([target.taxonomy.shares[name] for name in names])
        count = np.array([np.sum(sample.curves.label == name) for name in names])
        scale = np.min(count[weight > 0.2 * weight.max()] / weight[weight > 0.2 * weight.max()])
        for name, w in zip(names, weight, strict=True):
            members = np.flatnonzero(sample.curves.label == name)
            keep[rng.permutation(members)[: max(1, round(min(w * scale, len(members))))]] = True
    return sample.take(np.flatnonzero(keep))


def domain_auc(real: Array, sim: Array) -> tuple[float, Array]:
    """Out-of-bag AUC of a forest that tells real rows (n, F) from simulated ones (m, F), and its importances (F,)."""
    x = np.nan_to_num(np.concatenate([real, sim]), nan=-99.0).clip(-1e6, 1e6)
    y = np.concatenate([np.ones(len(real)), np.zeros(len(sim))])
    forest = RandomForestClassifier(
        TREES,
        min_samples_leaf=3,
        class_weight="balanced_subsample",
        oob_score=True,
        random_state=SEED,
        max_features=0.3,
    ).fit(x, y)
    return float(roc_auc_score(y, forest.oob_decision_function_[:, 1])), forest.feature_importances_


def quantiles(values: Array) -> str:
    """`16/50/84 %`, and the share that has no value."""
    good = values[np.isfinite(values)]
    if not good.size:
        return "-"
    text = "/".join(f"{v:.3g}" for v in np.percentile(good, (16, 50, 84)))
    return text + (f" ({1 - good.size / values.size:.0%} none)" if good.size < 0.9 * values.size else "")


def separation(real: Array, sim: Array) -> float:
    """AUC of one feature, missing values left out; 0.5 is no difference."""
    a, b = real[np.isfinite(real)], sim[np.isfinite(sim)]
    if min(a.size, b.size) < 10:
        return 0.5
    return float(roc_auc_score(np.r_[np.ones(a.size), np.zeros(b.size)], np.r_[a, b]))


Described = Mapping[str, Array]
Pairs = Mapping[str, tuple[Array, Array]]


def matched(real: Sample, sim: Sample, described: tuple[Described, Described]) -> Pairs:
    """Per class the indices of real objects and of simulated ones with the same peak magnitudes."""
    peak = [table["sampling peak magnitude"] for table in described]
    found = {}
    for group in GROUPS:
        mine, theirs = np.flatnonzero(real.group == group), np.flatnonzero(sim.group == group)
        found[group] = mine, theirs[partners(peak[0][mine], peak[1][theirs])]
    return found


def domain_section(described: tuple[Described, Described], pairs: Pairs) -> tuple[list[str], list[str]]:
    """AUC per class of a domain classifier, and the features that give real objects away."""
    names = list(described[0])
    kinds = {"all": names, **{k: [n for n in names if n.startswith(k)] for k in ("sampling", "shape")}}
    scores = ["| class | real | simulated | all features | sampling | shape |", "|---" * 6 + "|"]
    telling = ["| class | feature | rank | AUC alone | real 16/50/84 % | simulated |", "|---" * 6 + "|"]
    for group, chosen in pairs.items():
        cells = []
        for kind, own in kinds.items():
            a, b = (
                np.column_stack([table[n][rows] for n in own]) for table, rows in zip(described, chosen, strict=True)
            )
            auc, importance = domain_auc(a, b)
            cells.append(f"{auc:.3f}")
            for rank, k in enumerate(np.argsort(-importance)[: TOLD if kind != "all" else 0], 1):
                values = f"{separation(a[:, k], b[:, k]):.2f} | {quantiles(a[:, k])} | {quantiles(b[:, k])}"
                telling.append(f"| {group} | {own[k]} | {rank} | {values} |")
        scores.append(f"| {group} | {len(chosen[0])} | {len(chosen[1])} | " + " | ".join(cells) + " |")
    return scores, telling


def draw_features(described: tuple[Described, Described], pairs: Mapping[str, tuple[Array, Array]], path: Path) -> None:
    """Cumulative distributions of DRAWN features, a row per class."""
    figure, axes = plt.subplots(
        len(pairs), len(DRAWN), figsize=(2.3 * len(DRAWN), 1.9 * len(pairs)), layout="constrained"
    )
    for row, (group, chosen) in zip(axes, pairs.items(), strict=True):
        for axis, name in zip(row, DRAWN, strict=True):
            for table, rows, color in zip(described, chosen, ("black", "tab:blue"), strict=True):
                values = table[name][rows]
                values = np.sort(values[np.isfinite(values)])
                axis.plot(values, np.linspace(0, 1, values.size), color=color, lw=1.2)
            axis.set_xlim(
                *np.nanpercentile(np.concatenate([t[name][r] for t, r in zip(described, chosen, strict=True)]), (1, 99))
            )
            axis.set_yticks([])
        row[0].set_ylabel(group)
    for axis, name in zip(axes[0], DRAWN, strict=True):
        axis.set_title(name.split(" ", 1)[1].replace("ztf", ""), fontsize=8)
    figure.suptitle("cumulative distributions: real (black) and simulated alerts of the same peak magnitudes (blue)")
    figure.savefig(path, dpi=70)
    plt.close(figure)


# What a trained model makes of them


@dataclass(frozen=True)
class Seen:
    """What a source model makes of light curves: latent vectors (n, L) and probabilities (n, 5)."""

    latent: Array
    probability: Array


def look(model: TrainedModel, sample: Sample, target: Survey) -> Seen:
    """Run a source model, of an ensemble its first network, zero-shot, as `head=source` without labels does."""
    encoded, network = encode(sample.curves, model.passbands, model.encoding, model.metadata), model.members[0]
    latent = encode_all(network.encoder, CurveDataset(encoded))
    members = target.taxonomy.class_map(model.classes)
    head = SourceHead(
        latent.shape[1], len(target.taxonomy.classes), model.head, members, target.taxonomy.shares_of(model.classes)
    )
    head.source.load_state_dict(network.head.state_dict())
    with torch.inference_mode():
        return Seen(latent.numpy(), torch.softmax(head(latent).double(), dim=1).numpy())


def aurocs(group: Array, probability: Array, classes: Sequence[str]) -> dict[str, float]:
    """One-vs-rest AUROC of each class and their mean."""
    found = {
        name: float(roc_auc_score(group == name, probability[:, k]))
        if 0 < np.sum(group == name) < len(group)
        else np.nan
        for k, name in enumerate(classes)
    }
    return {"macro": float(np.mean(list(found.values())))} | found


def score_section(real: Sample, seen: Seen, described: Mapping[str, Array], classes: Sequence[str]) -> list[str]:
    """AUROC of all, and of thirds by magnitude, phase coverage and number of detections; confusion."""
    lines = ["| objects | n | macro | " + " | ".join(classes) + " |", "|---" * (3 + len(classes)) + "|"]

    def row(name: str, mask: Array) -> str:
        found = aurocs(real.group[mask], seen.probability[mask], classes)
        return f"| {name} | {mask.sum()} | " + " | ".join(f"{v:.3f}" for v in found.values()) + " |"

    lines.append(row("all", np.ones(len(real.group), bool)))
    for name in ("peak magnitude", "day of peak", "days after peak", "duration", "detections", "best S/N"):
        values = described[f"sampling {name}"]
        third = np.digitize(values, np.percentile(values, (33.3, 66.7)))
        for k, word in enumerate(("low", "middle", "high")):
            lines.append(row(f"{name}: {word} ({quantiles(values[third == k])})", third == k))
    origin = real.curves.extra["phot_origin"]
    lines += [
        row(str(name), origin == name) for name in np.unique(origin) if {*classes} <= {*real.group[origin == name]}
    ]
    chosen = seen.probability.argmax(1)
    lines += [
        "",
        "| real | " + " | ".join(f"called {name}" for name in classes) + " |",
        "|---" * (1 + len(classes)) + "|",
    ]
    for name in classes:
        counts = np.bincount(chosen[real.group == name], minlength=len(classes))
        lines.append(f"| {name} | " + " | ".join(map(str, counts)) + " |")
    return lines


def nearest(points: Array, among: Array, k: int = 10, itself: bool = False) -> Array:
    """Mean distance of `points` (n, L) to their `k` nearest neighbours `among` (m, L)."""
    distance = NearestNeighbors(n_neighbors=k + itself).fit(among).kneighbors(points)[0]
    return np.asarray(distance[:, int(itself) :].mean(axis=1))


def latent_section(
    real: Sample, sim: Sample, seen: tuple[Seen, Seen], described: Described
) -> tuple[list[str], list[str]]:
    """Distance of real embeddings to simulated ones of their class, against simulated to simulated; what is unusual."""
    lines = ["| class | simulated to simulated 16/50/84/97.5 % | real to simulated | real beyond 97.5 % of simulated |"]
    lines.append("|---" * 4 + "|")
    unusual = ["| class | feature | far real objects 16/50/84 % | other real objects |", "|---" * 4 + "|"]
    real_z, sim_z = whitened(*seen)
    for group in GROUPS:
        own, among = real.group == group, sim_z[sim.group == group]
        usual, distance = nearest(among, among, itself=True), nearest(real_z[own], among)
        cells = ["/".join(f"{v:.1f}" for v in np.percentile(d, (16, 50, 84, 97.5))) for d in (usual, distance)]
        far, away = (distance > np.percentile(usual, q) for q in (97.5, 95))
        lines.append(f"| {group} | {cells[0]} | {cells[1]} | {far.mean():.0%} |")
        if min(away.sum(), (~away).sum()) < 5:
            continue
        apart = {n: abs(separation(v[own][away], v[own][~away]) - 0.5) for n, v in described.items()}
        for name in sorted(apart, key=lambda n: -apart[n])[:3]:
            v = described[name][own]
            unusual.append(f"| {group} | {name} | {quantiles(v[away])} | {quantiles(v[~away])} |")
    return lines, unusual


def whitened(real: Seen, sim: Seen) -> tuple[Array, Array]:
    """Both sets of latent vectors along the principal axes of the simulated ones, in their standard deviations."""
    middle, scale = sim.latent.mean(axis=0), sim.latent.std(axis=0) + 1e-6
    _, values, axes = np.linalg.svd((sim.latent - middle) / scale, full_matrices=False)
    strength = values / np.sqrt(len(sim.latent))
    kept = strength > LEAST_AXIS * strength[0]
    first, second = (((s.latent - middle) / scale) @ axes[kept].T / strength[kept] for s in (real, sim))
    return first, second


def main() -> None:
    """Write docs/gap.md and its figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of paths.data, with ztf_bts")
    parser.add_argument("--model", type=Path, required=True, help="source model trained on the simulation")
    parser.add_argument("--cache", type=Path, default=Path("cache"), help="folder of parsed and simulated surveys")
    parser.add_argument("settings", nargs="*", help="source.key=value")
    given = parser.parse_args()
    warnings.simplefilter("ignore", RuntimeWarning)
    settings = compose(["+experiment=best_transfer", f"paths.data={given.data.resolve()}", *given.settings])
    source, target = build_survey(settings["source"]), build_survey(settings["target"])
    real, sim = development(target, given.cache), simulated(source, target, given.cache)
    sim = shares(sim, target, source)
    described = describe(real.curves, target), describe(sim.curves, source)
    pairs = matched(real, sim, described)
    draw_features(described, pairs, DOCS / "figures" / "gap_features.png")
    model = load_model(given.model)
    seen = look(model, real, target), look(model, sim, target)
    parts = {"SCORES": score_section(real, seen[0], described[0], target.taxonomy.classes)}
    parts["DOMAIN"], parts["TELLING"] = domain_section(described, pairs)
    parts["LATENT"], parts["UNUSUAL"] = latent_section(real, sim, seen, described[0])
    parts["AFTER"] = [" | ".join(line.split(" | ")[3].lstrip("0") for line in parts["DOMAIN"][2:])]
    text = NOTES.read_text()
    for key, lines in parts.items():
        text = text.replace("{" + key + "}", "\n".join(lines))
    (DOCS / "gap.md").write_text(text)
    print(f"wrote {DOCS / 'gap.md'}")


if __name__ == "__main__":
    main()
