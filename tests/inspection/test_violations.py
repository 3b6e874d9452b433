"""Each violation is found where it is, and nowhere else."""

from dataclasses import replace

import numpy as np
import pytest

from tlclass.inspection.violations import judged, lost_sign, noise_alone, odd_colours, other_flux, time_zero_in_noise
from tlclass.lightcurves.curves import LightCurves, from_columns
from tlclass.lightcurves.passbands import Passbands

BANDS = Passbands.from_mapping(
    {f"ztf{b}": {"wavelength": 0.47 + 0.16 * k, "aliases": [b]} for k, b in enumerate("gri")}
)
FORCED, DETECTIONS = True, False


def curves(objects: int = 40, baseline: bool = True, seed: int = 1) -> LightCurves:
    """Bumps of S/N 100 in two passbands over a baseline of noise; time zero is the first point at S/N 5."""
    generator = np.random.default_rng(seed)
    mjd = 59000.1 + np.arange(-60 if baseline else 0, 40, 2.0)
    n = len(mjd)
    owner = np.repeat(np.arange(objects), 2 * n)
    time = np.tile(np.concatenate([mjd, mjd + 0.01]), objects)
    band = np.tile(np.repeat([0, 1], n), objects)
    flux = np.where(time > 59000, 1000 * np.exp(-((time - 59010) ** 2) / 200), 0) * np.where(band == 0, 1, 1.2)
    flux = flux + generator.normal(0, 10, len(flux))
    seen = {
        "owner": owner,
        "mjd": time,
        "passband": band,
        "flux": flux,
        "flux_err": np.full(len(flux), 10.0),
        "detected": flux > 50,
    }
    packed = from_columns({"object_id": np.arange(objects)}, seen, BANDS.names, "t")
    first = [
        packed.mjd[a:b][packed.detected[a:b]][0] for a, b in zip(packed.offsets[:-1], packed.offsets[1:], strict=True)
    ]
    return replace(packed, trigger_mjd=np.array(first))


@pytest.mark.parametrize("baseline", [True, False])
def test_sound_light_curves_have_no_violation(baseline: bool) -> None:
    sound = curves(baseline=baseline)
    assert judged(sound, BANDS, FORCED, float(np.median(np.abs(sound.flux)))) == []


def test_time_zero_in_noise_is_found() -> None:
    sound = curves()
    early = replace(sound, trigger_mjd=sound.mjd[sound.offsets[:-1]])
    (sentence,) = time_zero_in_noise(early)
    assert "40 of 40 objects" in sentence or "39 of 40 objects" in sentence
    assert time_zero_in_noise(replace(sound, trigger_mjd=sound.trigger_mjd + 0.003)) == [], (
        "a trigger between observations"
    )


def test_light_curves_of_noise_are_found() -> None:
    sound = curves()
    noise = sound.keep(sound.mjd < 59000)
    (sentence,) = noise_alone(noise)
    assert "40 of 40 light curves" in sentence and noise_alone(sound) == []


def test_another_unit_is_found() -> None:
    sound = curves(baseline=False)
    middle = float(np.median(np.abs(sound.flux)))
    assert other_flux(sound, middle * 4) == other_flux(sound, None) == []
    assert other_flux(sound, middle * 6) and other_flux(sound, middle / 6)


def test_impossible_colours_are_found() -> None:
    sound = curves()
    scale = np.where(sound.passband == 0, 36.3, 1).astype(np.float32)  # one passband in nJy
    (sentence,) = odd_colours(replace(sound, flux=sound.flux * scale, flux_err=sound.flux_err * scale), BANDS)
    assert (
        "ztfg - ztfr is -3.7 mag" in sentence
        or "ztfg - ztfr is -3.6 mag" in sentence
        or "ztfg - ztfr is -3.8 mag" in sentence
    )
    assert odd_colours(sound, BANDS) == []


def test_forced_photometry_without_negative_fluxes_is_found() -> None:
    sound = curves()
    absolute = replace(sound, flux=np.abs(sound.flux))
    assert lost_sign(absolute) and lost_sign(sound) == [] and judged(absolute, BANDS, DETECTIONS, None) == []
