"""How a model does on faint objects: `python -m benchmarks.faint_objects FOLDER MODEL [MODEL ...]`.

FOLDER holds `observations.parquet` and `objects.parquet` of PLAsTiCC's training set (columns object_id, mjd, band, flux, flux_err,
detected; object_id, class, redshift, host_photoz, host_photoz_err, peak_mjd, ddf). Like all
objects with a spectrum they are bright; what a survey observes is not. So well observed objects are moved to larger
redshifts and observed again with the visits and errors of other objects of the wide survey
(Boone 2019, AJ 158, 257): a Gaussian process in time and wavelength gives the flux between the observations. SIMULATED.

Prints the macro AUROC (one against rest) on the light curves as they are and on the moved ones, and the AUROC of the common classes in
each third of the moved ones by peak magnitude, for objects that come from the test part (`protocol.test=fixed`) or from all others
(`--development`). `--table FILE` keeps the moved light curves, which take minutes.
"""

import argparse
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.linalg import cho_factor, cho_solve
from sklearn.metrics import roc_auc_score

import tlclass
from tlclass.arrays import Array
from tlclass.config import cache_folder
from tlclass.inputs.augmentation import luminosity_distance
from tlclass.inputs.split import fixed_test
from tlclass.lightcurves.photometry import magnitude_of_flux

COMMON = ("SNIa", "SNII", "SNIbc")
# um, effective, as the light is weighed; conf/passbands/lsst.yaml has the mid-points of the edges, an input of the networks
EFFECTIVE = {"u": 0.367, "g": 0.483, "r": 0.622, "i": 0.755, "z": 0.869, "y": 0.971}
COPIES = {"SNIbc": 5, "SNII": 3}  # light curves made of one object of a rare or faint class; of all others
COPIED = 2
DONORS = 10  # photometric redshifts are those of one of the objects so many places nearer or farther
TRIES = 60  # redshifts and visits that are tried for one object
STRETCH, FARTHEST = 1.5, 3.4  # largest change of 1 + z, largest redshift
DAYS = -80, 150  # of the light curve, from maximum light
NIGHTS, MICRONS = (8, 16, 30, 60), 0.6  # length scales of the Gaussian process, in time one of these
SIGNIFICANCE = (
    2.5,
    3.5,
    4.5,
    5.5,
    6.5,
    7.5,
    8.5,
    9.5,
    11,
)  # flux / error, and the share of PLAsTiCC's observations that are detections
DETECTED = (0.013, 0.093, 0.271, 0.505, 0.721, 0.86, 0.934, 0.961, 0.98)


@dataclass(frozen=True)
class Visits:
    """When, in which passband (wavelength in um) and with which error (n,) a wide-survey object was observed, without its own light."""

    mjd: Array
    band: Array
    wavelength: Array
    error: Array


@dataclass(frozen=True)
class Process:
    """A Gaussian process of the flux of one object; days from maximum light, wavelengths in um, both (n,) and of the observer."""

    days: Array
    wavelength: Array
    weight: Array
    scale: float

    @classmethod
    def of(cls, days: Array, wavelength: Array, flux: Array, error: Array) -> "Process":
        """The most likely of a few length scales and amplitudes."""
        best = (-np.inf, cls(days, wavelength, flux, 0.0))
        for scale in NIGHTS:
            shape = matern((days[:, None] - days) / scale) * matern((wavelength[:, None] - wavelength) / MICRONS)
            for amplitude in (0.5 * flux.max(), flux.max()):
                factor = cho_factor(amplitude**2 * shape + np.diag(error**2 + (0.01 * flux) ** 2))
                weight = cho_solve(factor, flux)
                likelihood = -0.5 * flux @ weight - np.log(np.diag(factor[0])).sum()
                if likelihood > best[0]:
                    best = likelihood, cls(days, wavelength, amplitude**2 * weight, scale)
        return best[1]

    def flux(self, days: Array, wavelength: Array) -> Array:
        """The expected flux at these days and wavelengths, both (m,)."""
        near = matern((days[:, None] - self.days) / self.scale)
        found: Array = near * matern((wavelength[:, None] - self.wavelength) / MICRONS) @ self.weight
        return found


def matern(distance: Array) -> Array:
    """The Matern kernel of order 3/2."""
    scaled = np.sqrt(3) * np.abs(distance)
    return np.asarray((1 + scaled) * np.exp(-scaled))


def moved(objects: pd.DataFrame, observations: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Objects (with `parent`, `peak_mag` and the redshifts) and observations of the moved light curves."""
    rng = np.random.default_rng(5)
    groups = dict(list(observations.groupby("object_id")))
    wide = [visits(groups[name]) for name in objects.loc[~objects["ddf"], "object_id"]]
    kinds = objects.set_index("object_id")["class"].to_dict()
    found, rows = [], []
    for row in objects.itertuples():
        own, kind = groups[row.object_id], kinds[row.object_id]
        peak = own["mjd"][own["flux"].idxmax()] if kind == "AGN" else row.peak_mjd
        own = own[own["mjd"].between(peak + DAYS[0], peak + DAYS[1])]
        if len(own) < 12 or (own["flux"] / own["flux_err"]).nlargest(4).iloc[-1] < 8:
            continue  # too little is known of its flux
        process = Process.of(
            (own["mjd"] - peak).to_numpy(),
            own["band"].map(EFFECTIVE).to_numpy(),
            *own[["flux", "flux_err"]].to_numpy(float).T,
        )
        copies = islice(again(process, row.redshift, wide, rng), COPIES.get(kind, COPIED))
        for number, (z, made) in enumerate(copies):
            rows.append(made.assign(object_id=f"{row.object_id}_{number}"))
            peak_mag = float(magnitude_of_flux(made["true"].max()))
            found.append((f"{row.object_id}_{number}", row.object_id, kind, peak_mag, z))
    faint = pd.DataFrame(found, columns=["object_id", "parent", "class", "peak_mag", "redshift"])
    return faint.join(hosts(faint["redshift"], objects)), pd.concat(rows, ignore_index=True).drop(columns="true")


def hosts(redshift: "pd.Series[float]", objects: pd.DataFrame) -> pd.DataFrame:
    """Photometric redshifts of hosts: those of objects that are nearly as far, with the same error in units of 1 + z."""
    rng, donors = np.random.default_rng(6), objects.sort_values("redshift").reset_index(drop=True)
    place = np.searchsorted(donors["redshift"], redshift) + rng.integers(-DONORS, DONORS + 1, len(redshift))
    donor = donors.iloc[np.clip(place, 0, len(donors) - 1)].reset_index(drop=True)
    stretch = (1 + redshift) / (1 + donor["redshift"])
    stated = {
        "host_photoz": (1 + donor["host_photoz"]) * stretch - 1,
        "host_photoz_err": donor["host_photoz_err"] * stretch,
    }
    return pd.DataFrame(stated).clip(lower=0.001)


def visits(own: pd.DataFrame) -> Visits:
    """The visits of an object; an error is at most twice that of a faint observation in the passband."""
    sky = own["band"].map(own.groupby("band")["flux_err"].quantile(0.3))
    wavelength, error = own["band"].map(EFFECTIVE).to_numpy(), np.minimum(own["flux_err"], 2 * sky).to_numpy(float)
    return Visits(own["mjd"].to_numpy(), own["band"].to_numpy(), wavelength, error)


def again(
    process: Process, redshift: float, wide: list[Visits], rng: np.random.Generator
) -> Iterator[tuple[float, pd.DataFrame]]:
    """Redshift and observations of the object farther away, drawn by volume, where at least two of its observations are detections."""
    grid = np.linspace(redshift, max(min(STRETCH * (1 + redshift) - 1, FARTHEST), redshift + 0.02), 200)
    distance = luminosity_distance(grid)
    volume = (distance / (1 + grid)) ** 3
    for _ in range(TRIES):
        z = np.interp(rng.uniform(volume[0], volume[-1]), volume, grid)
        there = wide[rng.integers(len(wide))]
        peak = rng.choice(there.mjd) + rng.uniform(-25, 25)
        stretch = (1 + redshift) / (1 + z)
        seen = (there.mjd > peak + DAYS[0]) & (there.mjd < peak + 0.95 * DAYS[1] / stretch)
        if seen.sum() < 8:
            continue
        mjd, band, error = there.mjd[seen], there.band[seen], there.error[seen]
        dimming = (distance[0] / np.interp(z, grid, distance)) ** 2 / stretch  # flux per frequency
        true = dimming * process.flux((mjd - peak) * stretch, there.wavelength[seen] * stretch)
        error = np.hypot(error, np.sqrt(0.05 * np.abs(true)))
        flux = true + error * rng.standard_normal(len(true))
        detected = rng.random(len(true)) < np.interp(flux / error, SIGNIFICANCE, DETECTED, left=0)
        if detected.sum() >= 2 and true.max() > 0:
            made = {"mjd": mjd, "band": band, "flux": flux, "flux_err": error, "detected": detected, "true": true}
            yield float(z), pd.DataFrame(made)


def kept(objects: pd.DataFrame, observations: pd.DataFrame, table: Path | None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What `moved` gives, from the table and its list of objects where they are there already."""
    beside = table.with_suffix(".objects.parquet") if table else None
    if table is None or beside is None:
        return moved(objects, observations)
    if not beside.exists():
        faint, rows = moved(objects, observations)
        rows.to_parquet(table)
        faint.to_parquet(beside)
    return pd.read_parquet(beside), pd.read_parquet(table)


def scores(
    model: tlclass.Model, rows: pd.DataFrame, sets: list[pd.DataFrame], told: list[str]
) -> list[dict[str, float]]:
    """AUROC of each class against the others, of each set of objects; `told` are columns of objects that the model gets."""
    read = ["object_id", "mjd", "band", "flux", "flux_err", "detected"]
    table = rows.loc[rows["object_id"].isin(sets[0]["object_id"]), read].merge(
        sets[0][["object_id", *told]], on="object_id"
    )
    predicted = model.predict(table, flux_unit="fluxcal")
    predicted = predicted[predicted[f"p({model.classes[0]})"].notna()].drop(columns="class").set_index("object_id")
    found = []
    for objects in sets:
        both = objects[["object_id", "class"]].join(predicted, on="object_id", how="inner")
        true = {name: both["class"] == name for name in model.classes}
        present = [name for name in true if 0 < true[name].sum() < len(both)]
        found.append({name: float(roc_auc_score(true[name], both[f"p({name})"])) for name in present})
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("models", nargs="*", help="released models or folders")
    parser.add_argument("--development", action="store_true", help="score the objects outside the test part")
    parser.add_argument(
        "--table", type=Path, help="of the moved light curves, read if it is there; its objects beside it"
    )
    parser.add_argument("--hosts", action="store_true", help="tell models the photometric redshift of the host galaxy")
    given = parser.parse_intermixed_args()
    told = ["host_photoz", "host_photoz_err"] if given.hosts else []
    logging.disable(logging.WARNING)
    objects = pd.read_parquet(given.folder / "objects.parquet")
    observations = pd.read_parquet(given.folder / "observations.parquet").astype({"band": str})
    survey = tlclass.load_survey("plasticc_table", data=given.folder.parent)
    curves, label = survey.load(cache_folder())
    test = curves.object_id[fixed_test(label, curves.object_id, 0.2) != given.development]
    objects = objects[objects["object_id"].isin(curves.object_id) & (objects["redshift"] > 0)]
    faint, rows = kept(objects, observations, given.table)
    objects, faint = objects[objects["object_id"].isin(test)], faint[faint["parent"].isin(test)]
    thirds = pd.qcut(faint["peak_mag"], 3, labels=False)
    limits = ", ".join(f"{magnitude:.1f}" for magnitude in faint["peak_mag"].groupby(thirds).median())
    print(
        f"{len(objects)} objects; {len(faint)} moved ones, median peak magnitudes of the thirds {limits}; SIMULATED\n"
    )
    names = ("as they are", "moved", "bright third", "middle third", "faint third")
    print("| model | light curves | macro | " + " | ".join(COMMON) + " |")
    print("|---" * (len(COMMON) + 3) + "|")
    for name in given.models:
        model = tlclass.load_model(name)
        found = scores(model, observations, [objects], told)
        found += scores(model, rows, [faint, *(faint[thirds == third] for third in range(3))], told)
        for what, score in zip(names, found, strict=True):
            cells = [float(np.mean(list(score.values()))), *(score[kind] for kind in COMMON)]
            print(f"| {name} | {what} | " + " | ".join(f"{cell:.3f}" for cell in cells) + " |", flush=True)


if __name__ == "__main__":
    main()
