"""Laws of the door: whatever the form of the input, the same light curves or the same refusal."""

import functools
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conftest import equal_curves
from tests.data.raw_alerts import ztf_stream
from tests.data.raw_snana_text import write_snana_text
from tests.data.raw_surveys import SHAPES
from tests.data.raw_tables import LAYOUTS, alerts, plain, write, write_nested
from tests.surveys.test_table import BANDS
from tlclass import wording
from tlclass.lightcurves import arrow
from tlclass.lightcurves.curves import LightCurves, check
from tlclass.lightcurves.passbands import Passbands
from tlclass.surveys import door

Give = Callable[[pd.DataFrame, Path], Any]
GIVEN: dict[str, Give] = {
    "pandas": lambda frame, folder: frame,
    "arrow": lambda frame, folder: pa.Table.from_pandas(frame, preserve_index=False),
    "parquet": lambda frame, folder: write(frame, folder / "a.parquet"),
    "csv": lambda frame, folder: write(frame, folder / "a.csv"),
    "folder": lambda frame, folder: write(frame, folder / "whole" / "a.parquet").parent,
}


@functools.cache
def from_file(layout: str) -> LightCurves:
    """What a Parquet file of this layout gives."""
    with tempfile.TemporaryDirectory() as folder:
        return door.read(write(LAYOUTS[layout](alerts()), Path(folder) / "a.parquet"), BANDS)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("form", GIVEN)
def test_a_table_in_memory_is_judged_as_a_file(form: str, layout: str, tmp_path: Path) -> None:
    frame, expected = LAYOUTS[layout](alerts()), from_file(layout)
    got = check(door.read(GIVEN[form](frame, tmp_path), BANDS), form)
    assert np.allclose(got.flux, expected.flux, rtol=2e-6) and np.allclose(got.mjd, expected.mjd, rtol=0, atol=2e-9)
    assert got.dropped == expected.dropped and got.object_id.tolist() == expected.object_id.tolist()
    assert got.detected.tolist() == expected.detected.tolist()


@pytest.mark.parametrize("form", ["lists", "struct of lists", "list of structs"])
def test_a_nested_table_in_memory_is_judged_as_a_file(form: str, tmp_path: Path) -> None:
    rows = plain(alerts())
    objects = rows[["object_id"]].drop_duplicates().assign(mwebv=0.1)
    path = write_nested(rows, objects, tmp_path / "nested.parquet", form)
    table = pq.read_table(path)
    expected = door.read(path, BANDS)
    assert equal_curves(door.read(table, BANDS), expected)
    if form == "lists":
        assert equal_curves(door.read(table.to_pandas(), BANDS), expected)


@pytest.mark.parametrize("form", GIVEN)
def test_the_same_mistake_has_the_same_sentence(form: str, tmp_path: Path) -> None:
    frame = plain(alerts()).drop(columns="band")
    with pytest.raises(ValueError, match=r"lacks the column\(s\) band; it has object_id, mjd, flux"):
        door.read(GIVEN[form](frame, tmp_path), BANDS)


NOTHING = r"holds no light curve: give a table with observations"


@pytest.mark.parametrize("form", GIVEN)
def test_a_table_without_rows_is_refused(form: str, tmp_path: Path) -> None:
    given = GIVEN[form](plain(alerts()).iloc[:0], tmp_path)
    for read in (door.read, lambda *words: list(door.parts(*words))):
        with pytest.raises(ValueError, match=NOTHING):
            read(given, BANDS, {"flux_unit": "fluxcal"})


@pytest.mark.parametrize("form", ["lists", "struct of lists", "list of structs"])
def test_a_nested_table_without_rows_is_refused(form: str, tmp_path: Path) -> None:
    rows = plain(alerts())
    table = pq.read_table(write_nested(rows, rows[["object_id"]].drop_duplicates(), tmp_path / "a.parquet", form))
    pq.write_table(table.slice(0, 0), tmp_path / "nothing.parquet")
    for given in (table.slice(0, 0), tmp_path / "nothing.parquet"):
        for read in (door.read, lambda *words: list(door.parts(*words))):
            with pytest.raises(ValueError, match=NOTHING):
                read(given, BANDS, {"flux_unit": "fluxcal"})


def test_light_curves_pass_and_labels_are_not_read() -> None:
    frame = LAYOUTS["plain"](alerts()).assign(label="SN Ia")
    curves = door.read(frame, BANDS)
    assert set(curves.label) == {""} and door.read(curves, BANDS) is curves


def test_what_is_dropped_is_said(caplog: pytest.LogCaptureFixture) -> None:
    frame = plain(alerts())
    frame.loc[3:4, "object_id"] = None
    door.read(frame, BANDS)
    assert f"the table: dropped 2 of {len(frame)} observations without an object id" in caplog.text


def test_tables_of_other_libraries_come_through_arrow() -> None:
    table = pa.Table.from_pandas(plain(alerts()))
    expected = door.read(table, BANDS)
    for other in (table.to_reader(), table.combine_chunks().to_batches()[0]):
        assert equal_curves(door.read(other, BANDS), expected)


@pytest.mark.parametrize("given", [None, [1, 2], {"mjd": [1.0]}, np.ones(3), pd.Series([1.0])])
def test_what_is_no_table_is_one_sentence(given: Any) -> None:
    with pytest.raises(ValueError, match=rf"{type(given).__name__}: give .*pandas"):
        door.read(given, BANDS)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"flux_units": "ujy"}, r"flux_units .*did you mean flux_unit\?"),
        ({"positive": "perhaps"}, "positive is 'perhaps': give true or false"),
        ({"columns": "flux"}, "columns is 'flux'"),
    ],
)
def test_options_are_checked(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        door.read(plain(alerts()), BANDS, options)


def test_messages_are_in_the_words_of_where_they_are_read() -> None:
    with pytest.raises(ValueError, match="flux_err") as caught:
        door.read(plain(alerts()).drop(columns=["flux", "flux_err"]), BANDS)
    said = str(caught.value)
    assert wording.in_flags(said).endswith("name yours with --column flux=COLUMN --column flux_err=COLUMN")
    assert wording.in_python(said).endswith("name yours with columns={'flux': 'COLUMN', 'flux_err': 'COLUMN'}")
    assert wording.of_survey(said).endswith(
        "name yours with survey.reader.columns.flux=COLUMN survey.reader.columns.flux_err=COLUMN"
    )


def test_a_column_of_several_kinds_is_one_sentence() -> None:
    frame = plain(alerts())
    frame["flux"] = pd.Series(["bright", *frame.flux[1:]], frame.index, dtype=object)
    with pytest.raises(ValueError, match=r"column with values of several kinds: .*flux"):
        door.read(frame, BANDS)


def test_the_unit_of_the_model_counts_where_the_input_states_none() -> None:
    frame = plain(alerts())
    plainly = door.read(frame, BANDS)
    trained = door.read(frame, BANDS, trained={"flux_unit": "ujy", "forced": False})
    assert np.allclose(trained.flux, plainly.flux * 10 ** (0.4 * 3.6), rtol=1e-6)
    said = door.read(frame, BANDS, {"flux_unit": "fluxcal"}, {"flux_unit": "ujy"})
    assert equal_curves(said, plainly)


def test_snana_files_enter_too_and_state_their_unit(tmp_path: Path) -> None:
    write_snana_text(tmp_path / "text")
    bands = Passbands.from_mapping({f"des{b}": {"wavelength": 0.5, "aliases": [b]} for b in "griz"})
    curves = door.read(next((tmp_path / "text" / "SNIa").glob("*.dat")), bands)
    assert len(curves) == 1 and len(curves.mjd)
    for option, flag in (("time_offset", "--time-offset"), ("positive", "--positive")):
        with pytest.raises(ValueError, match=rf"state their own {option}: leave out {flag}"):
            door.read(tmp_path / "text" / "SNIa", bands, {option: 1})


def test_files_of_several_kinds_are_named(tmp_path: Path) -> None:
    rows = plain(alerts())
    arrow.write(door.read(rows, BANDS), tmp_path / "own.parquet")
    write(rows, tmp_path / "table.csv")
    (tmp_path / "alert.avro").touch()
    with pytest.raises(ValueError, match=r"alert.avro.*own.parquet.*table.csv.*only one kind"):
        door.read(tmp_path, BANDS)
    assert {file.name for file in door.accepted(tmp_path)} == {"own.parquet", "table.csv", "alert.avro"}


@pytest.mark.parametrize("form", ["pandas", "csv"])
def test_limits_alone_are_refused_in_every_form(form: str, tmp_path: Path) -> None:
    rows = plain(alerts())[["object_id", "mjd", "band"]].assign(diffmaglim=20.5)
    with pytest.raises(ValueError, match=r"holds limiting magnitudes and no flux or magnitude by name"):
        door.read(GIVEN[form](rows, tmp_path), BANDS)


def test_packets_in_memory_take_the_options_of_packets(tmp_path: Path) -> None:
    stream = ztf_stream("ZTF25aaaaaaa", next(iter(SHAPES)), np.random.default_rng(3))
    table = pa.Table.from_pylist([dict(packet) for packet in stream])
    pq.write_table(table, tmp_path / "packets.parquet")
    for source in (table, tmp_path / "packets.parquet"):
        assert len(door.read(source, BANDS)) == 1
        with pytest.raises(ValueError, match="alert packets state their own time_offset: leave out --time-offset"):
            door.read(source, BANDS, {"time_offset": 100.0})
