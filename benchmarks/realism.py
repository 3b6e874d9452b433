"""Compare the simulator with spectral templates and, if given, with real light curves; write docs/realism.md.

    python benchmarks/realism.py [--data data]

The folder after `--data` holds `ztf_bts/` as the card `conf/survey/bts.yaml` wants it.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from gap import development

from tlclass.arrays import Array
from tlclass.experiments.cards import build_survey
from tlclass.experiments.composition import compose
from tlclass.lightcurves.curves import LightCurves
from tlclass.simulate import load_simulation
from tlclass.simulator import Bands, Population, rest_frame_magnitudes

matplotlib.use("agg")
from matplotlib import pyplot as plt

DOCS = Path(__file__).parent.parent / "docs"
POPULATIONS = {"transients": "--", "literature": ":", "observed": "-"}  # and how their lines are drawn
SURVEYS = ("ztf_simulated", "lsst_simulated", "bts_simulated")
U, G, R, I_BAND, Z_BAND, ZTF_G, ZTF_R = range(7)
EDGES = [
    (0.3355, 0.3975), (0.4095, 0.5520), (0.5535, 0.6885), (0.6920, 0.8165), (0.8190, 0.9210),
    (0.4146, 0.5466), (0.5653, 0.7203),
]  # fmt: skip
DAYS = np.arange(0.5, 220.5, 0.5)
QUANTITIES = (
    "rise", "dm15 R", "dm30 R", "dm60 R", "dm15 G", "dm30 G", "g-r", "g-r +15", "g-r +30", "u-g", "r-i",
)  # fmt: skip
TEMPLATES: dict[str, tuple[float, ...]] = {  # medians of synthetic photometry of published SED templates
    "SNIa": (9.6, 0.71, 1.15, 2.50, 0.83, 2.04, -0.20, -0.09, 0.68, 0.30, -0.64),
    "SNIb": (10.2, 0.45, 1.23, 1.95, 0.80, 1.80, 0.31, 0.74, 0.81, 0.81, -0.08),
    "SNIc": (8.3, 0.46, 1.17, 2.21, 0.86, 1.85, 0.32, 0.81, 0.99, 0.95, -0.06),
    "SNIc-BL": (10.5, 0.72, 1.63, 3.04, 1.05, 1.98, 0.03, 0.77, 0.77, 0.90, -0.32),
    "SNIIb": (13.4, 0.41, 0.72, 1.51, 1.15, 1.54, 0.08, 0.87, 0.81, 0.72, -0.19),
    "SNII": (9.0, 0.20, 0.42, 0.87, 0.41, 0.83, 0.17, 0.36, 0.49, 0.12, -0.07),
    "SNIIn": (20.0, 0.14, 0.33, 1.6, 0.31, 0.76, -0.14, 0.01, 0.27, -0.08, -0.15),
}
GROUPS = {
    "SNIa": "SN Ia", "SNIa-91bg": "SN Ia", "SNIax": "SN Ia", "SNIb": "SN Ib/c", "SNIc": "SN Ib/c",
    "SNIc-BL": "SN Ib/c", "SNII": "SN II", "SNIIn": "SN II", "SNIIb": "SN II", "TDE": "TDE", "SLSN-I": "SLSN-I",
}  # fmt: skip
ALERTS = (  # what turns ztf_simulated into the bright part of alerts_simulated
    "bands.ztfg.gain=0.063", "bands.ztfr.gain=0.063", "bands.ztfg.depth=20.9",
    "systematics.error_scale=0.52", "systematics.noise_spread=0.25", "systematics.error_floor=0.02",
    "systematics.error_jitter=[0.08,0.32]", "systematics.error_spread=0.14", "systematics.outlier_fraction=0.003",
    "systematics.lost=[0,0.4]", "trigger.snr=[3.4,5.9]", "trigger.filtered=true",
    "limits.peak_lead=2", "limits.peak_trail=5", "limits.peak_magnitude=19", "limits.magnitude=19.2", "limits.redshift=0.6",
    "cadence.steps=[3,2,3,1,2,3,2,3,2,3]", "cadence.chance=0.82", "cadence.extra=[0,0,0,1.5,0.4,0,0,0.9,0,0]",
    "cadence.hours=[0.11,0.54]",
)  # fmt: skip
MIX = (
    "classes=[SNIa,SNIa-91bg,SNIax,SNIb,SNIc,SNIc-BL,SNII,SNIIn,SNIIb,TDE,SLSN-I]", "mix.SNIa=1500", "mix.SNIa-91bg=40",
    "mix.SNIax=40", "mix.SNIb=300", "mix.SNIc=250", "mix.SNIc-BL=120", "mix.SNII=700", "mix.SNIIn=120", "mix.SNIIb=100",
    "mix.TDE=300", "mix.SLSN-I=300",
)  # fmt: skip
PHASES = np.arange(-15.0, 51.0, 5.0)
NOTES = Path(__file__).with_name("realism_notes.md")


def at(magnitude: Array, day: Array) -> Array:
    """Magnitudes (N,) at grid indices `day` (N,) of curves (N, days)."""
    return magnitude[np.arange(len(magnitude)), np.minimum(day, DAYS.size - 1)]


def rest_frame_medians(population: Population, name: str, n: int = 300) -> tuple[Array, Array]:
    """Medians of QUANTITIES (11,) and the magnitudes (n, bands, days) behind them."""
    transient = population.classes[population.index(name)]
    m = rest_frame_magnitudes(transient, Bands.top_hats(EDGES), DAYS, n, 7)
    red, green = m[:, ZTF_R], m[:, ZTF_G]
    top, top_g = red.argmin(axis=1), green.argmin(axis=1)
    half = (red < at(red, top)[:, None] + 0.7526).argmax(axis=1)
    values = [DAYS[top] - DAYS[half]]
    values += [at(red, top + 2 * days) - at(red, top) for days in (15, 30, 60)]
    values += [at(green, top_g + 2 * days) - at(green, top_g) for days in (15, 30)]
    values += [at(green - red, top + 2 * days) for days in (0, 15, 30)]
    values += [at(m[:, U] - m[:, G], top), at(m[:, R] - m[:, I_BAND], top)]
    return np.array([np.median(value) for value in values]), m


def rest_frame_section() -> tuple[list[str], dict[str, str]]:
    """Table against templates with a figure of the median curves; how far each population is from them, mag."""
    populations = {p: load_simulation("ztf_simulated", [f"population={p}"]).population for p in POPULATIONS}
    names = [c.name for c in populations["transients"].classes if c.spectrum is not None]
    figure, axes = plt.subplots(3, 4, figsize=(13, 8), sharex=True)
    lines = ["| class | values | " + " | ".join(QUANTITIES) + " |", "|---" * (len(QUANTITIES) + 2) + "|"]
    residual: dict[str, list[Array]] = {p: [] for p in POPULATIONS}
    for name, axis in zip(names, axes.ravel(), strict=False):
        rows: list[str] = []
        for p, style in POPULATIONS.items():
            medians, magnitudes = rest_frame_medians(populations[p], name)
            row = " | ".join(f"{v:.2f}" for v in medians)
            if row not in rows:
                lines.append(f"| {name} | {p} | {row} |")
            rows.append(row)
            if name in TEMPLATES:
                residual[p].append(np.abs(medians - TEMPLATES[name])[1:])
            for band, color in ((ZTF_G, "green"), (ZTF_R, "red"), (I_BAND, "orange"), (Z_BAND, "brown")):
                axis.plot(DAYS, np.median(magnitudes[:, band], axis=0), style, color=color, lw=1)
        if name in TEMPLATES:
            lines.append(f"| {name} | templates | " + " | ".join(f"{v:.2f}" for v in TEMPLATES[name]) + " |")
        low = float(np.median(magnitudes[:, ZTF_R].min(axis=1)))
        axis.set(title=name, ylim=(low + 5, low - 1), xlim=(0, 150))
    axes.ravel()[-1].axis("off")
    figure.suptitle(
        "simulated, rest frame, no dust: median absolute magnitude in g, r, i, z (solid: observed, dashed: transients, dotted: literature)"
    )
    figure.supxlabel("days since explosion")
    figure.tight_layout()
    figure.savefig(DOCS / "figures" / "realism_rest.png", dpi=70)
    plt.close(figure)
    return lines, {p: f"{np.median(np.concatenate(residual[p])):.2f}" for p in POPULATIONS}


def percentiles(values: Array, q: Sequence[float] = (5, 50, 95), digits: int = 1) -> str:
    """`5/50/95 %` as text."""
    return "/".join(f"{v:.{digits}f}" for v in np.nanpercentile(values, q))


def survey_column(curves: LightCurves, simulation: Any) -> list[str]:
    """One column of the survey table."""
    days = curves.mjd - curves.trigger_mjd[curves.owner]
    window = (days > -30) & (days < 70)
    snr, owner = curves.flux / curves.flux_err, curves.owner
    epochs = np.bincount(owner[window], minlength=len(curves))
    brightest = np.zeros(len(curves), np.float32)
    np.maximum.at(brightest, owner[curves.detected], curves.flux[curves.detected])
    peak = 27.5 - 2.5 * np.log10(np.maximum(brightest, 1e-3))

    def of(name: str, column: Array, digits: int = 2, q: Sequence[float] = (5, 50, 95)) -> str:
        return percentiles(column[curves.label == name], q, digits)

    return [
        f"{percentiles(epochs, digits=0)} (max {epochs.max()})",
        of("SNIa", peak, 1),
        of("SNIa", curves.redshift, 3),
        of("SNII", curves.redshift, 3),
        of("SLSN-I", curves.redshift, 2),
        of("SNIa", curves.extra["days_trigger_to_peak"], 0, (16, 50, 84)),
        f"{np.median(curves.flux[window]):.0f} / {curves.flux[window].mean():.0f}",
        f"{np.mean(snr[window] > 5):.2f}",
        f"{np.mean(days[window] < 0):.2f}",
    ]


SURVEY_ROWS = (
    "epochs per object in the window, 5/50/95 %", "peak magnitude of SN Ia, 5/50/95 %", "z of SN Ia", "z of SNII",
    "z of SLSN-I", "days from trigger to r peak, SN Ia, 16/50/84 %", "flux, median / mean",
    "fraction of epochs with S/N > 5", "fraction of epochs before the trigger",
)  # fmt: skip


def survey_section() -> list[str]:
    """Table of survey statistics and a figure of redshifts, peak magnitudes and epochs."""
    figure, axes = plt.subplots(1, 3, figsize=(13, 3.6))
    columns = []
    for name in SURVEYS:
        size = 12_000 if name != "bts_simulated" else None
        simulation = load_simulation(name, [f"n_objects={size or 'null'}"])
        curves = simulation.read()
        columns.append(survey_column(curves, simulation))
        axes[0].hist(curves.redshift[curves.label == "SNIa"], 40, density=True, histtype="step", label=name)
        days = curves.mjd - curves.trigger_mjd[curves.owner]
        inside = (days > -30) & (days < 70)
        axes[1].hist(np.bincount(curves.owner[inside]), 40, density=True, histtype="step", label=name)
        snr = np.clip(curves.flux[inside] / curves.flux_err[inside], -5, 60)
        axes[2].hist(snr, 65, density=True, histtype="step", log=True, label=name)
    for axis, label in zip(axes, ("redshift of SNe Ia", "epochs in the window", "S/N of epochs"), strict=True):
        axis.set_xlabel(label)
    axes[2].legend(fontsize=8)
    figure.suptitle("simulated surveys")
    figure.tight_layout()
    figure.savefig(DOCS / "figures" / "realism_surveys.png", dpi=70)
    plt.close(figure)
    lines = [f"| | {' | '.join(SURVEYS)} |", "|---" * (1 + len(SURVEYS)) + "|"]
    return lines + [f"| {' | '.join(cells)} |" for cells in zip(SURVEY_ROWS, *columns, strict=True)]


Curve = dict[str, Any]


def real_curves(folder: Path, cache: Path) -> list[Curve]:
    """Real detections of the development part, see `benchmarks/gap.py`."""
    survey = build_survey(compose(["target=bts", f"paths.data={folder.resolve()}"])["target"])
    sample = development(survey, cache)
    curves = sample.curves
    bands = np.array([name[-1] for name in curves.passbands])[curves.passband]
    flat = {"mjd": curves.mjd, "band": bands, "flux": curves.flux, "flux_err": curves.flux_err}
    result = []
    for i, name in enumerate(sample.group):
        own = {"class": name, "redshift": curves.redshift[i], "mwebv": np.nan_to_num(curves.mwebv[i])}
        part = slice(int(curves.offsets[i]), int(curves.offsets[i + 1]))
        result.append({key: values[part] for key, values in flat.items()} | own)
    return prepare(result)


def simulated_curves(population: str) -> list[Curve]:
    """Detections of the alert-like simulation."""
    curves = load_simulation("ztf_simulated", [*MIX, *ALERTS, f"population={population}", "n_objects=5000"]).read()
    bands = np.array([name[-1] for name in curves.passbands])
    result = []
    for i in range(len(curves)):
        part = slice(int(curves.offsets[i]), int(curves.offsets[i + 1]))
        keep = curves.detected[part]
        flat = {"mjd": curves.mjd, "band": bands[curves.passband], "flux": curves.flux, "flux_err": curves.flux_err}
        own = {"class": GROUPS[curves.label[i]], "redshift": curves.redshift[i], "mwebv": curves.mwebv[i]}
        result.append({key: values[part][keep] for key, values in flat.items()} | own)
    return prepare(result)


def prepare(curves: Sequence[Curve]) -> list[Curve]:
    """Cut at 70 d after the first detection and require three points."""
    kept = []
    for curve in curves:
        if curve["mjd"].size >= 3:
            inside = curve["mjd"] - curve["mjd"][0] < 70
            flat = {key: curve[key][inside] for key in ("mjd", "band", "flux", "flux_err")}
            kept.append(curve | flat)
    return [curve for curve in kept if curve["mjd"].size >= 3]


def smooth(curve: Curve, band: str, days: Array, width: float = 2.5) -> Array:
    """Kernel average of the flux in `band` at `days` since the first detection; NaN where there is no data."""
    own = curve["band"] == band
    t, flux, error = (curve[key][own] for key in ("mjd", "flux", "flux_err"))
    kernel = np.exp(-0.5 * ((days[:, None] - (t - curve["mjd"][0])) / width) ** 2)
    weight = kernel / (error**2 + (0.03 * flux) ** 2)
    with np.errstate(invalid="ignore", divide="ignore"):
        average = (weight * flux).sum(axis=1) / weight.sum(axis=1)
    return np.where(kernel.sum(axis=1) > 0.6, average, np.nan)


def phase_curve(curve: Curve) -> Array | None:
    """Decline in g and r and colour at PHASES after g peak, (3, phases); None if too few points."""
    if (curve["band"] == "r").sum() < 8 or (curve["band"] == "g").sum() < 6:
        return None
    days = np.arange(-5.0, 71.0, 0.5)
    green, red = smooth(curve, "g", days), smooth(curve, "r", days)
    if np.isfinite(green).sum() < 5 or np.isfinite(red).sum() < 5:
        return None
    peak = days[np.nanargmax(green)]
    if peak < 2:
        return None
    z = curve["redshift"] if curve["redshift"] is not None and np.isfinite(curve["redshift"]) else 0.04
    phase = (days - peak) / (1 + z)
    with np.errstate(invalid="ignore"):
        g = -2.5 * np.log10(green) - 3.6 * curve["mwebv"]
        r = -2.5 * np.log10(red) - 2.4 * curve["mwebv"]

    def on(values: Array) -> Array:
        good = np.isfinite(values)
        return (
            np.interp(PHASES, phase[good], values[good], left=np.nan, right=np.nan) if good.any() else PHASES * np.nan
        )

    return np.array([on(g - np.nanmin(g)), on(r - np.nanmin(r)), on(g) - on(r)])


def class_medians(curves: Sequence[Curve], name: str) -> tuple[int, Array, Array]:
    """Number of usable curves, medians (3, phases) and robust scatter (3, phases)."""
    found = [phase_curve(curve) for curve in curves if curve["class"] == name]
    stack = np.array([values for values in found if values is not None])
    stack = np.where(np.isfinite(stack).sum(axis=0) > 4, stack, np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # phases without any curve stay NaN
        middle = np.nanmedian(stack, axis=0)
        spread = 1.4826 * np.nanmedian(np.abs(stack - middle), axis=0)
    return len(stack), middle, spread


def sampling(curves: Sequence[Curve], name: str) -> list[str]:
    """Detections, duration, detections a night, brightest magnitude, redshift, best S/N: 16/50/84 %."""
    own = [curve for curve in curves if curve["class"] == name]
    q = (16, 50, 84)
    return [
        percentiles(np.array([c["mjd"].size for c in own]), q, 0),
        percentiles(np.array([c["mjd"][-1] - c["mjd"][0] for c in own]), q, 0),
        percentiles(np.array([c["mjd"].size / np.unique(np.floor(c["mjd"])).size for c in own]), q, 2),
        percentiles(np.array([27.5 - 2.5 * np.log10(c["flux"].max()) for c in own]), q, 1),
        percentiles(np.array([c["redshift"] if c["redshift"] else np.nan for c in own], float), q, 3),
        percentiles(np.array([(c["flux"] / c["flux_err"]).max() for c in own]), q, 0),
        percentiles(np.array([(c["flux"] / c["flux_err"]).min() for c in own]), q, 1),
    ]


def real_section(folder: Path, cache: Path) -> list[str]:
    """Tables and a figure against real light curves."""
    sets: Mapping[str, list[Curve]] = {"real": real_curves(folder, cache)} | {
        p: simulated_curves(p) for p in POPULATIONS
    }
    names = list(dict.fromkeys(GROUPS.values()))
    figure, axes = plt.subplots(3, len(names), figsize=(15, 8), sharex=True)
    shown = np.searchsorted(PHASES, (-10, 0, 10, 20, 30, 40))
    dg, dr, colour = ([f"{what} {PHASES[i]:+.0f}" for i in shown] for what in ("dg", "dr", "g-r"))
    sample, declines, colours = (
        [f"| {' | '.join(('class', 'set', *heads))} |", "|---" * (2 + len(heads)) + "|"]
        for heads in (
            ("detections", "duration, d", "per night", "peak mag", "redshift", "best S/N", "worst S/N"),
            ("curves", *dg, *dr),
            colour,
        )
    )
    for column, name in zip(axes.T, names, strict=True):
        for (which, curves), color in zip(sets.items(), ("black", "tab:orange", "tab:green", "tab:blue"), strict=True):
            count, middle, spread = class_medians(curves, name)
            dg, dr, colour = ([f"{v:.2f}" if np.isfinite(v) else "-" for v in row[shown]] for row in middle)
            for rows, row in ((sample, sampling(curves, name)), (declines, [str(count), *dg, *dr]), (colours, colour)):
                if not any(line.endswith(" | ".join(row) + " |") for line in rows):  # else it is that of `transients`
                    rows.append(f"| {name} | {which} | " + " | ".join(row) + " |")
            for axis, m, s in zip(column, middle, spread, strict=True):
                axis.plot(PHASES, m, color=color, lw=1.5, label=which if which == "real" else f"simulated, {which}")
                axis.fill_between(PHASES, m - s, m + s, color=color, alpha=0.12, lw=0)
        column[0].set_title(f"{name} ({count})")
        column[0].invert_yaxis()
        column[1].invert_yaxis()
    for axis, label in zip(axes[:, 0], ("mag below g peak", "mag below r peak", "g-r"), strict=True):
        axis.set_ylabel(label)
    axes[2, 0].legend(fontsize=7)
    figure.suptitle("real ZTF light curves (black) and simulated ones (colours): median and scatter")
    figure.supxlabel("rest-frame days since g peak")
    figure.tight_layout()
    figure.savefig(DOCS / "figures" / "realism_real.png", dpi=70)
    plt.close(figure)
    return [*sample, "", *declines, "", *colours]


def main() -> None:
    """Write docs/realism.md and its figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of paths.data, with ztf_bts")
    parser.add_argument("--cache", type=Path, default=Path("cache"), help="folder of parsed surveys")
    given = parser.parse_args()
    (DOCS / "figures").mkdir(parents=True, exist_ok=True)
    rest, distances = rest_frame_section()
    parts = {"REST": "\n".join(rest), **{population.upper(): value for population, value in distances.items()}}
    parts["SURVEYS"] = "\n".join(survey_section())
    parts["REAL"] = (
        "\n".join(real_section(given.data, given.cache)) if given.data else "Not made: run with `--data FOLDER`."
    )
    parts["ALERTS"] = "\n".join(ALERTS)
    text = NOTES.read_text()
    for key, value in parts.items():
        text = text.replace("{" + key + "}", value)
    (DOCS / "realism.md").write_text(text)
    print(f"wrote {DOCS / 'realism.md'}")


if __name__ == "__main__":
    main()
