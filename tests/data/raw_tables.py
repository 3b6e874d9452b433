"""The same light curves in the layouts that brokers, surveys and catalogues publish. Simulated.

The names are those of the ZTF alert schema, ANTARES, ALeRCE (both versions of its API), Fink, Lasair, SNANA, the Rubin
data products, PLAsTiCC, the BTS explorer and nested-pandas.
"""

import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from tests.data.raw_surveys import SHAPES, SUBTYPES

Layout = Callable[[pd.DataFrame], pd.DataFrame]
FID = {"g": 1, "r": 2}
PLASTICC = {"g": 1, "r": 2}


def alerts(count: int = 12, seed: int = 5, shapes: tuple[str, ...] = tuple(SHAPES)) -> pd.DataFrame:
    """Rows object_id, class, mjd, band, mag, mag_err, positive of `count` objects; mag is NaN for upper limits."""
    return _alerts(count, seed, shapes).copy()


@functools.cache
def _alerts(count: int, seed: int, shapes: tuple[str, ...]) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    return pd.concat(
        [_one(number, shapes[number % len(shapes)], generator) for number in range(count)], ignore_index=True
    )


def _one(number: int, shape: str, generator: np.random.Generator) -> pd.DataFrame:
    peak, rise, decay, color = SHAPES[shape]
    nights = np.sort(generator.choice(np.arange(-25, 75), 40, replace=False))
    days = nights + generator.uniform(0.1, 0.3, len(nights))
    band = generator.choice(["g", "r"], len(days))
    flux = peak * np.where(days < 0, np.exp(days / rise), np.exp(-days / decay)) * color ** (
        band == "r"
    ) + generator.normal(0, 20, len(days))
    flux = np.where(generator.random(len(days)) < 0.05, -flux, flux)  # where the reference image held light
    sigma = np.clip(25 / np.abs(flux), 0.01, 0.3)
    seen = np.abs(flux) > 60
    frame = pd.DataFrame(
        {
            "mjd": 58400 + 30 * number + days,
            "band": band,
            "mag": np.where(seen, 27.5 - 2.5 * np.log10(np.abs(flux)), np.nan),
        }
    )
    names = SUBTYPES.get(shape, (shape,))
    return frame.assign(
        mag_err=np.where(seen, sigma, np.nan), positive=flux > 0, limit=20.4, object_id=f"ZTF19a{number:06d}", peak=58400.2 + 30 * number,
        **{"class": names[number % len(names)]},
    )  # fmt: skip


def fluxes(frame: pd.DataFrame) -> pd.DataFrame:
    """The measurements alone, as flux at zero point 27.5."""
    seen = frame[frame.mag.notna()]
    size = 10 ** (-0.4 * (seen.mag - 27.5))
    return seen.assign(flux=np.where(seen.positive, size, -size), flux_err=size * seen.mag_err * np.log(10) / 2.5)


def plain(frame: pd.DataFrame) -> pd.DataFrame:
    return fluxes(frame).rename(columns={"positive": "detected"})[
        ["object_id", "mjd", "band", "flux", "flux_err", "detected"]
    ]


def plain_magnitudes(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.rename(columns={"positive": "is_positive"})[
        ["object_id", "mjd", "band", "mag", "mag_err", "is_positive"]
    ]


def ztf(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({
        "objectId": frame.object_id, "candid": np.arange(len(frame)), "jd": frame.mjd + 2400000.5, "fid": frame.band.map(FID), "magpsf": frame.mag,
        "sigmapsf": frame.mag_err, "isdiffpos": np.where(frame.positive, "t", "f"), "diffmaglim": frame.limit, "rb": 0.7,
    })  # fmt: skip


def antares(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({
        "alert_id": np.arange(len(frame)), "ant_mjd": frame.mjd, "time": pd.to_datetime(frame.mjd, unit="D", origin="1858-11-17").astype(str),
        "ant_survey": np.where(frame.mag.notna(), 1, 2), "ant_passband": frame.band.str.replace("r", "R"), "ant_mag": frame.mag, "ant_magerr": frame.mag_err,
        "ant_maglim": frame.limit, "ant_mag_corrected": frame.mag - 1, "ztf_object_id": frame.object_id, "locus_id": "ANT2020" + frame.object_id,
        "ztf_isdiffpos": np.where(frame.positive, "t", "f"),
    })  # fmt: skip


def alerce(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({
        "oid": frame.object_id, "candid": np.arange(len(frame)), "mjd": frame.mjd, "fid": frame.band.map(FID), "isdiffpos": np.where(frame.positive, 1, -1),
        "magpsf": frame.mag, "sigmapsf": frame.mag_err, "magpsf_corr": frame.mag - 1, "sigmapsf_corr": 0.01, "ra": 10.0, "dec": 5.0, "corrected": True,
    })  # fmt: skip


def alerce_2(frame: pd.DataFrame) -> pd.DataFrame:
    names = {"magpsf": "mag", "sigmapsf": "e_mag", "magpsf_corr": "mag_corr", "sigmapsf_corr": "e_mag_corr"}
    return alerce(frame).rename(columns=names).assign(sid="ZTF", aid="AL" + frame.object_id)


def fink(frame: pd.DataFrame) -> pd.DataFrame:
    return (
        ztf(frame)
        .add_prefix("i:")
        .assign(
            **{"d:tag": np.where(frame.mag.notna(), "valid", "upperlim"), "d:cdsxmatch": "Unknown", "v:lastdate": "x"}
        )
    )


def lasair(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({
        "objectId": frame.object_id, "MJD": frame.mjd, "UTC": "2020-01-01", "Filter": frame.band,
        "unforced mag": frame.mag.fillna(20.4), "unforced mag error": frame.mag_err,
        "unforced mag status": np.where(frame.mag.isna(), "limit", "positive difference"), "isdiffpos": np.where(frame.positive, "true", "false"),
    })  # fmt: skip


def lasair_api(frame: pd.DataFrame) -> pd.DataFrame:
    return ztf(frame).drop(columns=["jd", "rb"]).assign(mjd=frame.mjd)


def snana(frame: pd.DataFrame) -> pd.DataFrame:
    seen = fluxes(frame)
    return pd.DataFrame({
        "SNID": seen.object_id, "MJD": seen.mjd, "FLT": seen.band, "FLUXCAL": seen.flux, "FLUXCALERR": seen.flux_err,
        "PHOTFLAG": np.where(seen.positive, np.where(seen.mjd % 2 < 1, 4096, 6144), 1),
    })  # fmt: skip


def rubin(frame: pd.DataFrame) -> pd.DataFrame:
    """In nJy, without a flag of detection: what is in the table was detected."""
    seen = fluxes(frame)
    njy = 10 ** (0.4 * (31.4 - 27.5))
    return pd.DataFrame({
        "diaObjectId": seen.object_id, "diaSourceId": np.arange(len(seen)), "midpointMjdTai": seen.mjd, "band": seen.band, "psfFlux": seen.flux * njy,
        "psfFluxErr": seen.flux_err * njy, "scienceFlux": 1e5,
    })  # fmt: skip


def plasticc(frame: pd.DataFrame) -> pd.DataFrame:
    seen = fluxes(frame)
    return (
        plain(frame)
        .rename(columns={"band": "passband", "detected": "detected_bool"})
        .assign(passband=seen.band.map(PLASTICC), detected_bool=seen.positive.astype(int))
    )


LAYOUTS: dict[str, Layout] = {
    layout.__name__: layout
    for layout in (
        plain,
        plain_magnitudes,
        ztf,
        antares,
        alerce,
        alerce_2,
        fink,
        lasair,
        lasair_api,
        snana,
        rubin,
        plasticc,
    )
}


def explorer(frame: pd.DataFrame) -> pd.DataFrame:
    """The CSV of the BTS explorer: every third unclassified object has "-" as its type."""
    objects = frame.drop_duplicates("object_id").reset_index(drop=True)
    number = np.arange(len(objects))
    return pd.DataFrame({
        "ZTFID": objects.object_id, "IAUID": [f"SN2019{k:03d}" for k in number], "RA": "10:35:32.09", "Dec": "-04:53:39.2",
        "peakt": objects.peak + 2400000.5 - 2458000,
        "peakfilt": "r", "peakmag": 18.1, "peakabs": "-19.41", "duration": ">34.2", "rise": ">6.01", "fade": "28.219", "type": objects["class"],
        "redshift": np.where(number % 4 == 0, "-", "0.069"), "b": 59.6, "A_V": 0.31,
    })  # fmt: skip


def write(frame: pd.DataFrame, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.to_parquet(path, index=False) if path.suffix == ".parquet" else frame.to_csv(path, index=False)
    return path


def write_nested(rows: pd.DataFrame, objects: pd.DataFrame, path: Path, form: str = "struct of lists") -> Path:
    """One row per object; `rows` in any layout with `object_id`, `objects` with `object_id` and further columns."""
    names = [name for name in rows if name != "object_id"]
    groups = dict(iter(rows.groupby("object_id")))
    none = rows.iloc[:0]
    each = [groups.get(key, none) for key in objects.object_id]
    table = pa.Table.from_pandas(objects, preserve_index=False)
    if form == "list of structs":
        table = table.append_column("lightcurve", pa.array([group[names].to_dict("records") for group in each]))
    else:
        lists = [pa.array([group[name].tolist() for group in each]) for name in names]
        if form == "lists":
            for name, array in zip(names, lists, strict=True):
                table = table.append_column(name, array)
        else:
            table = table.append_column("lightcurve", pa.StructArray.from_arrays(lists, names))
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)
    return path
