import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from tests.conftest import refused
from tlclass.choose import main
from tlclass.inputs.labelling import STRATEGIES, Labelling
from tlclass.lightcurves.curves import LightCurves
from tlclass.network.checkpoint import TrainedModel
from tlclass.serving.choosing import choose, read_ids
from tlclass.serving.model import Model
from tlclass.surveys import door


@pytest.fixture(scope="module")
def curves(released_model: TrainedModel, data: Path) -> LightCurves:
    return door.read(data / "ztf_bts", released_model.passbands, {}, released_model.input)


@pytest.mark.parametrize("name", list(STRATEGIES))
def test_a_list_names_each_object_once_and_says_why(
    name: str, released_model: TrainedModel, curves: LightCurves
) -> None:
    table = choose(released_model, curves, 12, Labelling(name)).to_pandas()
    assert table["rank"].tolist() == list(range(1, 13)) and table["object_id"].is_unique
    assert set(table["object_id"]) <= set(curves.object_id)
    assert (table["p_1"] >= table["p_2"]).all() and (table["why"].str.len() > 5).all()
    assert table["peak_mag"].between(10, 25).all() and (table["last_mag"] >= table["peak_mag"]).all()


def test_labelled_objects_and_those_that_cannot_be_classified_are_not_chosen(
    released_model: TrainedModel, curves: LightCurves
) -> None:
    some = curves.keep(curves.owner != 3).take(np.arange(40))
    labelled = some.object_id[10:20].tolist()
    found = choose(released_model, some, 29, Labelling("coreset"), labelled)["object_id"].to_pylist()
    assert set(found) == set(some.object_id) - set(labelled) - {some.object_id[3]}
    with pytest.raises(ValueError, match=r"30 .* 29 "):
        choose(released_model, some, 30, Labelling("coreset"), labelled)
    with pytest.raises(ValueError, match="nobody"):
        choose(released_model, some, 5, Labelling(), ["nobody"])
    with pytest.raises(ValueError, match=r"labelled is 'nobody': give a list of ids, such as \['nobody'\]"):
        choose(released_model, some, 5, Labelling(), "nobody")
    with pytest.raises(ValueError, match=r"n is 2\.5: choose a whole number"):
        choose(released_model, some, 2.5, Labelling())  # type: ignore[arg-type]


def test_a_model_of_python_gives_the_same_list(released_model: TrainedModel, curves: LightCurves) -> None:
    found = Model(released_model).choose(curves, 6, strategy="entropy", where="n_observations > 3", seed=2)
    expected = choose(released_model, curves, 6, Labelling("entropy", where="n_observations > 3"), seed=2)
    pd.testing.assert_frame_equal(found, expected.to_pandas())


def test_the_command_writes_a_file_or_prints(
    released_folder: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        str(released_folder),
        str(data / "ztf_bts"),
        "-n",
        "7",
        "--where",
        "peak_mag < 19.5 and n_observations > 3",
    ]
    main(words)
    printed = pd.read_csv(io.StringIO(capsys.readouterr().out))
    main([*words, "-o", str(tmp_path / "list.parquet")])
    assert "7 of" in capsys.readouterr().out
    written = pq.read_table(tmp_path / "list.parquet").to_pandas()
    assert written["object_id"].tolist() == printed["object_id"].tolist() and len(written) == 7
    assert (written["peak_mag"] < 19.5).all()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--where", "__import__('os') < 3"], "condition"),
        (["--where", "colour < 3"], "colour"),
        (["--strategy", "entropie"], "entropy"),
        (["-n", "0"], "n is 0"),
        (["-n", "100000"], "100000"),
        (["--labelled", "absent.txt"], "absent.txt"),
        (["-o", "list.xyz"], "list.xyz"),
    ],
    ids=str,
)
def test_mistakes_are_one_sentence(
    words: list[str], said: str, released_folder: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said in refused(capsys, main, [str(released_folder), str(data / "ztf_bts"), *words])


def test_labelled_objects_may_stand_in_a_table_and_be_gone_from_the_light_curves(
    released_model: TrainedModel, curves: LightCurves, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    some = curves.take(np.arange(20))
    done, free = some.object_id[:5].tolist(), some.object_id[5:].tolist()
    table = pd.DataFrame({"object_id": [*done, "gone", free[0]], "class": [*["SN Ia"] * 6, ""]})
    table.to_csv(tmp_path / "labels.csv", index=False)
    (tmp_path / "ids.txt").write_text("\n".join([*done, "gone"]))
    for name in ("labels.csv", "ids.txt"):
        labelled = read_ids(tmp_path / name, released_model.passbands)
        assert labelled == [*done, "gone"]
        found = choose(released_model, some, 15, Labelling("margin"), labelled)["object_id"].to_pylist()
        assert set(found) == set(free)
    assert "1 of 6 labelled objects are not in the table, e.g. gone" in caplog.text
    with pytest.raises(ValueError, match=r"none of the 1 labelled object\(s\) is in the table, e\.g\. gone"):
        choose(released_model, some, 15, Labelling("margin"), ["gone"])


def test_a_condition_on_what_is_unknown_for_all_objects_says_so(
    released_model: TrainedModel, curves: LightCurves, caplog: pytest.LogCaptureFixture
) -> None:
    some = curves.take(np.arange(20))
    unknown = replace(some, redshift=np.full(20, np.nan))
    with pytest.raises(ValueError, match="0 without a label fulfil"):
        choose(released_model, unknown, 5, Labelling("margin", where="redshift < .1"))
    assert "condition: redshift is unknown for all 20 objects" in caplog.text
