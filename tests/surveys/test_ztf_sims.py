import logging
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import compose, equal_curves
from tests.data.raw_pickles import CLASSES, dump, lists, tables, write_lists, write_tables
from tlclass.experiments.cards import build_survey
from tlclass.lightcurves.curves import LightCurves, check, concatenate
from tlclass.surveys import Survey, ZTFSims, ZTFSimTables

COUNT = sum(count for _, _, count in CLASSES.values())


def survey(name: str, data: Path, *overrides: str) -> Survey:
    return build_survey(compose([f"target={name}", f"paths.data={data}", *overrides])["target"])


def reader(folder: Path, **options: Any) -> ZTFSims:
    card = survey("ztf_sims", folder).reader
    return ZTFSims(folder, card.passbands, card.wavelengths, **options)  # type: ignore[attr-defined]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_lists(tmp_path / "ztf_sims")
    write_tables(tmp_path / "ztf_sims")
    return tmp_path


def test_the_lists_give_back_days_fluxes_and_passbands(tmp_path: Path) -> None:
    curve = np.array([[0.6223, 0.29, 0.2, 0.02], [0.4827, 0.30, 1.0, 0.04], [0.6223, 0.95, -0.1, 0.02]])
    write(tmp_path, [curve], ["SNIa"], [[0.1, -9]])
    curves = check(reader(tmp_path).read(), "t")
    assert curves.object_id.tolist() == ["x_data/0"] and curves.label.tolist() == ["SNIa"]
    assert np.allclose(curves.mjd, [-1, 0, 65]) and curves.trigger_mjd.tolist() == [0]
    assert [curves.passbands[code] for code in curves.passband] == ["ztfg", "ztfr", "ztfg"]
    assert np.allclose(curves.flux, [100, 500, -50]) and np.allclose(curves.flux_err, [10, 20, 10])
    assert curves.redshift.tolist() == [0.1] and np.isnan(curves.mwebv).all() and curves.detected.all()


def test_photflags_say_what_was_detected(tmp_path: Path) -> None:
    curve = np.array([[0.6223, 0.29, 0.2, 0.02, 0], [0.4827, 0.30, 1.0, 0.04, 6144], [0.6223, 0.40, 0.1, 0.02, 4096]])
    write(tmp_path, [curve], ["SNIa"], [[0.1, 0.1]])
    assert reader(tmp_path).read().detected.tolist() == [False, True, True]
    curve[1, 1] = 0.32
    write(tmp_path, [curve], ["SNIa"], [[0.1, 0.1]])
    with pytest.raises(ValueError, match=r"x_data: a trigger \(PHOTFLAG 2048\) is 2 d from time 0"):
        reader(tmp_path).read()


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_lists_and_tables_are_the_same_light_curves(
    protocol: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_lists(tmp_path / "ztf_sims", protocol=protocol)
    write_tables(tmp_path / "ztf_sims", protocol=protocol)
    with caplog.at_level(logging.INFO):
        scaled, labels = survey("ztf_sims", tmp_path).load(tmp_path / "cache")
    assert "0.4827 um for ztfr, 0.6223 um for ztfg" in caplog.text and "wrong order" in caplog.text
    whole, whole_labels = survey("ztf_sims_tables", tmp_path).load(tmp_path / "cache")
    order = np.concatenate([np.flatnonzero(whole_labels == label) for label in dict.fromkeys(labels)])
    whole, whole_labels = whole.take(order), whole_labels[order]
    assert len(scaled) == len(whole) == COUNT - CLASSES["KNe"][2]
    assert np.array_equal(labels, whole_labels) and np.array_equal(scaled.offsets, whole.offsets)
    for name in ("passband", "flux", "flux_err", "redshift", "mwebv"):
        assert np.allclose(getattr(scaled, name), getattr(whole, name), rtol=1e-6)
    days = [curves.mjd - curves.trigger_mjd[curves.owner] for curves in (scaled, whole)]
    assert np.allclose(days[0], days[1], atol=1e-4)


def test_tables_keep_ids_dates_flags_and_all_observations(data: Path) -> None:
    curves = check(survey("ztf_sims_tables", data).reader.read(), "t")
    published = {f"{label}/{name}": curve for label, kind in tables().items() for name, curve in kind.items()}
    assert len(curves) == COUNT and set(curves.label) == {"Ia-norm", "Ia-91bg", "Ib", "II", "TDE", "AGN", "Kilonova"}
    number = curves.object_id.tolist().index(next(name for name in curves.object_id if name.startswith("II/")))
    one = curves.take(np.array([number]))
    published_one = next(c for name, c in published.items() if name == one.object_id[0].replace("II/", "SNII/"))
    assert one.trigger_mjd[0] == published_one.meta["trigger_mjd"] == one.extra["peak_mjd"][0] - 5
    assert len(one.mjd) == len(published_one)
    assert np.allclose(one.mjd - one.trigger_mjd[0], np.sort(published_one["time"]), atol=1e-4)
    assert [one.passbands[code][-1] for code in one.passband] == [
        str(band) for band in np.array(published_one["passband"])[np.argsort(published_one["time"])]
    ]
    detected = curves.mjd[curves.detected][np.searchsorted(curves.owner[curves.detected], np.arange(len(curves)))]
    assert np.allclose(detected, curves.trigger_mjd, atol=1e-3)


def test_files_of_dropped_classes_are_not_read(data: Path, tmp_path: Path) -> None:
    (data / "ztf_sims" / CLASSES["KNe"][0]).write_bytes(b"nonsense")
    _, unread = survey("ztf_sims_tables", data).parsed(tmp_path / "cache")
    assert unread == {"Kilonova": 1}


def test_the_names_of_class_files_are_labels_too(tmp_path: Path) -> None:
    x_data, target, host = lists()
    write(tmp_path / "ztf_sims", x_data, [CLASSES[name][0] for name in target], host)
    built = survey("ztf_sims", tmp_path)
    _, labels = built.load(tmp_path / "cache")
    assert [built.taxonomy.classes[label] for label in labels] == [name for name in target if name != "KNe"]


def test_times_in_the_rest_frame_are_recognised_and_undone(tmp_path: Path) -> None:
    write_lists(tmp_path / "observer")
    write_lists(tmp_path / "rest", rest_frame=True)
    observed = reader(tmp_path / "observer").read()
    assert np.allclose(reader(tmp_path / "rest", rest_frame=True).read().mjd, observed.mjd, atol=1e-3)
    with pytest.raises(ValueError, match=r"x_data: every light curve lies within .* set reader.rest_frame=true"):
        reader(tmp_path / "rest").read()
    with pytest.raises(ValueError, match=r"x_data: object \d+ was not cut .* set it to false"):
        reader(tmp_path / "observer", rest_frame=True).read()


def test_files_named_as_in_the_notebook(tmp_path: Path) -> None:
    write_lists(tmp_path)
    for old, new in {
        "x_data": "x_data.pkl",
        "target_cls": "target.pkl",
        "host_galaxy_info": "host_galaxy_info.pkl",
    }.items():
        (tmp_path / old).rename(tmp_path / new)
    curves = reader(tmp_path, light_curves="x_data.pkl", labels="target.pkl", hosts="host_galaxy_info.pkl").read()
    assert len(curves) == COUNT and curves.object_id[3] == "x_data.pkl/3"


def test_a_hostile_pickle_runs_nothing_and_leaves_no_cache(data: Path, tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> Any:
            return os.system, (f"touch {tmp_path / 'sentinel'}",)

    for card, name in {"ztf_sims": "x_data", "ztf_sims_tables": CLASSES["TDE"][0]}.items():
        dump([np.ones((3, 4)), Hostile()], data / "ztf_sims" / name)
        with pytest.raises(ValueError, match=rf"{name} cannot be read .* asks for posix.system"):
            survey(card, data).load(tmp_path / "cache")
    assert not (tmp_path / "sentinel").exists() and not list((tmp_path / "cache").rglob("*.arrow"))
    pickle.loads((data / "ztf_sims" / "x_data").read_bytes())
    assert (tmp_path / "sentinel").exists(), "the sentinel proves nothing"


MISTAKES: dict[str, tuple[Callable[[Any, Any, Any], Any], str]] = {
    "wavelength": (lambda x, t, h: ([*x[:-1], np.full((2, 4), 0.5)], t, h), r"unknown wavelength 0.5 um \(2 observations\); .* ztfg: 0.6223"),
    "lengths": (lambda x, t, h: (x, t[:-1], h), rf"have {COUNT}, {COUNT - 1} and {COUNT} elements"),
    "shape": (lambda x, t, h: ([*x[:-1], np.ones((4, 3))], t, h), rf"x_data: element {COUNT - 1} is not an array of numbers .*\(N, 4\)"),
    "text": (lambda x, t, h: ([*x[:-1], np.array([["g", "1", "1", "1"]])], t, h), rf"x_data: element {COUNT - 1} is not an array"),
    "nothing": (lambda x, t, h: ([], [], []), r"have 0, 0 and 0 elements"),
    "kind": (lambda x, t, h: ({"a": 1}, t, h), r"x_data: a list with one element per light curve is expected, it holds a dict"),
    "days": (lambda x, t, h: ([c * [1, 100, 1, 1] for c in x], t, h), r"x_data: time runs from .* between 0 and 1, is expected"),
    "hosts": (lambda x, t, h: (x, t, [[1.0]] * len(t)), r"host_galaxy_info .*redshift and E\(B-V\)"),
    "host": (lambda x, t, h: (x, t, [{"z": 1.0}, *h[1:]]), r"host_galaxy_info .*redshift and E\(B-V\)"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_in_the_lists_are_named(name: str, tmp_path: Path) -> None:
    change, message = MISTAKES[name]
    write(tmp_path, *change(*lists()))
    with pytest.raises(ValueError, match=message):
        reader(tmp_path).read()


def test_mistakes_in_the_tables_are_named(data: Path) -> None:
    file = data / "ztf_sims" / CLASSES["TDE"][0]
    passbands = survey("ztf_sims_tables", data).passbands
    content = tables()["TDE"]
    next(iter(content.values())).remove_column("photflag")
    dump(content, file)
    with pytest.raises(ValueError, match=rf"{file}: object {next(iter(content))} lacks the column\(s\) photflag"):
        ZTFSimTables(file.parent, passbands).read()
    dump([1], file)
    with pytest.raises(ValueError, match=rf"{file}: a dictionary id -> table is expected, it holds a list"):
        ZTFSimTables(file.parent, passbands).read()
    with pytest.raises(FileNotFoundError, match=r"no file lc_classnum_CLASS.pickle in .*nowhere: set paths.data"):
        ZTFSimTables(data / "nowhere", passbands).files()
    with pytest.raises(FileNotFoundError, match=r"no data folder .*nowhere: set paths.data=FOLDER"):
        reader(data / "nowhere").files()


def test_the_pieces_are_the_whole(data: Path) -> None:
    whole: LightCurves = survey("ztf_sims_tables", data).reader.read()
    pieces = survey("ztf_sims_tables", data).reader.pieces()  # type: ignore[attr-defined]
    assert equal_curves(whole, concatenate([piece.read() for piece in pieces]))
    assert [piece.label for piece in pieces] == [piece.read().label[0] for piece in pieces]


def write(folder: Path, *content: Any) -> None:
    folder.mkdir(exist_ok=True)
    for name, values in zip(("x_data", "target_cls", "host_galaxy_info"), content, strict=True):
        dump(values, folder / name)
