"""What a newcomer's trial found: files that are kept, messages, and folders of other jobs."""

import os
import stat
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.conftest import SMALL, make_curves, run_process
from tlclass.atomic import write_text
from tlclass.experiments.composition import compose
from tlclass.network.checkpoint import load_model, save_model
from tlclass.network.released import RELEASED
from tlclass.serving import publishing
from tlclass.serving.explanation import explain
from tlclass.serving.predictions import predict
from tlclass.serving.request import Request


def test_a_file_has_the_rights_of_the_umask_and_a_link_stays_one(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        write_text(tmp_path / "a.txt", "new")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o600
    (tmp_path / "link.txt").symlink_to(tmp_path / "a.txt")
    write_text(tmp_path / "link.txt", "newer")
    assert (tmp_path / "link.txt").is_symlink() and (tmp_path / "a.txt").read_text() == "newer"
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"could not write .*file/a\.txt: "):
        write_text(tmp_path / "file" / "a.txt", "x")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "file", "link.txt"]


def test_a_model_may_be_read_by_those_who_may_read_its_folder(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        save_model(load_model(RELEASED / "ztf"), tmp_path / "mine")
    finally:
        os.umask(before)
    rights = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "mine").iterdir()}
    assert len(rights) > 2 and set(rights.values()) == {0o640}, rights


def test_a_hub_that_cannot_be_reached_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    class Api:
        def create_repo(self, *_: Any, **__: Any) -> None:
            raise RuntimeError("no route to host\nmany more lines")

    monkeypatch.setattr(publishing, "package", lambda: SimpleNamespace(HfApi=Api))
    with pytest.raises(OSError, match=r"^hf://me/mine cannot be written: no route to host$"):
        publishing.publish(RELEASED / "ztf", "me/mine")


def test_numbers_are_ids_too() -> None:
    model, curves = load_model(RELEASED / "ztf"), make_curves(4)
    curves.object_id[:] = ["1", "2", "3", "4"]
    number: Any = int(curves.object_id[curves.lengths.argmax()])
    assert explain(model, curves, number).object_id == str(number)


def test_a_day_before_the_first_observation_has_a_reason() -> None:
    rows = predict(load_model(RELEASED / "ztf"), make_curves(4), request=Request(at_days=(-40.0, 60.0))).to_pandas()
    early = rows[rows.at_days == -40]
    assert early["class"].isna().all() and (early.n_observations == 0).all() and (early.warning != "").all()
    known = rows[(rows.at_days == 60) & (rows.n_observations > 0)]
    assert len(known) and not known.warning.str.contains("no observation by then").any()


def test_several_values_without_a_sweep_are_told_how() -> None:
    with pytest.raises(ValueError, match=r"^seed=0,1 has several values: add -m to run all of them"):
        compose(["seed=0,1"])


def test_an_archive_that_is_not_in_order_of_time_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    from tlclass.stream import main

    rows = [
        pd.DataFrame({"object_id": name, "mjd": start + np.arange(30), "band": "g", "fluxcal": 900.0, "flux_err": 50.0})
        for name, start in (("a", 59900.3), ("b", 59000.3))
    ]
    pd.concat(rows).to_json(tmp_path / "rows.jsonl", orient="records", lines=True)
    words = ["-o", str(tmp_path / "o.jsonl"), "--state", str(tmp_path / "s"), "--batch", "10"]
    main(["ztf", str(tmp_path / "rows.jsonl"), *words])
    assert caplog.text.count("sort an archive by time, or classify it with tlclass predict") == 1


def test_a_refused_command_leaves_nothing_in_the_folder_of_another_job(tmp_path: Path) -> None:
    words = [
        *SMALL, "freeze_policy=from_scratch", "target=bts_simulated", "target.n_objects=160", "labels=60", f"paths.results={tmp_path / 'results'}",
        f"paths.cache={tmp_path / 'cache'}",
    ]  # fmt: skip
    assert run_process("tlclass.train", *words, cwd=tmp_path).returncode == 0

    def content() -> dict[str, bytes]:
        files = [path for path in (tmp_path / "results").rglob("*") if path.is_file() and path.suffix != ".log"]
        return {str(path): path.read_bytes() for path in files}

    before = content()
    assert any(name.endswith("overrides.yaml") for name in before)
    for more, message in (
        ("fit.learning_rate=0.5", "holds a job with another configuration"), ("fit.batch_size=0", "fit.batch_size"),
    ):  # fmt: skip
        refused = run_process("tlclass.train", *words, more, cwd=tmp_path)
        assert refused.returncode == 2 and message in refused.stderr
        assert content() == before
