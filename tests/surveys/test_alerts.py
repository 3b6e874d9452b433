import logging
import shutil
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import fastavro
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml

from tests.conftest import Job, compose, equal_curves, read_cached, refused
from tests.data.raw_alerts import (
    VERSIONS,
    Packet,
    confluent,
    official_schema,
    rubin_packet,
    rubin_schema,
    rubin_seen,
    write_packets,
    write_ztf_alerts,
    ztf_forced,
    ztf_packet,
    ztf_schema,
    ztf_seen,
)
from tlclass.config import CONF
from tlclass.experiments.cards import build_survey
from tlclass.experiments.run import run_job
from tlclass.lightcurves.curves import LightCurves, check
from tlclass.lightcurves.passbands import Passbands
from tlclass.network.checkpoint import load_model
from tlclass.predict import main
from tlclass.surveys import AlertPackets, door
from tlclass.surveys.alerts.packets import rubin as rubin_of
from tlclass.surveys.alerts.packets import ztf as ztf_of

JD = 2460000.5  # MJD 60000
NJY = 10 ** (-0.4 * (31.4 - 27.5))
REPEATED = "that repeat an exposure of another packet or list"
Run = Callable[..., LightCurves]


def passbands(name: str) -> Passbands:
    return Passbands.from_mapping(yaml.safe_load((CONF / "passbands" / f"{name}.yaml").read_text())["table"])


ZTF, LSST = passbands("ztf"), passbands("lsst")


def read(path: Path, bands: Passbands = ZTF, **options: Any) -> LightCurves:
    return check(AlertPackets(path, bands, **options).read(), "t")


def ztf(folder: Path, *packets: Packet, **options: Any) -> LightCurves:
    """Light curves of these packets, each written as a file."""
    for number, packet in enumerate(packets):
        write_packets(folder / f"{number}.avro", ztf_schema(), [packet])
    return read(folder, **options)


def rubin(folder: Path, version: str, packets: Sequence[Packet], official: bool = False, **options: Any) -> LightCurves:
    write_packets(folder / "alerts.avro", rubin_schema(version, official), packets)
    return read(folder, LSST, **options)


# -- ZTF


def test_a_magnitude_becomes_flux_and_error(tmp_path: Path) -> None:
    curves = ztf(tmp_path, ztf_packet("ZTF1", ztf_seen(JD + 1.25, 2, 20.0, 0.1)))
    assert curves.object_id.tolist() == ["ZTF1"] and curves.mjd.tolist() == [60001.25]
    assert curves.flux == pytest.approx([1000.0]) and curves.flux_err == pytest.approx([92.103], rel=1e-4)
    assert curves.detected.tolist() == [True] and curves.passbands[curves.passband[0]] == "ztfr"
    assert curves.ra.tolist() == [10] and curves.dec.tolist() == [20] and curves.label.tolist() == [""]
    assert np.isnan([curves.mwebv, curves.redshift, curves.trigger_mjd]).all()


@pytest.mark.parametrize(("sign", "positive"), [("t", True), ("1", True), ("f", False), ("0", False)])
def test_a_negative_difference_is_negative_flux_and_no_detection(sign: str, positive: bool, tmp_path: Path) -> None:
    curves = ztf(tmp_path, ztf_packet("ZTF1", ztf_seen(JD, 1, 20.0, 0.1, sign)))
    assert curves.flux == pytest.approx([1000.0 if positive else -1000.0]) and curves.flux_err[0] > 0
    assert curves.detected.tolist() == [positive]


def test_ztf_takes_no_zero_point(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"holds packets of ZTF, which state magnitudes .*: leave out the zero point"):
        ztf(tmp_path, ztf_packet("ZTF1", ztf_seen(JD, 1, 20.0)), zero_point=23.9)


def test_upper_limits_are_dropped_and_counted_once(tmp_path: Path) -> None:
    limits = [ztf_seen(JD - day, 1, None) for day in (1, 2, 3)]
    newest, later = ztf_seen(JD, 1, 19.0), ztf_seen(JD + 1, 1, 18.0)
    curves = ztf(tmp_path, ztf_packet("ZTF1", newest, limits), ztf_packet("ZTF1", later, [newest, *limits]))
    assert curves.mjd.tolist() == [60000, 60001]
    assert curves.dropped == {REPEATED: 4, "that are upper limits without a flux": 3}


def test_forced_photometry_fills_the_gaps_and_detections_stay(tmp_path: Path) -> None:
    seen = ztf_seen(JD, 1, 20.0)
    forced = [
        ztf_forced(JD + 1e-6, 1, 700.0, 20.0), ztf_forced(JD, 2, 100.0, 10.0, zero_point=26.0), ztf_forced(JD - 1, 1, -20.0, 8.0, status="57"),
        ztf_forced(JD - 2, 1, -99999.0, -99999.0), ztf_forced(JD - 3, 1, 50.0, 8.0, status="56"), ztf_forced(JD - 4, 1, 5.0, 8.0, status="56,57"),
    ]  # fmt: skip
    curves = ztf(tmp_path, ztf_packet("ZTF1", seen, None, forced))
    scale = 10**0.6
    assert curves.flux == pytest.approx([-20 * scale, 1000.0, 100 * scale], rel=1e-5)
    assert curves.flux_err == pytest.approx([8 * scale, 92.103, 10 * scale], rel=1e-4)
    assert curves.detected.tolist() == [False, True, False] and curves.passband.tolist() == [0, 0, 1]
    failed = "of forced photometry with a failure code (procstatus)"
    assert curves.dropped == {REPEATED: 1, "without a flux or error": 1, failed: 2}
    assert len(read(tmp_path, forced=False).mjd) == 1 and not read(tmp_path, forced=False).dropped


def test_overlapping_packets_are_one_with_the_whole_history(tmp_path: Path) -> None:
    seen = [ztf_seen(JD + 3 * k, 1 + k % 2, 20 - 0.1 * k) for k in range(20)]
    packets = [ztf_packet("ZTF1", seen[k], seen[max(0, k - 9) : k]) for k in range(1, 20)]
    many = ztf(tmp_path / "many", *packets)
    one = ztf(tmp_path / "one", ztf_packet("ZTF1", seen[-1], seen[:-1]))
    assert many.dropped == {REPEATED: sum(1 + len(packet["prv_candidates"]) for packet in packets) - 20}
    for name in ("mjd", "flux", "flux_err", "passband", "offsets", "object_id"):
        assert np.array_equal(getattr(many, name), getattr(one, name))


def test_the_newest_packet_is_right(tmp_path: Path) -> None:
    old, revised, new = ztf_seen(JD, 1, 20.0), ztf_seen(JD + 2e-6, 1, 19.0), ztf_seen(JD + 5, 1, 18.0) | {"ra": 10.5}
    packets = [ztf_packet("ZTF1", old), ztf_packet("ZTF1", new, [revised])]
    for order in (packets, packets[::-1]):
        curves = ztf(tmp_path, *order)
        assert curves.flux == pytest.approx([10 ** (0.4 * 8.5), 10 ** (0.4 * 9.5)]) and curves.ra.tolist() == [10.5]


def test_exposures_apart_by_more_than_a_second_and_other_objects_are_kept(tmp_path: Path) -> None:
    history = [ztf_seen(JD - 30 / 86400, 1, 20.0), ztf_seen(JD, 2, 20.0)]
    curves = ztf(
        tmp_path, ztf_packet("ZTF1", ztf_seen(JD, 1, 20.0), history), ztf_packet("ZTF2", ztf_seen(JD, 1, 20.0))
    )
    assert curves.lengths.tolist() == [3, 1] and not curves.dropped


# -- Rubin


@pytest.mark.parametrize("official", [False, True], ids=["minimal", "official"])
@pytest.mark.parametrize("version", VERSIONS)
def test_rubin_packets_of_every_schema(version: str, official: bool, tmp_path: Path) -> None:
    if official and official_schema(version) is None:
        pytest.skip("lsst-alert-packet is not installed: pip install --no-deps lsst-alert-packet")
    newest = rubin_seen(version, 61000.0, "r", 1000.0, 50.0, diaObjectId=2**62 + 1)
    previous = [rubin_seen(version, 60990.0, "g", 800.0), rubin_seen(version, 60991.0, "g", -500.0)]
    forced = [rubin_seen(version, mjd, band, flux) for mjd, band, flux in ((60990.0, "g", 790.0), (60980.0, "y", 3.0))]
    other = rubin_packet(version, 7, rubin_seen(version, 61000.0, "u", 1.0))
    curves = rubin(tmp_path, version, [rubin_packet(version, 2**62 + 1, newest, previous, forced), other], official)
    assert curves.object_id.tolist() == [str(2**62 + 1), "7"] and curves.lengths.tolist() == [4, 1]
    first = curves.take(np.array([0]))
    assert first.mjd.tolist() == [60980, 60990, 60991, 61000]
    assert first.flux == pytest.approx(np.array([3, 800, -500, 1000]) * NJY)
    assert first.flux_err == pytest.approx(np.array([20, 20, 20, 50]) * NJY)
    assert first.detected.tolist() == [False, True, False, True]
    assert [first.passbands[code] for code in first.passband] == ["lssty", "lsstg", "lsstg", "lsstr"]
    assert curves.ra.tolist() == [150, 150] and curves.dec.tolist() == [2, 2] and curves.dropped == {REPEATED: 1}
    expected = 60990.0 if version == "9.0" else np.nan
    assert np.allclose(curves.trigger_mjd, expected, equal_nan=True)


def test_rubins_own_sample_of_every_schema_is_read() -> None:
    official = official_schema("9.0")
    if official is None:
        pytest.skip("lsst-alert-packet is not installed: pip install --no-deps lsst-alert-packet")
    samples = sorted(official.parents[2].glob("*/*/sample_data/fakeAlert.avro"))
    assert len(samples) > 10
    for sample in samples:
        curves = read(sample, LSST)
        assert curves.object_id.tolist() == ["281323062375219201"]
        assert curves.flux == pytest.approx(np.full(len(curves.flux), 1241 * NJY))


def test_one_nanojansky_is_31_4_mag(tmp_path: Path) -> None:
    curves = rubin(tmp_path, "9.0", [rubin_packet("9.0", 1, rubin_seen("9.0", 61000.0, "i", 36307.805, 363.07805))])
    assert curves.flux == pytest.approx([1000.0]) and curves.flux_err == pytest.approx([10.0])  # 20 mag
    assert (
        rubin(tmp_path, "9.0", [rubin_packet("9.0", 1, rubin_seen("9.0", 61000.0, "i", 5.0))], zero_point=27.5).flux
        == 5
    )


@pytest.mark.parametrize(
    ("version", "flag", "reason"),
    [
        ("7.4", {"psfFlux_flag": True}, "flagged bad"),
        ("9.0", {"pixelFlags_bad": True}, "flagged bad"),
        ("9.0", {"timeWithdrawnMjdTai": 61002.0}, "withdrawn by the survey"),
        ("9.0", {"band": None}, "without a passband"),
        ("7.4", {"psfFlux": None}, "without a flux or error"),
    ],
)
def test_unusable_rubin_sources_are_dropped_and_counted(
    version: str, flag: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    bad = rubin_seen(version, 60999.0, "r", 900.0) | flag
    curves = rubin(tmp_path, version, [rubin_packet(version, 1, rubin_seen(version, 61000.0, "r", 900.0), [bad])])
    ((said, count),) = curves.dropped.items()
    assert curves.mjd.tolist() == [61000] and count == 1 and said.startswith(reason)


def test_a_time_of_zero_withdraws_nothing(tmp_path: Path) -> None:
    seen = rubin_seen("9.0", 61000.0, "r", 900.0, timeWithdrawnMjdTai=0.0)
    assert rubin(tmp_path, "9.0", [rubin_packet("9.0", 1, seen)]).mjd.tolist() == [61000]
    table = pd.DataFrame([{**seen, "diaObjectId": 1}])
    assert door.read(table, LSST).mjd.tolist() == [61000]


def test_a_compression_that_needs_a_package_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lacking(_: object) -> NoReturn:
        raise ValueError(
            "snappy codec is supported but you need to install one of the following libraries: ('cramjam',)"
        )

    path = write_packets(
        tmp_path / "a.avro", rubin_schema("9.0"), [rubin_packet("9.0", 1, rubin_seen("9.0", 61000.0, "r", 9.0))]
    )
    monkeypatch.setattr(fastavro, "reader", lacking)
    with pytest.raises(
        ModuleNotFoundError, match=r"a\.avro is packed with snappy, which needs cramjam: pip install cramjam$"
    ):
        read(path, LSST)


@pytest.mark.parametrize(("version", "flag"), [("7.4", "is_negative"), ("9.0", "isNegative")])
def test_a_negative_rubin_source_is_no_detection(version: str, flag: str, tmp_path: Path) -> None:
    curves = rubin(
        tmp_path, version, [rubin_packet(version, 1, rubin_seen(version, 61000.0, "r", 9.0, **{flag: True}))]
    )
    assert curves.detected.tolist() == [False]


@pytest.mark.parametrize(
    ("publisher", "read"), [("ZTF (www.ztf.caltech.edu)", True), ("Fink", True), ("WINTER-mirar", False)]
)
def test_packets_of_another_survey_in_the_layout_of_ztf_are_refused(publisher: str, read: bool) -> None:
    packet = ztf_packet("WNTR24awati", ztf_seen(JD, 2, 20.0)) | {"publisher": publisher}
    if read:
        assert ztf_of(packet, True)[1][0][1] == b"r"
    else:
        with pytest.raises(ValueError, match="publisher is WINTER-mirar, whose filters are not those of ZTF"):
            ztf_of(packet, True)


def test_an_alert_that_is_too_faint_is_no_detection_as_in_tables(tmp_path: Path) -> None:
    seen = [rubin_seen("9.0", 61000.0 + k, "r", 20.0 * snr, 20.0, diaSourceId=k) for k, snr in enumerate((1.9, 2.1))]
    assert rubin(tmp_path, "9.0", [rubin_packet("9.0", 1, seen[1], seen[:1])]).detected.tolist() == [False, True]
    assert door.read(pd.DataFrame(seen).assign(diaObjectId=1), LSST).detected.tolist() == [False, True]
    packet = ztf_packet("ZTF1", ztf_seen(JD + 1, 1, 20.0, 0.5), [ztf_seen(JD, 1, 20.0, 0.6)])
    (tmp_path / "ztf").mkdir()
    assert ztf(tmp_path / "ztf", packet).detected.tolist() == [False, True]


def test_packets_without_an_object_are_left_out_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    lost = rubin_packet("9.0", None, rubin_seen("9.0", 61000.0, "r", 900.0, diaObjectId=0))
    with caplog.at_level(logging.INFO):
        curves = rubin(tmp_path, "9.0", [lost, rubin_packet("9.0", 5, rubin_seen("9.0", 61000.0, "r", 900.0)), lost])
    assert curves.object_id.tolist() == ["5"]
    assert "left out 2 packets without a diaObject (solar system)" in caplog.text
    with pytest.raises(ValueError, match="none of its 1 packets belongs to an object outside the solar system"):
        rubin(tmp_path, "9.0", [lost])


def test_two_ids_in_one_packet_are_refused(tmp_path: Path) -> None:
    seen = rubin_seen("9.0", 61000.0, "r", 900.0, diaObjectId=4)
    with pytest.raises(
        ValueError, match=r"alerts.avro is not laid out .*: diaSource and diaObject name different objects: 4 and 5"
    ):
        rubin(tmp_path, "9.0", [rubin_packet("9.0", 5, seen)])


def test_an_id_that_a_table_rounded_is_that_of_the_source() -> None:
    exact = 169813006680588318
    source = {**rubin_seen("9.0", 61000.0, "r", 900.0), "diaObjectId": exact}
    head, _ = rubin_of({"diaSource": source, "diaObject": {"diaObjectId": float(exact)}}, True, 31.4)
    assert head is not None and head[0] == str(exact)
    with pytest.raises(ValueError, match="diaObjectId is a floating-point number"):
        rubin_of({"diaSource": {**source, "diaObjectId": None}, "diaObject": {"diaObjectId": float(exact)}}, True, 31.4)


def test_errors_of_another_depth_than_the_survey_has_are_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    schema = {**rubin_schema("3.0"), "name": "elasticc.v0_9.alert"}
    schema.pop("__fastavro_parsed__", None)
    seen = [rubin_seen("3.0", 61000.0 + k, "r", 900.0, error=110.0) for k in range(60)]
    write_packets(tmp_path / "a.avro", schema, [rubin_packet("3.0", 5, seen[0], seen[1:])])
    read(tmp_path, LSST, zero_point="njy")
    assert "errors of a survey" not in caplog.text
    read(tmp_path, LSST, zero_point="fluxcal")
    assert "the flux of diaSource has errors of a survey 4.1 mag shallower than this one: check the unit" in caplog.text


def test_a_schema_that_is_not_rubins_needs_a_zero_point(tmp_path: Path) -> None:
    schema = rubin_schema("3.0")
    schema = {**schema, "name": "elasticc.v0_9.alert"}
    schema.pop("__fastavro_parsed__", None)
    packet = rubin_packet("3.0", 5, rubin_seen("3.0", 61000.0, "r", 900.0))
    write_packets(tmp_path / "a.avro", schema, [packet])
    with pytest.raises(
        ValueError,
        match=r"schema 'elasticc.v0_9.alert' is not Rubin's own, so the unit of psFlux is not known.*--flux-unit",
    ):
        read(tmp_path, LSST)
    assert read(tmp_path, LSST, zero_point=27.5).flux == 900


# -- files


@pytest.fixture(scope="module")
def stream(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three simulated transients, a folder of packets each."""
    folder = tmp_path_factory.mktemp("stream")
    write_ztf_alerts(folder, 3)
    return folder


def packet_in(file: Path) -> Packet:
    with file.open("rb") as content:
        (packet,) = fastavro.reader(content)
    return packet  # type: ignore[return-value]


def tarred(folder: Path, path: Path) -> Path:
    with tarfile.open(path, "w:gz" if path.name.endswith("gz") else "w") as archive:
        archive.add(folder, arcname="public")
    return path


@pytest.mark.parametrize("form", ["a.tar", "a.tar.gz", "a.tgz", "one file", "shuffled", "folder of tars"])
def test_every_container_gives_the_same(form: str, stream: Path, tmp_path: Path) -> None:
    files = sorted(stream.rglob("*.avro"))
    path = tmp_path / form
    if form == "one file":
        path = tmp_path / "all.avro"
        write_packets(path, ztf_schema(), [packet_in(file) for file in files], codec="deflate")
    elif form == "shuffled":
        path.mkdir()
        for place, number in enumerate(np.random.default_rng(0).permutation(len(files))):
            shutil.copy(files[number], path / f"{place:05d}.avro")
    elif form == "folder of tars":
        path.mkdir()
        for folder in sorted(stream.iterdir()):
            tarred(folder, path / f"{folder.name}.tar")
    else:
        tarred(stream, path)
    assert equal_curves(read(path), read(stream)) and len(read(stream)) == 3


def test_processes_give_the_same(stream: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = read(stream)
    monkeypatch.setattr("tlclass.surveys.parallel.WORTH_PROCESSES", 0)
    monkeypatch.setattr("tlclass.surveys.parallel.usable_cores", lambda: 2)
    assert equal_curves(read(stream), whole)


def test_every_measurement_is_kept_or_counted(stream: Path) -> None:
    total = 0
    for file in stream.rglob("*.avro"):
        packet = packet_in(file)
        total += 1 + len(packet["prv_candidates"]) + len(packet["fp_hists"])
    curves = read(stream)
    assert len(curves.mjd) + sum(curves.dropped.values()) == total


@pytest.mark.parametrize("kept", [0, 3, 300, 0.9, -1])
def test_a_truncated_packet_is_named_and_nothing_is_cached(kept: float, stream: Path, tmp_path: Path) -> None:
    shutil.copytree(stream, tmp_path / "packets")
    file = sorted((tmp_path / "packets").rglob("*.avro"))[4]
    content = file.read_bytes()
    file.write_bytes(content[: int(kept * len(content)) if isinstance(kept, float) else kept])
    with pytest.raises(ValueError, match=f"{file.name}.*(truncated|not an Avro file)"):
        read_cached(AlertPackets(tmp_path / "packets", ZTF), tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("*.arrow"))


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz"])
@pytest.mark.parametrize("share", [0.3, 0.7, "member"])
def test_a_truncated_archive_is_named(name: str, share: float | str, stream: Path, tmp_path: Path) -> None:
    path = tarred(stream, tmp_path / name)
    content = path.read_bytes()
    if share == "member" and name == "a.tar":  # exactly between two members, which tarfile takes for the end
        with tarfile.open(path) as archive:
            path.write_bytes(content[: archive.getmembers()[5].offset])
    else:
        path.write_bytes(content[: int((0.5 if share == "member" else float(share)) * len(content))])
    with pytest.raises(ValueError, match=f"{name}.* cannot be read: it is truncated or damaged"):
        read(path)


def test_other_content_is_refused_in_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "a.avro"
    path.write_bytes(b"PK\x03\x04 a zip")
    with pytest.raises(ValueError, match=r"a.avro is not an Avro file: it starts with .*reader\.schema=FILE"):
        read(path)
    row = {"type": "record", "name": "row", "fields": [{"name": "flux", "type": "float"}]}
    write_packets(path, row, [{"flux": 1.0}])
    with pytest.raises(ValueError, match=r"is not an alert of ZTF .* or Rubin .*: its record 'row' has flux"):
        read(path)
    fields = [{"name": "objectId", "type": "string"}, {"name": "candidate", "type": "string"}]
    write_packets(path, row | {"fields": fields}, [{"objectId": "a", "candidate": "b"}])
    with pytest.raises(ValueError, match=r"a.avro is not laid out as a ZTF or Rubin alert .TypeError"):
        read(path)
    write_packets(path, ztf_schema(), [])
    with pytest.raises(ValueError, match=r"a.avro holds no alert packet"):
        read(path)


def test_damage_anywhere_is_a_value_error_or_harmless(tmp_path: Path) -> None:
    path = write_packets(
        tmp_path / "a.avro", ztf_schema(), [ztf_packet("ZTF1", ztf_seen(JD, 1, 19.0), [ztf_seen(JD - 1, 1, None)])]
    )
    content, generator = path.read_bytes(), np.random.default_rng(0)
    for _ in range(300):
        damaged = bytearray(content)
        damaged[generator.integers(len(content))] = generator.integers(256)
        path.write_bytes(damaged)
        try:
            read(path)
        except ValueError as error:
            assert "a.avro" in str(error)


def test_an_unknown_band_is_named_with_its_count(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"unknown passband 'fid 4' \(1 observations\); known are ztfg"):
        ztf(tmp_path, ztf_packet("ZTF1", ztf_seen(JD, 4, 19.0)))
    with pytest.raises(ValueError, match=r"unknown passband '(lsst)?q' \(1 observations\)"):
        rubin(tmp_path / "rubin", "9.0", [rubin_packet("9.0", 1, rubin_seen("9.0", 61000.0, "Q", 9.0))])


def test_two_surveys_are_not_mixed(tmp_path: Path) -> None:
    write_packets(
        tmp_path / "r.avro", rubin_schema("9.0"), [rubin_packet("9.0", 1, rubin_seen("9.0", 61000.0, "g", 9.0))]
    )
    with pytest.raises(ValueError, match="holds packets of Rubin and ZTF: read each survey from its own folder"):
        ztf(tmp_path, ztf_packet("ZTF1", ztf_seen(JD, 1, 19.0)))


def test_kafka_messages_need_their_schema(tmp_path: Path) -> None:
    packet = rubin_packet("9.0", 5, rubin_seen("9.0", 61000.0, "r", 900.0))
    path = tmp_path / "message.avro"
    path.write_bytes(confluent(rubin_schema("9.0"), packet))
    with pytest.raises(
        ValueError, match=r"is a Kafka message without its schema .* schema id 703; Rubin's 703 is schema 7\.3 of"
    ):
        read(path, LSST)
    official = official_schema("9.0")
    if official is None:
        pytest.skip("lsst-alert-packet is not installed: pip install --no-deps lsst-alert-packet")
    with pytest.raises(ValueError, match=r"schema of id 703"):
        read(path, LSST, schema=official)
    path.write_bytes(confluent(rubin_schema("9.0", official=True), packet))
    whole = write_packets(tmp_path / "whole.avro", rubin_schema("9.0", official=True), [packet])
    assert equal_curves(read(path, LSST, schema=official), read(whole, LSST))
    path.write_bytes(path.read_bytes() + b"more")
    with pytest.raises(ValueError, match=r"message.avro .*alert.avsc.* schema of id 703"):
        read(path, LSST, schema=official)


def test_missing_files_say_where(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no file or folder .*nowhere: set paths.data=FOLDER"):
        AlertPackets(tmp_path / "nowhere", ZTF).files()
    with pytest.raises(FileNotFoundError, match=r"no alert packets at .* \(a folder\)"):
        AlertPackets(tmp_path, ZTF).files()
    write_ztf_alerts(tmp_path, 1)
    with pytest.raises(FileNotFoundError, match=r"no file .*labels.csv: correct the reader's labels or schema"):
        AlertPackets(tmp_path, ZTF, labels=tmp_path / "labels.csv").files()


def test_without_fastavro_the_error_names_the_pip_line(stream: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "fastavro", None)
    with pytest.raises(ModuleNotFoundError, match=r"needs fastavro: pip install .*\[alerts\]"):
        read(stream)


# -- labels, cards and the command line


def labelled(folder: Path, path: Path, **columns: Any) -> Path:
    names = sorted(entry.name for entry in folder.iterdir())
    pd.DataFrame({"ZTFID": names, "type": ["SN Ia"] * len(names)} | columns).to_csv(path, index=False)
    return path


def test_labels_come_from_a_table(stream: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    table = labelled(stream, tmp_path / "bts.csv", type=["SN Ia", "", "TDE"])
    with caplog.at_level(logging.INFO):
        curves = read(stream, labels=table, label_columns=["ZTFID", "type"])
    assert curves.label.tolist() == ["SN Ia", "TDE"] and curves.object_id.tolist() == ["ZTF25aa00000", "ZTF25aa00002"]
    whole = read(stream).take(np.array([0, 2]))
    assert np.array_equal(curves.flux, whole.flux) and "2 of 3 objects have a label" in caplog.text
    with pytest.raises(ValueError, match=r"bts.csv lacks the column\(s\) object_id, label; it has ZTFID, type"):
        read(stream, labels=table)
    twice = labelled(stream, tmp_path / "twice.csv", ZTFID=["a", "a", "b"])
    with pytest.raises(ValueError, match=r"1 object id\(s\) are repeated"):
        read(stream, labels=twice, label_columns=["ZTFID", "type"])
    strange = labelled(stream, tmp_path / "strange.csv", ZTFID=["a", "b", "c"])
    with pytest.raises(
        ValueError,
        match=r"none of its 3 objects is among the 3 objects of .* is 'a', one of the packets 'ZTF25aa00000'",
    ):
        read(stream, labels=strange, label_columns=["ZTFID", "type"])


def test_a_dash_or_a_blank_is_no_label(stream: Path, tmp_path: Path) -> None:
    names = sorted(f" {entry.name} " for entry in stream.iterdir())
    table = labelled(stream, tmp_path / "bts.csv", ZTFID=names, type=["-", " SN Ia ", "  "])
    curves = read(stream, labels=table, label_columns=["ZTFID", "type"])
    assert curves.label.tolist() == ["SN Ia"] and curves.object_id.tolist() == ["ZTF25aa00001"]


def test_packets_without_labels_say_how_to_give_them(packets: Path, tmp_path: Path) -> None:
    survey = build_survey(compose(["target=ztf_alerts", f"paths.data={packets}"])["target"])
    with pytest.raises(
        ValueError, match=r"none of its 96 objects has a class label: give a table of them, target.reader.labels=FILE"
    ):
        survey.load(tmp_path)


def test_predictions_are_no_labels_of_packets(tmp_path: Path) -> None:
    ztf(tmp_path, ztf_packet("ZTF1", ztf_seen(JD, 1, 20.0)))
    (tmp_path / "classes.csv").write_text("object_id,label,p(SN Ia)\nZTF1,SN Ia,0.9\n")
    with pytest.raises(ValueError, match=r"classes.csv holds predictions of a model"):
        read(tmp_path, labels=tmp_path / "classes.csv")


@pytest.fixture(scope="module")
def packets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with ZTF packets of many objects and the labels of most."""
    folder = tmp_path_factory.mktemp("packets")
    write_ztf_alerts(folder / "ztf_alerts", 96, packets=2)
    names = sorted(entry.name for entry in (folder / "ztf_alerts").iterdir())
    labels = [["SN Ia", "SN II", "SN Ib", "SLSN-I", "TDE", "nova"][number % 6] for number in range(len(names))]
    pd.DataFrame({"ZTFID": names, "type": labels}).head(90).to_csv(folder / "bts.csv", index=False)
    return folder


@pytest.fixture
def card(packets: Path) -> list[str]:
    """Where the packets and their labels are."""
    labels = [f"target.reader.labels={packets}/bts.csv", "target.reader.label_columns=[ZTFID,type]"]
    return [f"paths.data={packets}", *labels]


def test_packets_train_a_model_and_are_classified_by_it(
    packets: Path, card: list[str], settings: Job, cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    built = build_survey(compose(["target=ztf_alerts", *card])["target"])
    curves, label = built.load(cache)
    assert len(curves) > 50 and curves.detected.all() and set(label) <= set(range(5))
    run_job(settings("target=ztf_alerts", "freeze_policy=from_scratch", *card), tmp_path / "model")
    archive = tarred(packets / "ztf_alerts", tmp_path / "night.tar.gz")
    for number, path in enumerate((packets / "ztf_alerts", archive)):
        main([str(tmp_path / "model"), str(path), "-o", str(tmp_path / f"{number}.parquet")])
    folder, tarball = (pq.read_table(tmp_path / f"{number}.parquet").to_pandas() for number in (0, 1))
    pd.testing.assert_frame_equal(folder, tarball)
    assert len(folder) == 96 and folder.object_id.is_unique and folder["class"].notna().sum() > 80
    one = sorted((packets / "ztf_alerts" / "ZTF25aa00000").iterdir())[-1]
    main([str(tmp_path / "model"), str(one), "-o", str(tmp_path / "one.csv")])
    assert pd.read_csv(tmp_path / "one.csv").object_id.tolist() == ["ZTF25aa00000"]
    words = [str(tmp_path / "model"), str(one), "-o", str(tmp_path / "x.csv"), "--column", "mjd=time"]
    assert "alert packets state their own columns: leave out --column" in refused(capsys, main, words)


def test_predict_leaves_forced_photometry_out_where_training_did(
    packets: Path, card: list[str], settings: Job, tmp_path: Path
) -> None:
    options = ["target.reader.forced=false", "target.selection.photometry.kind=forced", "freeze_policy=from_scratch"]
    run_job(settings("target=ztf_alerts", *options, *card), tmp_path / "model")
    main([str(tmp_path / "model"), str(packets / "ztf_alerts"), "-o", str(tmp_path / "out.parquet")])
    evaluated = pd.read_parquet(tmp_path / "model" / "predictions.parquet").set_index("object_id")
    predicted = pd.read_parquet(tmp_path / "out.parquet").set_index("object_id")
    columns = [name for name in evaluated if name.startswith("p(")]
    assert (evaluated[columns] - predicted.loc[evaluated.index, columns]).abs().max().max() < 1e-6
    model = load_model(tmp_path / "model")
    earlier = replace(model, input={})  # as written before `input` said so
    read_by = [len(door.read(packets / "ztf_alerts", one.passbands, {}, one.input).mjd) for one in (model, earlier)]
    assert read_by[0] < read_by[1]
