"""Avro files whose few bytes would nest without end, or state as many items as they like."""

from pathlib import Path
from typing import Any

import fastavro
import pytest

from tests.data import raw_alerts
from tests.data.raw_alerts import VERSIONS, rubin_schema, ztf_schema
from tlclass.lightcurves.passbands import Passbands
from tlclass.surveys import AlertPackets
from tlclass.surveys.alerts.schema import refuse_boundless

ZTF = Passbands.from_mapping(
    {"ztfg": {"wavelength": 0.47, "aliases": ["g"]}, "ztfr": {"wavelength": 0.64, "aliases": ["r"]}}
)


def record(name: str, **fields: Any) -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": [{"name": key, "type": kind} for key, kind in fields.items()]}


CHAIN = record("link", next=["null", "link"])
BOUNDLESS = {
    "a chain": CHAIN, "a chain in a field": record("alert", x=CHAIN), "a tree": record("tree", children={"type": "array", "items": "tree"}),
    "by another": record("a", b=record("b", a=["null", "a"])), "nulls": record("alert", x={"type": "array", "items": "null"}),
    "empty records": {"type": "array", "items": record("empty")}, "records of nulls": {"type": "array", "items": record("none", x="null")},
    "fixed of no bytes": {"type": "array", "items": {"type": "fixed", "name": "f", "size": 0}},
    "known by name": record("alert", one=record("empty"), many={"type": "array", "items": "empty"}),
}  # fmt: skip


@pytest.mark.parametrize("name", BOUNDLESS)
def test_schemas_without_bounds_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"x.avro: its schema has a (type that contains itself|list whose items)"):
        refuse_boundless(fastavro.parse_schema(BOUNDLESS[name]), "x.avro")


def test_the_schemas_of_the_surveys_have_bounds() -> None:
    refuse_boundless(ztf_schema(), "t")
    for version in VERSIONS:
        refuse_boundless(rubin_schema(version), "t")
        if raw_alerts.official_schema(version):
            refuse_boundless(rubin_schema(version, official=True), "t")


def test_a_chain_is_refused_before_it_is_followed(tmp_path: Path) -> None:
    path = tmp_path / "chain.avro"
    with path.open("wb") as file:
        fastavro.writer(file, CHAIN, [{"next": None}])
    content = path.read_bytes()
    end = content.index(b"}", content.rindex(b"fields"))
    assert end > 0
    links = b"\x02" * 500_000 + b"\x00"
    head, sync = content[:-20], content[-16:]
    path.write_bytes(head[: content.index(sync) + 16] + b"\x02" + _zigzag(len(links)) + links + sync)
    with pytest.raises(ValueError, match=r"chain.avro: its schema has a type that contains itself"):
        AlertPackets(path, ZTF).read()


def _zigzag(number: int) -> bytes:
    number, out = number << 1, b""
    while number > 0x7F:
        out, number = out + bytes([number & 0x7F | 0x80]), number >> 7
    return out + bytes([number])
