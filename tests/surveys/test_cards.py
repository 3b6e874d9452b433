"""The README's recipe: a survey in a known format needs a card and no Python."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from tests.data.raw_tables import alerce, alerts, explorer, fink, write, write_nested
from tlclass import predict
from tlclass.config import CONF

SHAPES = ("SN Ia", "SN II", "SN Ib/c")


@pytest.fixture
def cards(tmp_path: Path) -> Path:
    """A folder of the user's own: `table` as shipped, kept as `mine` with its own passbands, taxonomy and citation."""
    card = (CONF / "survey" / "table.yaml").read_text()
    card = card.replace("name: table", "name: mine").replace('citation: ""', "citation: a paper of mine")
    card = card.replace("/taxonomy@taxonomy: bts", "/taxonomy@taxonomy: bts_common").replace(
        "kind: forced", "kind: detections"
    )
    card = card.replace("folder: ${paths.data}", f"folder: {tmp_path / 'downloads'}")
    (tmp_path / "cards" / "survey").mkdir(parents=True)
    (tmp_path / "cards" / "survey" / "mine.yaml").write_text(card)
    return tmp_path / "cards"


@pytest.mark.parametrize("classes_in", ["explorer", "observations file alone"])
def test_a_card_of_ones_own_reads_a_raw_broker_csv(
    classes_in: str, cards: Path, tmp_path: Path, train_cli: Callable[..., None]
) -> None:
    frame = alerts(60, shapes=SHAPES)
    write(alerce(frame), tmp_path / "downloads" / "alerce.csv")
    table = write(explorer(frame), tmp_path / "downloads" / "explorer.csv")
    more = [] if classes_in == "explorer" else [
        f"target.reader.objects={table}", f"target.reader.observations={tmp_path / 'downloads' / 'alerce.csv'}", "target.reader.folder=null",
    ]  # fmt: skip
    train_cli("target=mine", "freeze_policy=from_scratch", *more, "--config-dir", str(cards))
    folder = tmp_path / "results" / "default" / "from_scratch" / "all" / "seed0"
    predicted = pd.read_parquet(folder / "predictions.parquet")
    assert len(predicted) >= 10 and set(predicted["class"]) <= set(SHAPES)
    others = {"fink.csv": lambda path: write(fink(frame), path), "nested.parquet": lambda path: _nested(frame, path)}
    for name, made in others.items():
        predict.main([str(folder), str(made(tmp_path / "new" / name)), "-o", str(tmp_path / f"{name}.out.parquet")])
        again = pd.read_parquet(tmp_path / f"{name}.out.parquet").set_index("object_id").loc[predicted.object_id]
        columns = [name for name in predicted if name.startswith("p(")]
        assert abs(again[columns].to_numpy() - predicted[columns].to_numpy()).max() < 1e-4
    predict.main([str(folder), str(tmp_path / "downloads"), "-o", str(tmp_path / "folder.csv")])
    assert len(pd.read_csv(tmp_path / "folder.csv")) == 60


def test_ready_tables_need_no_mapping_in_either_role(
    data: Path, tmp_path: Path, train_cli: Callable[..., None]
) -> None:
    train_cli("source=table", "target=table", f"paths.data={data / 'ztf_bts'}", "freeze_policy=full")
    assert list((tmp_path / "results").rglob("result.json"))


def _nested(frame: pd.DataFrame, path: Path) -> Path:
    names = frame[["object_id"]].drop_duplicates()
    return write_nested(alerce(frame).rename(columns={"oid": "object_id"}), names, path)


@pytest.mark.parametrize("role", ["source", "target"])
def test_nested_parquet_is_trained_on_without_configuration(
    role: str, tmp_path: Path, train_cli: Callable[..., None]
) -> None:
    frame = alerts(60, shapes=(*SHAPES, "SLSN-I", "TDE"))
    about = frame[["object_id", "class"]].drop_duplicates()
    path = tmp_path / "catalogue" / "Norder=0" / "Dir=0" / "Npix=3.parquet"
    write_nested(alerce(frame).rename(columns={"oid": "object_id"}), about, path, "list of structs")
    policy = "full" if role == "source" else "from_scratch"
    where = [f"{one}.reader.path={path.parent.parent.parent}" for one in dict.fromkeys((role, "target"))]
    train_cli(f"{role}=nested", "target=nested", *where, f"freeze_policy={policy}")
    assert list((tmp_path / "results").rglob("result.json"))
