from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf

from tlclass.config import CONF
from tlclass.lightcurves.passbands import Passbands

TABLES = sorted((CONF / "passbands").glob("*.yaml"))
ORDER = "ugrizy"


def load(path: Path) -> Passbands:
    table: Any = OmegaConf.to_container(OmegaConf.load(path))
    return Passbands.from_mapping(table["table"])


@pytest.fixture(params=TABLES, ids=lambda path: path.stem)
def passbands(request: pytest.FixtureRequest) -> Passbands:
    return load(request.param)


def test_wavelengths_rise_from_u_to_y(passbands: Passbands) -> None:
    letters = [band.name[-1].lower() for band in passbands.bands]
    assert letters == [letter for letter in ORDER if letter in letters]
    wavelengths = passbands.wavelengths(passbands.names)
    assert (np.diff(wavelengths) > 0).all()
    assert {"g", "r"} <= set(letters)
    assert wavelengths[letters.index("g")] < wavelengths[letters.index("r")]


def test_the_values_of_the_design() -> None:
    lsst, ztf = load(CONF / "passbands" / "lsst.yaml"), load(CONF / "passbands" / "ztf.yaml")
    assert np.allclose(lsst.wavelengths(lsst.names), [0.360, 0.476, 0.6215, 0.7545, 0.870, 1.015])
    assert np.allclose(ztf.wavelengths(["ztfg", "ztfr"]), [0.4746, 0.6366])


def test_every_alias_finds_its_passband_in_any_case(passbands: Passbands) -> None:
    for code, band in enumerate(passbands.bands):
        for spelling in (band.name, band.name.upper(), f" {band.name} ", *band.aliases):
            assert passbands.codes(np.array([spelling]), "t").tolist() == [code], spelling
        assert band.source and band.wavelength < 2


@pytest.mark.parametrize(
    ("table", "raw", "name"),
    [
        ("ztf", "ZTF-g", "ztfg"),
        ("ztf", "ztfg", "ztfg"),
        ("ztf", 1, "ztfg"),
        ("ztf", 2, "ztfr"),
        ("ztf", b"r", "ztfr"),
        ("lsst", "LSST-g", "lsstg"),
        ("lsst", "Y", "lssty"),
        ("lsst", "y", "lssty"),
        ("lsst", 5, "lssty"),
    ],
)
def test_what_files_call_them(table: str, raw: Any, name: str) -> None:
    passbands = load(CONF / "passbands" / f"{table}.yaml")
    assert passbands.names[passbands.codes(np.array([raw]), "t")[0]] == name


def test_an_unknown_band_is_counted_and_the_known_ones_are_named(passbands: Passbands) -> None:
    raw = np.array([passbands.names[0], "Q", "Q", "W1"])
    with pytest.raises(
        ValueError, match=r"file.csv: unknown passband 'Q' \(2 observations\), 'W1' \(1 observations\); known are"
    ) as error:
        passbands.codes(raw, "file.csv")
    assert all(name in str(error.value) for name in passbands.names)


def test_a_missing_band_is_an_error(passbands: Passbands) -> None:
    with pytest.raises(ValueError, match=r"\(missing\).*\(1 observations\)"):
        passbands.codes(np.array([passbands.names[0], None], dtype=object), "file.csv")


def test_codes_of_nothing(passbands: Passbands) -> None:
    assert passbands.codes(np.array([], dtype=str), "t").shape == (0,)


def test_mapping_round_trip(passbands: Passbands) -> None:
    assert Passbands.from_mapping(passbands.to_mapping()) == passbands


def test_two_bands_cannot_share_a_name_and_wavelengths_are_micrometres() -> None:
    with pytest.raises(ValueError, match=r"passbands a and b are both called 'g'"):
        Passbands.from_mapping({"a": {"wavelength": 0.5, "aliases": ["g"]}, "b": {"wavelength": 0.6, "aliases": ["g"]}})
    with pytest.raises(ValueError, match=r"passband g: wavelength 4746.0 is not between 0.1 and 30 micrometres"):
        Passbands.from_mapping({"g": {"wavelength": 4746.0}})
