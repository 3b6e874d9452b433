"""Which Avro schemas are decoded: those whose packets take no more memory, and go no deeper, than their bytes."""

from collections.abc import Mapping
from typing import Any

from tlclass.quoting import shortened

PRIMITIVE = ("null", "boolean", "int", "long", "float", "double", "bytes", "string")


def refuse_boundless(schema: Any, origin: str) -> None:
    """Look at a schema before a packet is decoded by it; those of ZTF and of Rubin are neither of what is refused.

    Raises:
        ValueError: a type contains itself, so that a few bytes nest without end, or a list has items of no bytes, so that a
            few bytes state as many as they like.
    """
    _bytes(schema, {}, (), origin)


def _bytes(schema: Any, known: dict[str, Any], inside: tuple[str, ...], origin: str) -> bool:
    """Whether a value of this schema takes a byte at least; `known` types by name, `inside` those around it."""
    if isinstance(schema, str):
        if schema in PRIMITIVE:
            return schema != "null"
        if schema in inside:
            raise ValueError(
                f"{origin}: its schema has a type that contains itself, {shortened(schema)}: no alert of ZTF or Rubin has one"
            )
        return _bytes(known[schema], known, inside, origin) if schema in known else True
    if isinstance(schema, list):
        for part in schema:
            _bytes(part, known, inside, origin)
        return True  # the number of the branch
    if not isinstance(schema, Mapping):
        return True
    kind = schema.get("type")
    if kind in ("array", "map"):
        solid = _bytes(schema.get("items", schema.get("values")), known, inside, origin)
        if kind == "array" and not solid:
            raise ValueError(
                f"{origin}: its schema has a list whose items take no bytes: no alert of ZTF or Rubin has one"
            )
        return True
    if kind in ("record", "error"):
        return _record(schema, known, inside, origin)
    if kind in ("fixed", "enum"):
        known[str(schema.get("name"))] = schema
        return kind == "enum" or schema.get("size") != 0
    return _bytes(kind, known, inside, origin)


def _record(schema: Mapping[str, Any], known: dict[str, Any], inside: tuple[str, ...], origin: str) -> bool:
    name = str(schema.get("name"))
    known[name] = schema
    fields = [_bytes(field.get("type"), known, (*inside, name), origin) for field in schema.get("fields", ())]
    return any(fields)
