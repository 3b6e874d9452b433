"""The stream of an object ends where `predict` on all its rows does, in whatever order they came."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import make_curves
from tests.data.raw_alerts import Packet
from tests.streaming.conftest import MODELS, of_batch, reading, run
from tlclass.inputs.encoding import ENCODINGS, encode, remembered
from tlclass.lightcurves.passbands import Passbands
from tlclass.network.checkpoint import TrainedModel
from tlclass.serving.predictions import predict
from tlclass.streaming.arrivals import Arrival
from tlclass.streaming.engine import NOTHING_NEW, STEP, Engine, Said
from tlclass.streaming.state import Live, from_bytes, to_bytes
from tlclass.surveys import door

Trained = Callable[[str], TrainedModel]
ROUNDING = 3e-6  # of float32, for made-up light curves; real ones agree to 1e-6 (benchmarks/streaming.py)
BANDS = Passbands.from_mapping({name: {"wavelength": 0.4 + 0.1 * k} for k, name in enumerate("abc")})


def arrivals_of(model: TrainedModel, packets: list[Packet]) -> list[Arrival]:
    read = [reading(model).packet("", packet, "t") for packet in packets]
    assert all(isinstance(each, Arrival) for each in read)
    return read  # type: ignore[return-value]


def numbers(said: Said) -> Any:
    """Probabilities and novelty, as `of_batch` gives them."""
    assert said.novelty is not None
    return np.array([*said.probability, said.novelty / 100])


def is_same(stream: Any, batch: Any) -> bool:
    """Whether they differ by rounding only; a percentile moves further than the distance it is of."""
    return bool(np.abs(stream - batch)[:-1].max() < ROUNDING and abs(stream[-1] - batch[-1]) < 1e-3)


def assert_same(objects: dict[str, Live], model: TrainedModel, expected: dict[str, Any]) -> None:
    """Whether each object stands where the batch does; where it has no probabilities, neither has the other."""
    assert objects.keys() == expected.keys()
    engine = Engine(model)
    for name, live in objects.items():
        arrival = Arrival(name, live.rows, live.about, "again")
        if expected[name] is None:
            assert live.steps < engine.least
            continue
        again = engine.update([(None, arrival)])[0].said
        assert again is not None and is_same(numbers(again), expected[name])


@pytest.mark.parametrize("name", MODELS)
def test_packets_in_order_end_where_the_batch_does_and_most_take_one_step(
    name: str, trained: Trained, packets: list[Packet], folder: Path
) -> None:
    model, expected = trained(name), of_batch(trained(name), folder)
    objects, outcomes = run(model, sorted(arrivals_of(model, packets), key=lambda arrival: arrival.about[0]), 3)
    assert_same(objects, model, expected)
    assert sum(outcome.how == STEP for outcome in outcomes) > len(outcomes) / 2


@pytest.mark.parametrize("name", MODELS)
@settings(
    max_examples=4, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 7, 40]))
def test_the_last_word_does_not_depend_on_the_order_of_arrival(
    trained: Trained, packets: list[Packet], folder: Path, name: str, seed: int, batch: int
) -> None:
    model, expected = trained(name), of_batch(trained(name), folder)
    arrivals = arrivals_of(model, packets)
    order = np.random.default_rng(seed).permutation([*range(len(arrivals)), 0, 5, 9])
    said = last_words(model, [arrivals[k] for k in order], batch)
    assert said.keys() == {key for key, value in expected.items() if value is not None}
    for key, probability in said.items():
        assert is_same(probability, expected[key])


def last_words(model: TrainedModel, arrivals: list[Arrival], batch: int) -> dict[str, Any]:
    """Per object what was last put out; an arrival that changes nothing leaves it."""
    engine, objects, said = Engine(model), dict[str, bytes](), dict[str, Any]()
    for start in range(0, len(arrivals), batch):
        waiting = arrivals[start : start + batch]
        while waiting:
            now = {arrival.object_id: arrival for arrival in reversed(waiting)}
            waiting = [arrival for arrival in waiting if now[arrival.object_id] is not arrival]
            known = [from_bytes(objects[key]) if key in objects else None for key in now]
            for key, outcome in zip(now, engine.update(list(zip(known, now.values(), strict=True))), strict=True):
                objects[key] = to_bytes(outcome.live)
                if outcome.said is not None:
                    said[key] = numbers(outcome.said)
    return said


@settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(st.integers(0, 2**32 - 1))
def test_rows_of_tables_revised_and_repeated(trained: Trained, seed: int) -> None:
    model = trained("ztf-forced")
    generator = np.random.default_rng(seed)
    n = 40
    frame = pd.DataFrame({
        "object_id": [f"o{k}" for k in generator.integers(0, 3, n)], "mjd": 59000.123 + generator.integers(0, 25, n) * 2.0 + generator.choice([0, 3e-5], n),
        "band": generator.choice(["g", "r"], n), "fluxcal": generator.normal(800, 900, n), "flux_err": generator.uniform(20, 60, n),
    })  # fmt: skip
    expected = of_batch(model, frame)
    rows = frame.to_dict("records")
    arrivals = list(reading(model).rows([rows[k] for k in generator.permutation([*range(n), 0, 3, 8])], "t"))
    said = last_words(model, arrivals, 7)  # type: ignore[arg-type]
    for key in frame.object_id.unique():
        assert (expected[key] is None) == (key not in said)
        assert expected[key] is None or is_same(said[key], expected[key])


@pytest.mark.parametrize("seed", range(4))
def test_what_rows_state_of_the_host_counts_as_in_the_batch(trained: Trained, seed: int) -> None:
    model = trained("lsst")
    generator = np.random.default_rng(seed)
    n, least = 40, 5
    frame = pd.DataFrame({
        "object_id": [f"o{k}" for k in generator.integers(0, 4, n)], "mjd": 61000.123 + np.arange(n) * 1.5, "band": generator.choice(list("griz"), n),
        "fluxcal": generator.normal(80, 30, n), "flux_err": generator.uniform(2, 5, n), "photoz": generator.choice([np.nan, -9, 0.3, 0.7], n),
        "photoz_err": generator.choice([np.nan, 0.02, 0.1], n), "mwebv": generator.choice([np.nan, 0.1, 0.2], n),
    })  # fmt: skip
    frame = pd.concat(
        [frame, frame.head(least).assign(photoz=0.5, photoz_err=0.001)], ignore_index=True
    )  # exposures that are repeated
    expected = of_batch(model, frame)
    plain = of_batch(model, frame.drop(columns="photoz"))
    told = [name for name in frame.object_id.unique() if expected[name] is not None]
    assert any(not np.allclose(expected[name], plain[name]) for name in told)
    rows = frame.to_dict("records")
    arrivals = list(reading(model).rows([rows[k] for k in generator.permutation(len(rows))], "t"))
    said = last_words(model, arrivals, 7)  # type: ignore[arg-type]
    assert told and all(is_same(said[name], expected[name]) for name in told)


@pytest.mark.parametrize("name", ["ztf", "ztf-forced", "lsst"])
def test_time_zero_moves_on_as_in_the_batch(name: str, trained: Trained) -> None:
    model, n, error = trained(name), 300, 5.0 if name == "lsst" else 50.0
    generator = np.random.default_rng(7)
    frame = pd.DataFrame({
        "object_id": [f"o{k}" for k in generator.integers(0, 20, n)], "mjd": 59000.123 + np.sort(generator.uniform(0, 600, n)),
        "band": generator.choice(["g", "r"], n), "fluxcal": error * generator.normal(4, 4, n), "flux_err": error,
    })  # fmt: skip
    warned = predict(model, door.read(frame, model.passbands, {}, model.input)).to_pandas().warning
    assert warned.str.contains("before time zero").sum() > 2
    expected = of_batch(model, frame)
    arrivals = list(reading(model).rows(frame.to_dict("records"), "t"))
    batch = {key: value for key, value in expected.items() if value is not None}
    said = last_words(model, arrivals, 1)  # type: ignore[arg-type]
    assert len(batch) > 3 and all(is_same(said[key], value) for key, value in batch.items())


def test_what_was_seen_before_is_nothing_new(trained: Trained, packets: list[Packet]) -> None:
    model = trained("ztf-alerts")
    arrivals = arrivals_of(model, packets)[:7]
    _, outcomes = run(model, [*arrivals, *arrivals])
    assert {outcome.how for outcome in outcomes[7:]} == {NOTHING_NEW}
    assert all(outcome.said is None for outcome in outcomes[7:])


@pytest.mark.parametrize("name", ENCODINGS)
def test_what_an_encoding_remembers_is_enough(name: str) -> None:
    curves = replace(make_curves(12, 5, ("a", "b", "c")), trigger_mjd=np.full(12, 59000.0))
    curves = curves.take(curves.lengths > 3)
    encoding = ENCODINGS[name]()
    whole = encode(curves, BANDS, encoding).x[curves.offsets[1:] - 1]
    last = np.zeros(len(curves.mjd), dtype=bool)
    last[curves.offsets[1:] - 1] = True
    enough = remembered(encoding, curves.keep(~last))
    needed = np.zeros(len(curves.mjd), dtype=bool)
    needed[~last] = enough
    short = curves.keep(needed | last)
    assert np.allclose(encode(short, BANDS, encoding).x[short.offsets[1:] - 1], whole, atol=1e-6)
    assert len(short.mjd) < len(curves.mjd)


def test_a_state_is_stored_as_it_is(trained: Trained, packets: list[Packet]) -> None:
    objects, _ = run(trained("ztf-alerts"), arrivals_of(trained("ztf-alerts"), packets))
    for live in objects.values():
        again = from_bytes(to_bytes(live))
        assert to_bytes(again) == to_bytes(live) and again.rows.dtype == live.rows.dtype
