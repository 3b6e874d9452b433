"""How a model does on faint objects: `python -m benchmarks.faint_objects FOLDER MODEL [MODEL ...]`.

FOLDER holds `observations.parquet` and `objects.parquet` of PLAsTiCC's training set (columns object_id, mjd, band, flux, flux_err,
detected; object_id, class, redshift, host_photoz, host_photoz_err, peak_mjd, ddf). Like all
objects with a spectrum they are bright; what a survey observes is not. So well observed objects are moved to larger
redshifts and observed again with the visits and errors of other objects of the wide survey
(Boone 2019, AJ 158, 257), as `augmentation=farther` does for training. SIMULATED.

Prints the macro AUROC (one against rest) on the light curves as they are and on the moved ones, and the AUROC of the common classes in
each third of the moved ones by peak magnitude, for objects that come from the test part (`protocol.test=fixed`) or from all others
(`--development`). `--table FILE` keeps the moved light curves, which take minutes.
"""

import argparse
import logging
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

import tlclass
from tlclass.config import cache_folder
from tlclass.inputs.farther import Conditions, Visits, again, hosts_at, process_of
from tlclass.inputs.split import fixed_test
from tlclass.lightcurves.photometry import magnitude_of_flux

COMMON = ("SNIa", "SNII", "SNIbc")
# um, effective, as the light is weighed; conf/passbands/lsst.yaml has the mid-points of the edges, an input of the networks
EFFECTIVE = {"u": 0.367, "g": 0.483, "r": 0.622, "i": 0.755, "z": 0.869, "y": 0.971}
COPIES = {"SNIbc": 5, "SNII": 3}  # light curves made of one object of a rare or faint class; of all others
COPIED = 2
SIGNIFICANCE = np.array(
    [2.5, 3.5, 4.5, 5.5, 6.5, 7.5, 8.5, 9.5, 11]
)  # flux / error, and the share of observations that are detections
DETECTED = np.array([0.013, 0.093, 0.271, 0.505, 0.721, 0.86, 0.934, 0.961, 0.98])
PHOTONS = 0.05  # variance that the light of an object adds, per flux


def moved(objects: pd.DataFrame, observations: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Objects (with `parent`, `peak_mag` and the redshifts) and observations of the moved light curves."""
    rng = np.random.default_rng(5)
    groups = dict(list(observations.groupby("object_id")))
    wide = [visits(groups[name]) for name in objects.loc[~objects["ddf"], "object_id"]]
    seen = Conditions(wide, PHOTONS, SIGNIFICANCE, DETECTED)
    kinds = objects.set_index("object_id")["class"].to_dict()
    found, rows = [], []
    for row in objects.itertuples():
        own, kind = groups[row.object_id], kinds[row.object_id]
        peak = own["mjd"][own["flux"].idxmax()] if kind == "AGN" else row.peak_mjd
        mjd, flux, error = own[["mjd", "flux", "flux_err"]].to_numpy(float).T
        process = process_of(mjd, own["band"].map(EFFECTIVE).to_numpy(), flux, error, peak)
        if process is None:
            continue
        for number, copy in enumerate(islice(again(process, row.redshift, seen, rng), COPIES.get(kind, COPIED))):
            name = f"{row.object_id}_{number}"
            columns = {
                "mjd": copy.mjd,
                "band": copy.passband,
                "flux": copy.flux,
                "flux_err": copy.flux_err,
                "detected": copy.detected,
            }
            rows.append(pd.DataFrame(columns).assign(object_id=name))
            found.append((name, row.object_id, kind, float(magnitude_of_flux(copy.true.max())), copy.redshift))
    faint = pd.DataFrame(found, columns=["object_id", "parent", "class", "peak_mag", "redshift"])
    near = objects.sort_values("redshift")[["redshift", "host_photoz", "host_photoz_err"]].to_numpy(float).T
    hosts = hosts_at(faint["redshift"].to_numpy(), *near, np.random.default_rng(6))
    return faint.assign(**hosts), pd.concat(rows, ignore_index=True)


def visits(own: pd.DataFrame) -> Visits:
    """The visits of an object."""
    band = own["band"].to_numpy(str)
    return Visits.of(
        own["mjd"].to_numpy(), band, own["band"].map(EFFECTIVE).to_numpy(), own["flux_err"].to_numpy(float)
    )


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
