from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

from tests.conftest import make_curves
from tlclass.inputs.batches import CurveDataset
from tlclass.inputs.encoding import ENCODINGS, Context, Encoding, encode, encoding_from, encoding_settings
from tlclass.lightcurves.curves import LightCurves, from_columns
from tlclass.lightcurves.passbands import Passbands
from tlclass.network.classifier import Classifier, build_classifier
from tlclass.network.inference import predict_logits

ZTF = Passbands.from_mapping({"ztfg": {"wavelength": 0.4746}, "ztfr": {"wavelength": 0.6366}})


@pytest.fixture(params=sorted(ENCODINGS))
def encoding(request: pytest.FixtureRequest) -> Encoding:
    return encoding_from({"name": request.param})


def network(encoding: Encoding, seed: int = 1) -> Classifier:
    return build_classifier(
        {"name": "gru", "hidden": 16, "dense": 16, "latent": 16}, {"name": "linear"}, len(encoding.channels), 5, seed
    )


def first(curves: LightCurves, k: int) -> LightCurves:
    return curves.keep(np.arange(len(curves.mjd)) - curves.offsets[curves.owner] < k)


def test_equation_1_by_hand() -> None:
    observations = {
        "object_id": np.array(["a", "a"]), "mjd": np.array([59010.0, 58985.0]), "passband": np.array([0, 1]),
        "flux": np.array([1000.0, -50.0]), "flux_err": np.array([25.0, 5.0]),
    }  # fmt: skip
    curves = from_columns(
        {"object_id": np.array(["a"]), "trigger_mjd": np.array([59000.0])}, observations, ("ztfg", "ztfr"), "t"
    )
    encoded = encode(curves, ZTF, encoding_from({"name": "paper"}))
    assert np.allclose(encoded.x, [[0.6366, 0.15, -0.1, 0.01], [0.4746, 0.40, 2.0, 0.05]], atol=1e-7)
    assert encoded.x.dtype == np.float32
    assert encoded.days.tolist() == [-15, 10]


def test_the_window_maps_to_0_and_1(curves: LightCurves) -> None:
    encoded = encode(curves, ZTF, encoding_from({"name": "paper"}))
    assert encoded.x[:, 1].min() >= 0 and encoded.x[:, 1].max() <= 1


def test_the_passband_table_decides_the_wavelength_whatever_the_codes(curves: LightCurves) -> None:
    flipped = make_curves(passbands=("ztfr", "ztfg"))
    ours, theirs = (encode(one, ZTF, encoding_from({"name": "paper"})).x[:, 0] for one in (curves, flipped))
    assert set(np.unique(ours)) == {np.float32(0.4746), np.float32(0.6366)}
    assert np.allclose(ours + theirs, 0.4746 + 0.6366)


def test_channels_are_named_and_finite(encoding: Encoding, curves: LightCurves) -> None:
    encoded = encode(curves, ZTF, encoding)
    assert encoded.x.shape == (len(curves.mjd), len(encoding.channels))
    assert len(set(encoding.channels)) == len(encoding.channels)
    assert np.isfinite(encoded.x).all()


def test_an_encoding_is_causal(encoding: Encoding, curves: LightCurves) -> None:
    whole = encode(curves, ZTF, encoding)
    position = np.arange(len(curves.mjd)) - curves.offsets[curves.owner]
    for k in (1, 2, 7):
        assert np.array_equal(encode(first(curves, k), ZTF, encoding).x, whole.x[position < k])


def test_an_object_is_encoded_without_looking_at_others(encoding: Encoding, curves: LightCurves) -> None:
    whole = encode(curves, ZTF, encoding)
    for i in (0, 3, len(curves) - 1):
        alone = encode(curves.take(np.array([i])), ZTF, encoding)
        assert np.array_equal(alone.x, whole.x[curves.offsets[i] : curves.offsets[i + 1]])


@pytest.mark.parametrize("k", [1, 3, 10])
def test_predictions_on_the_first_k_equal_those_on_the_truncated_curve(
    encoding: Encoding, curves: LightCurves, k: int
) -> None:
    classifier = network(encoding)
    whole = CurveDataset(encode(curves, ZTF, encoding))
    early = predict_logits(classifier, whole, whole.lengths.clamp_max(k))
    truncated = predict_logits(classifier, CurveDataset(encode(first(curves, k), ZTF, encoding)))
    assert torch.allclose(early, truncated, rtol=0, atol=1e-5)
    assert not torch.allclose(early, predict_logits(classifier, whole), rtol=0, atol=1e-3)  # the rest does matter


def test_padding_order_and_bucketing_change_no_logit(encoding: Encoding, curves: LightCurves) -> None:
    classifier = network(encoding)
    encoded = encode(curves, ZTF, encoding)
    alone = torch.cat(
        [predict_logits(classifier, CurveDataset(encoded.take(np.array([i])))) for i in range(len(curves))]
    )
    assert alone.std(0).min() > 1e-3
    for batch_size in (1, 7, 512):
        assert torch.allclose(
            predict_logits(classifier, CurveDataset(encoded), batch_size=batch_size), alone, rtol=0, atol=1e-5
        )
    order = np.random.default_rng(0).permutation(len(curves))
    shuffled = predict_logits(classifier, CurveDataset(encoded.take(order)))
    assert torch.allclose(shuffled, alone[torch.from_numpy(order)], rtol=0, atol=1e-5)
    batch = CurveDataset(encoded)[torch.arange(len(curves))]
    padded = torch.cat([batch.x, torch.full((len(curves), 30, batch.x.shape[2]), 1e6)], dim=1)
    with torch.no_grad():
        assert torch.allclose(classifier(padded, batch.lengths, batch.metadata), alone, rtol=0, atol=1e-5)


def test_settings_round_trip(encoding: Encoding) -> None:
    assert encoding_from(encoding_settings(encoding)) == encoding


def test_an_unknown_encoding_names_the_known() -> None:
    with pytest.raises(ValueError, match=r"encoding 'papr' is unknown.*: choose one of .*paper"):
        encoding_from({"name": "papr"})


def test_unknown_metadata_and_passbands_are_errors(curves: LightCurves) -> None:
    paper: Any = encoding_from({"name": "paper"})
    with pytest.raises(ValueError, match=r"metadata distance is not a numeric column; .* mwebv, ra"):
        encode(curves, ZTF, paper, ["mwebv", "distance"])
    with pytest.raises(ValueError, match=r"unknown passband 'ztfr'.*known are ztfg"):
        encode(curves, Passbands.from_mapping({"ztfg": {"wavelength": 0.4746}}), paper)


def test_metadata_are_raw_values_per_object(curves: LightCurves) -> None:
    encoded = encode(curves, ZTF, encoding_from({"name": "paper"}), ["mwebv", "field"])
    assert np.allclose(encoded.metadata, np.stack([curves.mwebv, curves.extra["field"]], 1))


def test_context_is_what_a_loop_over_one_light_curve_finds() -> None:
    curves = make_curves(4, passbands=("ztfg", "ztfr", "ztfi"))
    table = {"ztfg": 0.4746, "ztfr": 0.6366, "ztfi": 0.7829}
    passbands = Passbands.from_mapping({name: {"wavelength": value} for name, value in table.items()})
    wavelength = passbands.wavelengths(curves.passbands)[curves.passband]
    x = Context()(curves, wavelength)
    for start, stop in pairwise(curves.offsets):
        flux, lam = x[start:stop, 2], wavelength[start:stop]
        band, mjd, detected = (getattr(curves, name)[start:stop] for name in ("passband", "mjd", "detected"))
        for i in range(stop - start):
            same = [j for j in range(i) if band[j] == band[i]]
            others = {band[j]: j for j in range(i) if band[j] != band[i]}  # the last point of each other band
            detections = [j for j in range(i + 1) if detected[j]]
            near = min(others.values(), key=lambda j: (abs(lam[j] - lam[i]), lam[j])) if others else None
            expected = [
                flux[i] - flux[same[-1]] if same else 0,
                (mjd[i] - mjd[same[-1]]) / 10 if same else 0,
                flux[i] - flux[near] if near is not None else 0,
                lam[i] - lam[near] if near is not None else 0,
                flux[: i + 1].max() - flux[i],
                (mjd[i] - mjd[detections[0]]) / 100 if detections else 0,
            ]
            assert np.allclose(x[start + i, 4:], expected, atol=1e-4)
