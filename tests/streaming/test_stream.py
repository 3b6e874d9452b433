"""The command: every alert once, whatever happens in between."""

import io
import itertools
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conftest import ROOT, refused
from tests.data.raw_alerts import Packet, confluent, rubin_packet, rubin_schema, rubin_seen
from tests.streaming.conftest import of_batch, reading
from tlclass.extras import install
from tlclass.network.checkpoint import TrainedModel
from tlclass.stream import main
from tlclass.streaming import outputs, run, sources
from tlclass.streaming.kafka import settings
from tlclass.streaming.reading import Rejected, Unreadable, for_model
from tlclass.streaming.state import Live
from tlclass.streaming.store import Store
from tlclass.surveys import door

Trained = Callable[[str], TrainedModel]
ROW = {"object_id": "a", "band": "g", "fluxcal": 900.0, "flux_err": 50.0}


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def write_rows(path: Path, count: int, **columns: Any) -> Path:
    """`ROW` in so many nights, as lines of JSON."""
    rows = [{**ROW, "mjd": 59000.3 + night, **columns} for night in range(count)]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def last_said(rows: list[dict[str, Any]], model: TrainedModel) -> dict[str, Any]:
    return {row["object_id"]: np.array([row[f"p({name})"] for name in model.classes]) for row in rows}


def assert_as_batch(rows: list[dict[str, Any]], model: TrainedModel, folder: Path) -> None:
    expected = {name: p[:-1] for name, p in of_batch(model, folder).items() if p is not None}
    got = last_said(rows, model)
    assert got.keys() == expected.keys()
    assert all(np.allclose(got[name], expected[name], atol=3e-6, rtol=0) for name in got)


@pytest.fixture
def stream(tmp_path: Path) -> Callable[..., list[dict[str, Any]]]:
    """The command on an input, with a state of its own; returns what it put out."""

    def call(source: Path | str, *more: str) -> list[dict[str, Any]]:
        main(["ztf-alerts", str(source), "-o", str(tmp_path / "out.jsonl"), "--state", str(tmp_path / "state"), *more])
        return lines(tmp_path / "out.jsonl")

    return call


def test_a_folder_of_packets_and_again(
    stream: Callable[..., Any], trained: Trained, folder: Path, tmp_path: Path
) -> None:
    rows = stream(folder, "--coverage", "0.9")
    assert_as_batch(rows, trained("ztf-alerts"), folder)
    assert rows[0]["set"] and 0 <= rows[0]["novelty"] <= 100 and rows[0]["model"] == "ztf-alerts"
    assert stream(folder) == rows, "files that are done are not read again"
    (tmp_path / "state" / "state.sqlite").replace(tmp_path / "elsewhere")
    (tmp_path / "out.jsonl").unlink()
    assert len(stream(folder)) == len(rows), "another state knows nothing of them"


def test_parquet_in_parts(folder: Path, trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs, "PART", 5)
    main(
        ["ztf-alerts", str(folder), "-o", str(tmp_path / "out.parquet"), "--state", str(tmp_path / "s"), "--batch", "4"]
    )
    files = sorted((tmp_path / "out.parquet").iterdir())
    assert len(files) > 1
    assert_as_batch([row for file in files for row in pq.read_table(file).to_pylist()], trained("ztf-alerts"), folder)


def test_parquet_of_another_state_is_refused(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run(state: str) -> None:
        main(["ztf-alerts", str(folder), "-o", str(tmp_path / "out.parquet"), "--state", str(tmp_path / state)])

    run("first")
    before = {file: file.read_bytes() for file in (tmp_path / "out.parquet").iterdir()}
    run("first")
    assert "out.parquet exists and another state wrote it" in refused(capsys, run, "second")
    assert {file: file.read_bytes() for file in (tmp_path / "out.parquet").iterdir()} == before
    (tmp_path / "out.parquet" / ".1.parquet.0a.parquet").write_bytes(b"PAR1")  # of a kill while it was written
    run("first")
    assert {file: file.read_bytes() for file in (tmp_path / "out.parquet").iterdir()} == before


def test_a_second_stream_into_a_folder_is_refused_when_it_writes(tmp_path: Path) -> None:
    with Store(tmp_path / "a", "m") as one, Store(tmp_path / "b", "m") as other:
        first, second = (outputs.Parts(tmp_path / "out.parquet", store) for store in (one, other))
        for store, parts in ((one, first), (other, second)):
            store.commit(-1.0, 0, parts.write([{"x": 1.0}]))
        first.flush(last=True)
        with pytest.raises(ValueError, match="another state wrote it"):
            second.flush(last=True)
        assert len(list((tmp_path / "out.parquet").iterdir())) == 1 and other.waiting()


def test_a_photflag_that_marks_no_detection_is_warned_of(
    stream: Callable[..., Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stream(write_rows(tmp_path / "rows.jsonl", 60, PHOTFLAG=0))
    assert "a detection: if it never does, give --column detected=null" in caplog.text


def test_only_changes_are_put_out(stream: Callable[..., Any], folder: Path) -> None:
    rows = stream(folder, "--min-change", "0.2")
    names = [row["object_id"] for row in rows]
    assert len(set(names)) < len(names) < 12
    for first, second in itertools.pairwise(rows):
        if first["object_id"] == second["object_id"]:
            moved = max(abs(first[key] - second[key]) for key in first if key.startswith("p("))
            assert moved >= 0.2 or first["class"] != second["class"]


def test_what_cannot_be_used_is_kept_with_the_reason(
    stream: Callable[..., Any], packets: list[Packet], tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.avro").write_bytes(b"Obj\x01broken")
    wrong = {**packets[0], "candidate": {**packets[0]["candidate"], "fid": 9}}
    good = json.dumps(packets[0], default=float)
    (folder / "b.jsonl").write_text(
        "\n".join([json.dumps(wrong, default=float), "{", "[1]", good, '{"object_id": "x"}'])
    )
    stream(folder)
    letters = lines(tmp_path / "state" / "dead_letters.jsonl")
    assert [("a.avro" in each["origin"], "line" in each["origin"]) for each in letters] == [
        (True, False),
        *[(False, True)] * 4,
    ]
    assert "fid 9" in letters[1]["reason"] and "mjd" in letters[4]["reason"]


def test_a_package_that_is_not_installed_ends_the_stream_and_loses_nothing(
    stream: Callable[..., Any], folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "fastavro", None)
        assert f"needs fastavro: {install('alerts')}" in refused(capsys, stream, folder)
        content = io.BytesIO(next(folder.iterdir()).read_bytes())
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=content))
        assert "fastavro" in refused(capsys, stream, "-")
    assert stream(folder), "the files are not done"


def test_standard_input_may_be_csv(
    stream: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    rows = "".join(f"a,{59000 + k}.1,{'gr'[k % 2]},{900 + k},50\n" for k in range(6))

    def given(text: str) -> list[dict[str, Any]]:
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(text.encode())))
        return stream("-", "--flux-unit", "fluxcal")

    said_of = given(f"object_id,mjd,band,flux,flux_err\n{rows}a,1,g\n")
    assert {row["object_id"] for row in said_of} == {"a"} and said_of[-1]["n_observations"] == 6
    (letter,) = lines(tmp_path / "state" / "dead_letters.jsonl")
    assert "3 cells, and the first line names 5 columns" in letter["reason"]
    for text, why in (("object_id,mjd\na,1\n", "lacks the column(s) band"), ("\x00\x01\x02\n", "lacks the column(s)")):
        assert why in refused(capsys, given, text)


@pytest.mark.parametrize("begin", [b"\xef\xbb\xbf", b"\n\n", b'mjd": 59000.1}\n'])
def test_standard_input_of_json_goes_on_whatever_its_beginning(
    begin: bytes, stream: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    content = begin + write_rows(tmp_path / "rows.jsonl", 5).read_bytes()
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content)))
    assert stream("-")[-1]["n_observations"] == 5


def test_a_bad_line_of_csv_on_standard_input_is_one_line(
    stream: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    rows = [f"a,{59000 + k}.1,g,900,50\n".encode() for k in range(6)]
    rows[2] = b"\xe9" + rows[2]
    content = b"object_id,mjd,band,flux,flux_err\n" + b"".join(rows)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content)))
    assert stream("-", "--flux-unit", "fluxcal")[-1]["n_observations"] == 5
    (letter,) = lines(tmp_path / "state" / "dead_letters.jsonl")
    assert letter["bytes"] and "not a line of CSV" in letter["reason"]


def test_a_stream_of_which_nothing_can_be_used_says_so(
    stream: Callable[..., Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "rows.jsonl").write_text('{"a": 1}\n{"a": 2}\n')
    assert not stream(tmp_path / "rows.jsonl")
    assert "nothing could be used: all 2 were rejected" in caplog.text


def test_an_object_expires_and_what_comes_later_is_too_late(stream: Callable[..., Any], tmp_path: Path) -> None:
    starts = (("old", 59000.0), ("new", 59200.0), ("newer", 59210.0), ("old", 59220.0))
    rows = [ROW | {"object_id": name, "mjd": start + k} for name, start in starts for k in range(6)]
    (tmp_path / "rows.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    said_of = {row["object_id"] for row in stream(tmp_path / "rows.jsonl", "--batch", "1")}
    with Store(tmp_path / "state" / "state.sqlite", _identity(tmp_path)) as store:
        assert said_of == {"old", "new", "newer"} and len(store) == 2
        assert store.get(["old"]) == {"old": None}, "its id is still known"


def test_one_detection_long_before_does_not_make_an_object_too_late(stream: Callable[..., Any], tmp_path: Path) -> None:
    nights = [("a", 59000.0), *(("other", 59150.0 + k) for k in range(6)), *(("a", 59160.0 + k) for k in range(6))]
    rows = [ROW | {"object_id": name, "mjd": mjd} for name, mjd in nights]
    (tmp_path / "rows.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    said = stream(tmp_path / "rows.jsonl", "--batch", "1")
    assert [row["n_observations"] for row in said if row["object_id"] == "a"] == [3, 4, 5, 6]


def _identity(tmp_path: Path) -> str:
    with sqlite3.connect(tmp_path / "state" / "state.sqlite") as db:
        return str(json.loads(db.execute("SELECT value FROM facts WHERE name = 'model'").fetchone()[0]))


def test_the_unit_that_is_taken_is_said_once(
    stream: Callable[..., Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_rows(tmp_path / "rows.jsonl", 5)
    (tmp_path / "rows.jsonl").write_text((tmp_path / "rows.jsonl").read_text().replace("fluxcal", "flux"))
    stream(tmp_path / "rows.jsonl")
    assert caplog.text.count("flux: it is taken as") == caplog.text.count("--flux-unit") == 1


@pytest.mark.parametrize("form", ["message", "lite", "object"])
def test_records_of_lasair_are_the_packets_that_they_hold(form: str, trained: Trained) -> None:
    number, place = 169760235333878021, {"ra": 150.0, "decl": 2.0}
    seen = [rubin_seen("9.0", 61000.0 + k, "gr"[k % 2], 900.0 + k, diaObjectId=number) for k in range(4)]
    forced = [rubin_seen("9.0", 60990.5, "i", -12.5)]
    of_rubin = rubin_packet("9.0", number, seen[3], seen[:3], forced)
    lite = [{name: row[name] for name in ("midpointMjdTai", "band", "psfFlux", "psfFluxErr")} for row in seen]
    lists = {"diaSourcesList": lite if form == "lite" else seen[::-1], "diaForcedSourcesList": forced}
    about = {"diaObject": of_rubin["diaObject"]} if form == "message" else {}
    record = {"diaObjectId": str(number) if form == "object" else number, **place}
    record |= {**lists, "lasairData": {}} if form == "object" else {"UTC": "2026-01-29", "alert": {**about, **lists}}
    reader = reading(trained("lsst"))
    (expected,) = reader.content(json.dumps(of_rubin).encode(), "a")
    (read,) = reader.content(json.dumps(record).encode(), "a")
    assert read.object_id == expected.object_id == str(number)
    assert np.array_equal(np.sort(read.rows), np.sort(expected.rows)) and len(read.rows) == 5
    (bad,) = reader.content(json.dumps({"diaObjectId": 1, "diaSourcesList": [{}]}).encode(), "a")
    assert "not laid out as Lasair's records are" in bad.reason


def test_messages_without_framing_need_the_schema_too(trained: Trained, tmp_path: Path) -> None:
    schema = rubin_schema("9.0")
    framed = confluent(schema, rubin_packet("9.0", 5, rubin_seen("9.0", 61000.0, "r", 900.0)))
    named = {name: part for name, part in schema.items() if not name.startswith("__")}
    (tmp_path / "fink.avsc").write_text(json.dumps(named))
    model = trained("lsst")
    reader = for_model(model.passbands, door.reader_settings({}, model.input), tmp_path / "fink.avsc")
    for message in (framed, framed[5:]):
        (read,) = reader.content(message, "a")
        assert read.object_id == "5" and len(read.rows) == 1
    (bad,) = reader.content(framed[5:-3], "a")
    assert "it is truncated or damaged, or has another schema: get it again, or give the schema" in bad.reason
    (bad,) = reader.content(framed[:-3], "a")
    assert "(EOFError" in bad.reason and "give the schema of id 703" in bad.reason
    for content in (b"\x084.02" + framed[5:], b"\xff", b"no alert"):
        (bad,) = reading(model).content(content, "a")
        assert "it is neither JSON nor an Avro file" in bad.reason and "--schema FILE.avsc" in bad.reason
    (bad,) = reading(model).content(b'{"object_id": 1', "a")
    assert bad.reason.startswith("it is not valid JSON (")
    (bad,) = reading(model).content(bytes(9), "a")
    assert "schema id 0): save alerts" in bad.reason
    (bad,) = reading(model).content(b"\x00" + b"\xf0" * 9, "a")
    assert "schema id 4042322160): save alerts" in bad.reason


@pytest.mark.parametrize(
    ("names", "error"),
    [(("flux", "flux_err"), 3.0), (("FLUXCAL", "FLUXCALERR"), 3000.0), (("flux_njy", "flux_err_njy"), 3e10)],
)
def test_a_unit_that_predict_refuses_ends_a_stream(names: tuple[str, str], error: float, trained: Trained) -> None:
    model = trained("ztf-alerts")
    seen = dict(zip(names, (10 * error, error), strict=True))
    rows = pd.DataFrame({"object_id": "a", "band": "g", "mjd": 59000.25 + np.arange(60), **seen})
    with pytest.raises(ValueError, match="--flux-unit") as refused:
        door.read(rows, model.passbands, trained=model.input)
    with pytest.raises(Unreadable, match="give an empty --state") as ended:
        list(reading(model).table(pa.Table.from_pandas(rows), "rows"))
    assert str(ended.value).split(": ")[1][:40] == str(refused.value).split(": ")[1][:40]


def test_a_unit_that_is_far_from_the_depth_is_doubted(trained: Trained, caplog: pytest.LogCaptureFixture) -> None:
    rows = [{"object_id": "a", "band": "g", "mjd": 59000.25 + k, "flux": 30.0, "flux_err": 3.0} for k in range(60)]
    read = list(reading(trained("ztf-alerts"), flux_unit="fluxcal").table(pa.Table.from_pylist(rows), "rows"))
    assert len(read) == 60 and caplog.text.count("mag deeper than this one: check the unit") == 1


def test_rows_without_a_named_number_of_the_object_are_used(
    stream: Callable[..., Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    told = [ROW | {"mjd": 59000.3 + k} | ({"my_z": 0.1} if k == 3 else {}) for k in range(6)]
    (tmp_path / "rows.jsonl").write_text("".join(f"{json.dumps(each)}\n" for each in told))
    assert stream(tmp_path / "rows.jsonl", "--column", "host_photoz=my_z")
    assert not lines(tmp_path / "state" / "dead_letters.jsonl")
    assert caplog.text.count("lacks the column(s) my_z (host_photoz)") == caplog.text.count("without it") == 1


def test_it_is_counted_how_often_the_redshift_of_the_host_was_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    each = [ROW | {"object_id": name, "mjd": 59000.3 + k} for k in range(6) for name in ("a", "b")]
    each = [one | ({"host_photoz": 0.1} if one["object_id"] == "b" and one["mjd"] > 59003 else {}) for one in each]
    (tmp_path / "rows.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in each))
    caplog.set_level("INFO")
    main(["lsst", str(tmp_path / "rows.jsonl"), "-o", str(tmp_path / "out.jsonl"), "--state", str(tmp_path / "state")])
    said_last = caplog.messages[-1]
    assert "12 arrivals" in said_last and "3 with host_photoz," in said_last


def test_a_state_of_another_model_is_refused(
    stream: Callable[..., Any], folder: Path, tmp_path: Path, capsys: Any
) -> None:
    stream(folder)
    words = ["ztf-forced", str(folder), "-o", str(tmp_path / "o.jsonl"), "--state", str(tmp_path / "state")]
    assert "another model" in refused(capsys, main, words)


def test_a_state_of_another_version_is_refused(
    stream: Callable[..., Any], folder: Path, tmp_path: Path, capsys: Any
) -> None:
    stream(folder)
    with sqlite3.connect(tmp_path / "state" / "state.sqlite") as db:
        db.execute("DELETE FROM facts WHERE name = 'format'")
    assert "another version of tlclass" in refused(capsys, stream, folder)


MISTAKES = {
    "FOLDER -o x.txt": "x.txt",
    "FOLDER -o kafka:t": "TLCLASS_KAFKA_BOOTSTRAP_SERVERS",
    "nowhere -o x.jsonl": "nowhere",
    "here.txt -o x.jsonl": "here.txt holds nothing",
    "FOLDER -o x.jsonl --coverage 2": "coverage 2",
}


@pytest.mark.parametrize("words", MISTAKES)
def test_mistakes_are_one_sentence(
    words: str, folder: Path, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here.txt").write_text("object_id,mjd,band,flux,flux_err")
    given = words.replace("FOLDER", str(folder)).split()
    assert MISTAKES[words] in refused(capsys, main, ["ztf-alerts", *given, "--state", str(tmp_path / "s")])


def test_settings_of_kafka_are_of_a_file_and_the_environment(tmp_path: Path) -> None:
    (tmp_path / "k").write_text("# ours\nbootstrap.servers=a:1\nsasl.password = x=y\n")
    found = settings(
        tmp_path / "k", {"TLCLASS_KAFKA_GROUP_ID": "g", "TLCLASS_KAFKA_BOOTSTRAP_SERVERS": "b:2", "HOME": "/"}
    )
    assert found == {"bootstrap.servers": "b:2", "sasl.password": "x=y", "group.id": "g"}
    (tmp_path / "k").write_text("nonsense")
    with pytest.raises(ValueError, match="line 1"):
        settings(tmp_path / "k", {})


def test_what_was_not_committed_is_cut_off(tmp_path: Path) -> None:
    for _ in range(2):
        with Store(tmp_path / "s", "m") as store:
            out = outputs.Lines(tmp_path / "o.jsonl", store, "t")
            out.write([{"a": 1}])
            store.commit(0, 1)
            out.write([{"a": 2}])
            out.close()
    with Store(tmp_path / "s", "m") as store:
        outputs.Lines(tmp_path / "o.jsonl", store, "t").close()
    assert [line["a"] for line in lines(tmp_path / "o.jsonl")] == [1, 1]


def test_nothing_is_stored_before_the_commit(tmp_path: Path) -> None:
    with Store(tmp_path / "s", "m") as store:
        store.put("a", Live(), 1.0, False)
        store.set_fact("at", 3)
    with Store(tmp_path / "s", "m") as store:
        assert store.get(["a"]) == {} and store.fact("at") is None
        store.put("a", Live(), 1.0, False)
        store.commit(0.5, 10)
        assert len(store) == 1 and store.commit(2.0, 10) == 1
        assert len(store) == 0 and store.get(["a"]) == {"a": None}
        store.commit(20.0, 10)
        assert store.get(["a"]) == {}
        store.put("few", Live(), 21.0, True)
        store.commit(20.5, 10)
        assert len(store) == 1 and store.commit(22.0, 10) == 1
        assert len(store) == 0 and store.get(["few"]) == {}


def test_asked_to_stop_it_commits_and_goes_on_later(
    stream: Callable[..., Any], folder: Path, trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = iter([None] * 7)
    with monkeypatch.context() as patch:
        patch.setattr(run.stopping, "asked", lambda: next(asked, signal.SIGTERM))
        with pytest.raises(SystemExit) as stopped:
            stream(folder, "--batch", "2")
    assert stopped.value.code == 128 + signal.SIGTERM
    assert_as_batch(stream(folder), trained("ztf-alerts"), folder)


def test_killed_in_mid_run_and_started_again(folder: Path, trained: Trained, tmp_path: Path) -> None:
    command = [
        sys.executable, "-m", "tlclass.stream", "ztf-alerts", str(folder), "-o", str(tmp_path / "o.jsonl"), "--state", str(tmp_path / "s"),
        "--batch", "1", "--follow",
    ]  # fmt: skip
    running = subprocess.Popen(
        command, cwd=ROOT, stderr=subprocess.PIPE, env={"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    )
    end = time.monotonic() + 120
    while len(lines_so_far(tmp_path / "o.jsonl")) < 3 and time.monotonic() < end:
        time.sleep(0.02)
    running.send_signal(signal.SIGKILL)
    running.communicate()
    assert running.returncode == -signal.SIGKILL
    main(["ztf-alerts", str(folder), "-o", str(tmp_path / "o.jsonl"), "--state", str(tmp_path / "s")])
    rows = lines(tmp_path / "o.jsonl")
    assert_as_batch(rows, trained("ztf-alerts"), folder)
    keys = [(row["object_id"], row["mjd"], row["n_observations"]) for row in rows]
    assert len(set(keys)) == len(keys), "none is put out twice"


def lines_so_far(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


@pytest.mark.parametrize("cell", ["--", ">20.5", ""])
def test_one_odd_cell_of_a_csv_file_loses_no_other_row(
    cell: str, stream: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tlclass.surveys.tables.batches.BLOCK", 1 << 10)  # so that rows before it are in another block
    rows = [f"{name},{59000.3 + k},g,{900 + k},50" for name in ("a", "b") for k in range(30)]
    odd = "a,59040.3,g,--,50" if cell == "--" else f"a,59040.3,g,{cell},50" if cell else ",59040.3,g,900,50"
    (tmp_path / "rows.csv").write_text(
        "\n".join(["object_id,mjd,band,fluxcal,flux_err", *rows[:50], odd, *rows[50:], ""])
    )
    said_of = stream(tmp_path / "rows.csv")
    assert {row["object_id"]: row["n_observations"] for row in said_of} == {"a": 30, "b": 30}


def test_light_curves_in_lists_are_told_where_they_are_read(stream: Callable[..., Any], tmp_path: Path) -> None:
    light = {"object_id": "a", "mjd": [59000.1], "band": ["g"], "flux": [9.0], "flux_err": [1.0]}
    (tmp_path / "rows.jsonl").write_text(json.dumps(light))
    assert not stream(tmp_path / "rows.jsonl")
    (letter,) = lines(tmp_path / "state" / "dead_letters.jsonl")
    assert (
        "holds light curves in lists (mjd, band, flux, flux_err): give a row for each observation" in letter["reason"]
    )


@pytest.mark.parametrize(("indent", "name"), [(1, "rows.json"), (None, "ROWS.JSONL")])
def test_a_json_document_over_several_lines_is_one(
    indent: int | None, name: str, stream: Callable[..., Any], tmp_path: Path
) -> None:
    rows = [ROW | {"mjd": 59000.3 + k} for k in range(6)]
    text = json.dumps(rows, indent=indent) if indent else "".join(f"{json.dumps(each)}\n" for each in rows)
    (tmp_path / name).write_text(text)
    assert stream(tmp_path / name)[-1]["n_observations"] == 6
    assert not lines(tmp_path / "state" / "dead_letters.jsonl")


@pytest.mark.parametrize("mjd", [0, -5, 900.5])
def test_a_row_whose_time_is_no_date_is_rejected(mjd: float, trained: Trained) -> None:
    (read,) = reading(trained("ztf-alerts"), flux_unit="fluxcal").rows([{**ROW, "mjd": mjd}], "here")
    assert isinstance(read, Rejected) and "are not Modified Julian Dates" in read.reason


def test_rows_that_measure_nothing_are_not_held(trained: Trained) -> None:
    found = reading(trained("ztf"), flux_unit="ujy")
    row = {"object_id": "a", "mjd": 59000.3, "band": "g", "flux": None, "flux_err": None, "upper_limit": True}
    assert all(len(list(found.rows([row | {"mjd": 59000.3 + k}], "here"))) == 1 for k in range(5))
    assert found._first == []


def test_lines_of_another_state_are_not_cut_off(tmp_path: Path) -> None:
    def lines_of(state: Path, file: str, name: str = outputs.PREDICTIONS) -> None:
        with Store(state, "m") as store:
            output = outputs.Lines(tmp_path / file, store, name)
            output.write([{"x": 1.0}, {"x": 2.0}])
            store.commit(-1.0, 0)
            output.close()

    lines_of(tmp_path / "a", "a.jsonl")
    lines_of(tmp_path / "b", "b.jsonl")
    (tmp_path / "b.jsonl").write_text("".join('{"x": 5.0}\n' for _ in range(9)))
    before = (tmp_path / "b.jsonl").read_text()
    with pytest.raises(ValueError, match="another state wrote it"):
        lines_of(tmp_path / "a", "b.jsonl")
    assert (tmp_path / "b.jsonl").read_text() == before
    (tmp_path / "mine.txt").write_text("my own notes")
    lines_of(tmp_path / "a", "mine.txt", "dead letters")
    lines_of(tmp_path / "b", "mine.txt", "dead letters")
    assert (tmp_path / "mine.txt").read_text().startswith("my own notes{") and len(lines(tmp_path / "a.jsonl")) == 2
    (tmp_path / "moved").mkdir()
    (tmp_path / "a.jsonl").rename(tmp_path / "moved" / "a.jsonl")
    with (tmp_path / "moved" / "a.jsonl").open("a") as file:
        file.write("{half")  # of a kill
    lines_of(tmp_path / "a", "moved/a.jsonl")
    assert len(lines(tmp_path / "moved" / "a.jsonl")) == 4


@pytest.mark.parametrize("how", ["rename", "create", "copytruncate"])
@pytest.mark.parametrize("running", [True, False], ids=["running", "stopped"])
def test_a_rotated_file_is_followed_by_a_new_one(how: str, running: bool, tmp_path: Path) -> None:
    path, old = tmp_path / "o.jsonl", tmp_path / "o.jsonl.1"

    def rotate() -> None:
        if how == "copytruncate":
            shutil.copy(path, old)
            os.truncate(path, 0)
            return
        path.rename(old)
        if how == "create":
            path.touch()

    with Store(tmp_path / "s", "m") as store:
        output = outputs.Lines(path, store, outputs.PREDICTIONS)
        output.write([{"x": number} for number in range(99)])
        store.commit(-1.0, 0)
        if running:
            rotate()
            output.write([{"x": 99}])
            store.commit(-1.0, 0)
        output.close()
    if not running:
        rotate()
    with Store(tmp_path / "s", "m") as store:
        output = outputs.Lines(path, store, outputs.PREDICTIONS)
        output.write([{"x": 100}])
        output.close()  # killed before the commit
    with Store(tmp_path / "s", "m") as store:
        outputs.Lines(path, store, outputs.PREDICTIONS).close()
    assert len(lines(old)) == 99 and lines(path) == ([{"x": 99}] if running else [])


def test_a_full_disk_is_named_with_the_file(tmp_path: Path) -> None:
    with Store(tmp_path / "s", "m") as store:
        output = outputs.Lines(Path("/dev/full"), store, outputs.PREDICTIONS)
        with pytest.raises(OSError, match="No space left on device: '/dev/full'"):
            output.write([{"x": 1.0}])
        output.close()


def test_a_file_that_is_removed_before_its_turn_ends_nothing(
    trained: Trained, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("a", "b", "c"):
        write_rows(tmp_path / f"{name}.jsonl", 2)
    with Store(tmp_path / "s", "m") as store:
        for item in sources.Folder(tmp_path, reading(trained("ztf-alerts"))).items(store, lambda without: None):
            (tmp_path / "b.jsonl").unlink(missing_ok=True)
            last = item
    assert last is not None and any("c.jsonl" in place for place in last.place)
    assert "b.jsonl was removed before it was read" in caplog.text


def test_two_streams_do_not_write_one_file_at_the_same_time(tmp_path: Path) -> None:
    with Store(tmp_path / "a", "m") as one, Store(tmp_path / "b", "m") as other:
        first = outputs.Lines(tmp_path / "out.jsonl", one, outputs.PREDICTIONS)
        with pytest.raises(ValueError, match=r"another stream writes .*out\.jsonl now: give another file with -o"):
            outputs.Lines(tmp_path / "out.jsonl", other, outputs.PREDICTIONS)
        with pytest.raises(ValueError, match=r"out\.jsonl now: give another file with --dead-letters"):
            outputs.Lines(tmp_path / "out.jsonl", other, "dead letters")
        first.write([{"x": 1.0}])
        one.commit(-1.0, 0)
        first.close()
        outputs.Lines(tmp_path / "out.jsonl", one, outputs.PREDICTIONS).close()
    assert lines(tmp_path / "out.jsonl") == [{"x": 1.0}]


def test_dead_letters_have_a_file_of_their_own(
    folder: Path, tmp_path: Path, stream: Callable[..., list[dict[str, Any]]], capsys: pytest.CaptureFixture[str]
) -> None:
    sentence = refused(capsys, stream, folder, "--dead-letters", str(tmp_path / "out.jsonl"))
    assert "out.jsonl is the output and the file of dead letters: name two files" in sentence


@pytest.mark.parametrize("inside", ["out.jsonl", "out.parquet", "state", "dead.jsonl"])
def test_what_a_stream_writes_is_not_what_it_reads(
    inside: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def place(name: str) -> str:
        return name if name == inside else str(tmp_path / name)

    monkeypatch.chdir(folder)
    output, before = place("out.parquet" if inside == "out.parquet" else "out.jsonl"), sorted(folder.iterdir())
    words = ["ztf-alerts", ".", "-o", output, "--state", place("state"), "--dead-letters", place("dead.jsonl")]
    assert f"{inside} is in the input . and would be read as alerts" in refused(capsys, main, words)
    assert sorted(folder.iterdir()) == before


def test_files_of_one_name_are_read_and_one_that_grew_is_named(
    stream: Callable[..., Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = pd.DataFrame(ROW | {"mjd": 59000.1 + np.arange(6)})
    for day in ("one", "two"):
        (tmp_path / day).mkdir()
        rows.assign(object_id=day).to_csv(tmp_path / day / "alerts.csv", index=False)
        assert {row["object_id"] for row in stream(tmp_path / day / "alerts.csv")} >= {day}
    with (tmp_path / "two" / "alerts.csv").open("a") as file:
        file.write("two,59008.1,g,900.0,50.0\n")
    stream(tmp_path / "two" / "alerts.csv")
    assert "it is not read again; files must appear whole" in caplog.text


@pytest.mark.parametrize("words", [{"min_change": 5}, {"batch": 0}, {"seconds": -3}, {"grace": -500}])
def test_what_is_no_pace_is_refused(words: dict[str, Any]) -> None:
    with pytest.raises(
        ValueError, match=f"^--{next(iter(words)).replace('_', '-')} is {next(iter(words.values()))}: give"
    ):
        run.Pace(**words)


def test_files_that_are_not_read_are_named_once_for_each_ending(
    stream: Callable[..., Any], folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """But not those that are about to be renamed into place."""
    mine = tmp_path / "mixed"
    shutil.copytree(folder, mine)
    for name in ("a.json.gz", "b.json.gz", "lock", "notes.txt", "next.avro.tmp"):
        (mine / name).write_text("")
    stream(mine)
    said = [each.getMessage() for each in caplog.records if "is not read" in each.getMessage()]
    for text, (name, others) in zip(
        said,
        (("a.json.gz", "end in '.json.gz'"), ("lock", "without an ending"), ("notes.txt", "end in '.txt'")),
        strict=True,
    ):
        assert name in text and others in text
