"""Valid bodies out of a document's JSON Schema: the least that is taken, and everything at once.

Each body is made from a number, so that bodies of different numbers differ wherever the schema lets them.
"""

import re
from collections.abc import Mapping
from typing import Any

Schema = Mapping[str, Any]
_BY_FORMAT = {
    "email": "Person.{n}@Example.com",
    "idn-email": "Person.{n}@Example.com",
    "hostname": "site{n}.example.com",
    "idn-hostname": "site{n}.example.com",
    "date": "2024-03-{day:02}",
    "date-time": "2024-03-{day:02}T10:00:00Z",
    "time-zone": "Europe/Berlin",
    "uri": "https://example.com/{n}",
    "uuid": "0191b1a0-0000-7000-8000-{n:012}",
}
_PATTERNED = ("pt-BR", "DE", "1234.50", "{n}", "a{n}", "A{n}", "+49 30 {n}", "12:00")


def minimal(schema: Schema, number: int = 0) -> dict[str, Any]:
    """Only what is required."""
    required = set(schema.get("required", ()))
    return {
        name: value_of(member, schema, name, number)
        for name, member in schema["properties"].items()
        if name in required
    }


def full(schema: Schema, number: int = 0, *, without: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Every member but `without`."""
    return {
        name: value_of(member, schema, name, number)
        for name, member in schema["properties"].items()
        if name not in without
    }


def value_of(member: Schema, root: Schema, name: str, number: int) -> Any:
    """One value that the schema takes. Raises ValueError where a hook in `bodies.py` is needed instead."""
    member = resolved(member, root)
    if "const" in member:
        return member["const"]
    if "enum" in member:
        # Currencies differ in their decimals, so an amount is made for the euro.
        return "EUR" if "EUR" in member["enum"] else member["enum"][number % len(member["enum"])]
    kind = member.get("type")
    if kind == "object":
        return _object(member, root, number)
    if kind == "array":
        count = max(member.get("minItems", 0), min(2, member.get("maxItems", 2)))
        return [value_of(member["items"], root, name, 2 * number + i) for i in range(count)]
    return _scalar(member, name, number)


def _object(member: Schema, root: Schema, number: int) -> dict[str, Any]:
    if "properties" not in member:
        return {f"name {number}": f"value {number}"}
    return full({**member, "$defs": root.get("$defs", {})}, number)


def _scalar(member: Schema, name: str, number: int) -> Any:
    match member.get("type"):
        case "integer" | "number":
            return member.get("minimum", 0) + number % (member.get("maximum", 100) - member.get("minimum", 0))
        case "boolean":
            return number % 2 == 0
        case "string":
            return _text(member, name, number)
        case _:
            raise ValueError(f"{name}: no value for {member}")


def resolved(member: Schema, root: Schema) -> Schema:
    """The schema behind a reference, and of several alternatives the first that is not null."""
    for alternatives in ("anyOf", "oneOf"):
        if alternatives in member:
            chosen = next(one for one in member[alternatives] if one.get("type") != "null")
            return resolved(chosen, root)
    if "$ref" in member:
        return resolved(root["$defs"][member["$ref"].rpartition("/")[2]], root)
    return member


def _text(member: Schema, name: str, number: int) -> str:
    values = {"n": number, "day": number % 27 + 1}
    if "format" in member:
        return _BY_FORMAT[member["format"]].format(**values)
    if "pattern" in member:
        samples = [sample.format(**values) for sample in _PATTERNED]
        return next(sample for sample in samples if re.search(member["pattern"], sample))
    text = f"{name.replace('_', ' ').capitalize()} {number:03}"
    return text.ljust(member.get("minLength", 0), "x")[: member.get("maxLength", 1000)]
