"""A sncosmo source, built in memory, as a class: the same light as sncosmo's own, through the usual path."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import refused
from tlclass.arrays import Array
from tlclass.extras import install
from tlclass.lightcurves.curves import check
from tlclass.simulate import load_simulation, main
from tlclass.simulator import Bands, Gap, Observatory, Transient, band_flux, rest_frame_magnitudes
from tlclass.simulator.histories import evolve
from tlclass.simulator.templates import Template, read_grid

sncosmo = pytest.importorskip("sncosmo")  # in the extras dev and templates

EDGES = [(0.4095, 0.5520), (0.5535, 0.6885), (0.6920, 0.8165)]  # um: g, r, i
REFERENCE = Bands(np.array([[0.62]]), np.array([[1.0]]))
MAGNITUDE = -17.0
RISE = 20.0  # d from the first phase to maximum light


def grid() -> tuple[Array, Array, Array]:
    """A cooling bump with a broad and a narrow line: phase (d), wavelength (Angstrom), F_lambda."""
    phase, wave = np.arange(-20.0, 81.0, 2.0), np.arange(1500.0, 12000.0, 10.0)
    light = np.where(phase < 0, np.exp(-0.5 * (phase / 6) ** 2), np.exp(-phase / 25))[:, None]
    color = (wave / 6200) ** (-2.5 + 0.03 * np.clip(phase, 0, 60)[:, None])
    lines = 1 - 0.5 * np.exp(-0.5 * ((wave - 5000) / 120) ** 2) + 0.8 * np.exp(-0.5 * ((wave - 6563) / 40) ** 2)
    return phase, wave, 1e-9 * light * color * lines


@pytest.fixture(scope="module")
def source() -> Any:
    """The source in memory."""
    return sncosmo.TimeSeriesSource(*grid(), zero_before=True, time_spline_degree=1, name="bump")


@pytest.fixture
def served(source: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Every name of sncosmo's list stands for the source in memory."""
    monkeypatch.setattr(sncosmo, "get_source", lambda name: source)
    return source


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The grid as a file, its lines shuffled."""
    phase, wave, flux = grid()
    rows = np.stack([*np.meshgrid(phase, wave, indexing="ij"), flux], axis=-1).reshape(-1, 3)
    np.random.default_rng(0).shuffle(rows)
    np.savetxt(tmp_path / "bump.dat", rows, header="phase wavelength flux")
    return tmp_path / "bump.dat"


def entry(**changes: Any) -> dict[str, Any]:
    """The smallest entry of a template in a population file."""
    config: dict[str, Any] = {"engine": "template", "source": "bump", "magnitude": MAGNITUDE}
    return config | {"dust": {"none": 1, "mean": 0}, "rate": {"local": 1e-5}} | changes


def flux_at(transient: Transient, bands: Bands, z: float, days: Array, av: float = 0.0) -> Array:
    """Flux of one object relative to its magnitude and distance, (bands, days); `days` in the observer's time."""
    rng = np.random.default_rng(0)
    histories = evolve(transient, transient.draw(rng, 1, Gap()), rng)
    band, day = (axis.ravel() for axis in np.indices((bands.wave.shape[1], days.size)))
    epochs = np.zeros(band.size, np.int64), band, days[day] / (1 + z)
    return band_flux(histories, bands, np.full(1, z), epochs, np.full(1, av)).reshape(-1, days.size)


@pytest.mark.parametrize("z", [0.0, 0.3, 1.0])
def test_same_light_as_sncosmo(served: Any, z: float) -> None:
    """K correction, time dilation and normalisation, against sncosmo.Model with the same top hats."""
    transient = Transient.from_config("SNII", entry())
    days = np.linspace(0.5, 99.5, 60) * (1 + z)
    ours = flux_at(transient, Bands.top_hats(EDGES), z, days)
    model = sncosmo.Model(source=served)
    wave = 2.99792458e18 / served.flux(0.0, 6200.0) / 6200.0**2  # Angstrom^2 / s over F_lambda: 1 / F_nu at the peak
    model.set(z=z, t0=RISE * (1 + z), amplitude=wave * 3631e-23)
    for (low, high), flux in zip(EDGES, ours, strict=True):
        edge = np.array([low - 1e-7, low, high, high + 1e-7]) * 1e4
        hat = sncosmo.Bandpass(edge, [0.0, 1.0, 1.0, 0.0])
        theirs = model.bandflux(hat, days, zp=0.0, zpsys="ab")
        bright = theirs > 0.01 * theirs.max()
        np.testing.assert_allclose(flux[bright], theirs[bright], rtol=0.03)


def test_peak_at_the_reference_wavelength_is_the_drawn_magnitude(served: Any) -> None:
    transient = Transient.from_config("SNII", entry(magnitude={"normal": [MAGNITUDE, 0.5]}))
    drawn = transient.draw(np.random.default_rng(1), 50, Gap())["peak_magnitude"]
    magnitude = rest_frame_magnitudes(transient, REFERENCE, np.arange(0.25, 100, 0.25), 50, seed=1)
    np.testing.assert_allclose(magnitude[:, 0].min(axis=1), drawn, atol=0.002)
    assert drawn.std() == pytest.approx(0.5, abs=0.15)


def test_stretch_is_a_factor_on_time(served: Any) -> None:
    plain, slow = (Transient.from_config("SNII", entry(stretch=factor)) for factor in (1.0, 1.5))
    days, bands = np.linspace(1, 99, 50), Bands.top_hats(EDGES)
    np.testing.assert_allclose(flux_at(slow, bands, 0.1, 1.5 * days), flux_at(plain, bands, 0.1, days), rtol=1e-4)
    rng = np.random.default_rng(0)
    assert evolve(slow, slow.draw(rng, 1, Gap()), rng).peak_time == pytest.approx(1.5 * RISE)
    bad = Transient.from_config("SNII", entry(stretch={"normal": [0, 1]}))
    with pytest.raises(ValueError, match=r"stretch of -.*within"):
        evolve(bad, bad.draw(rng, 100, Gap()), rng)


def test_dark_outside_its_phases_and_wavelengths(served: Any) -> None:
    transient = Transient.from_config("SNII", entry())
    assert transient.duration == 100
    flux = flux_at(transient, Bands.top_hats(EDGES), 0.0, np.array([-1.0, 1.0, 99.9, 100.1]))
    assert (flux > 0).tolist() == [[False, True, True, False]] * 3
    ends = Bands(np.array([[0.149, 0.151, 1.198, 1.201]]), np.ones((1, 4)))
    assert (flux_at(transient, ends, 0.0, np.array([RISE]))[:, 0] > 0).tolist() == [False, True, True, False]


def test_host_dust_dims_blue_light_more(served: Any) -> None:
    transient, bands, day = Transient.from_config("SNII", entry()), Bands.top_hats(EDGES), np.array([RISE])
    loss = -2.5 * np.log10(flux_at(transient, bands, 0.0, day, av=1.0) / flux_at(transient, bands, 0.0, day))[:, 0]
    assert 1.4 > loss[0] > loss[1] > loss[2] > 0.4


def test_a_file_is_the_same_template(served: Any, path: Path) -> None:
    from_file = Transient.from_config("SNII", entry(source=str(path)))
    assert isinstance(from_file.spectrum, Template)
    np.testing.assert_allclose(from_file.spectrum.table, Template.from_source(served, "bump").table, rtol=1e-5)
    rows = np.loadtxt(path)
    np.savetxt(path, rows * [1, 1, 8])
    assert repr(Transient.from_config("SNII", entry(source=str(path)))) == repr(from_file)  # the scale is free
    np.savetxt(path, rows + np.array([0, 0, 1e-10]))
    assert repr(Transient.from_config("SNII", entry(source=str(path)))) != repr(from_file)  # the key of the cache


def test_the_example_works_from_configuration_alone(served: Any, path: Path) -> None:
    changes = ["population=templates_example", f"population.classes.SNII.source={path}"]
    simulation = load_simulation("ztf_simulated", [*changes, "classes=[SNIa, SNII, TDE]", "n_objects=30"])
    curves = simulation.read()
    check(curves, "templates")
    assert set(curves.label) == {"SNIa", "SNII", "TDE"}
    assert np.isfinite(curves.flux).all() and (curves.redshift < 1.2).all()
    assert curves.extra["host_av"].max() > 0
    magnitude = curves.extra["peak_abs_mag"]
    assert np.median(magnitude[curves.label == "SNIa"]) == pytest.approx(-19.15, abs=0.3)
    observatory = Observatory(simulation)
    other: Observatory = pickle.loads(pickle.dumps(observatory))  # as a worker process gets it
    assert other.observe("SNII", 0).flux.tobytes() == observatory.observe("SNII", 0).flux.tobytes()


def test_without_sncosmo_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "sncosmo", None)
    words = ["survey=ztf_simulated", "population=templates_example", "-o", "x"]
    assert install("templates") in refused(capsys, main, words)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"spectrum": {}}, "SNII: .*source.*remove spectrum"),
        ({"duration": 100, "parameters": {}}, "remove duration, parameters"),
        ({"magnitude": None}, "SNII: .*magnitude"),
        ({"magnitude": "bright"}, "SNII.parameters.peak_magnitude"),
        ({"colour": 1}, "SNII .*colour"),
        ({"source": "no-such-template"}, "neither a file nor a source sncosmo can load"),
    ],
)
def test_mistakes_in_the_entry_are_named(
    changes: dict[str, Any], message: str, served: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "source" in changes:
        monkeypatch.undo()
    with pytest.raises(ValueError, match=message):
        Transient.from_config("SNII", entry(**changes))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 5000\n", "bad.dat has 2 columns"),
        ("0 5000 one\n", "phase .* wavelength .* flux"),
        ("0 5000 1\n0 6000 1\n1 5000 1\n", "bad.dat has 3 lines for 2 phases and 2 wavelengths"),
        ("0 5000 1\n1 5000 1\n", "bad.dat has 2 phases and 1 wavelengths.* 4 wavelengths"),
    ],
)
def test_mistakes_in_the_file_are_named(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "bad.dat").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_grid(tmp_path / "bad.dat")


def test_a_template_must_shine_at_the_reference_wavelength() -> None:
    phase, wave, flux = grid()
    blue = sncosmo.TimeSeriesSource(phase, wave[:300], flux[:, :300])
    with pytest.raises(ValueError, match=r"template blue .*0.62 um"):
        Template.from_source(blue, "blue")
    with pytest.raises(ValueError, match=r"template dark .*0.62 um"):
        Template.from_source(sncosmo.TimeSeriesSource(phase, wave, 0 * flux), "dark")
