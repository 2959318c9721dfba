"""What YAML is taken for, what is refused, and that each thing has its place."""

import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.documents import strict_yaml
from services.gateway.documents.strict_yaml import MAX_CHARACTERS, MAX_DEPTH, read_yaml


@pytest.fixture(params=["CSafeLoader", "SafeLoader"], autouse=True)
def loader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both of PyYAML's parsers: libyaml's, and the one that is always there."""
    monkeypatch.setattr(strict_yaml, "_LOADER", getattr(yaml, request.param))


def refusals(text: str) -> list[str]:
    return [str(complaint) for complaint in read_yaml(text).complaints]


@pytest.mark.parametrize(
    ("scalar", "value"),
    [
        *[("true", True), ("True", True), ("FALSE", False), ("null", None), ("~", None), ("", None)],
        *[("0", 0), ("-12", -12), ("+7", 7), ("8080", 8080)],
        *[("0.5", 0.5), ("-1.", -1.0), (".5", 0.5), ("1e3", 1000.0), ("1.5E-05", 1.5e-05)],
        *[("word", "word"), ("tRue", "tRue"), ("127.0.0.1:80", "127.0.0.1:80"), ("1.2.3", "1.2.3")],
        *[("y", "y"), ("10.0.0.0/8", "10.0.0.0/8"), ("customers-1", "customers-1"), ("/v1", "/v1")],
        *[("'no'", "no"), ('"08"', "08"), ("'12:30'", "12:30"), ("|-\n  no", "no"), (">-\n  1\n  2", "1 2")],
    ],
)
def test_plain_values(scalar: str, value: Any) -> None:
    reading = read_yaml(f"a: {scalar}\n")
    assert reading.complaints == []
    assert reading.content == {"a": value}
    assert type(reading.content["a"]) is type(value)


@pytest.mark.parametrize(
    "scalar",
    [
        *["no", "No", "NO", "yes", "on", "Off"],
        *["08", "010", "-017", "00", "0x1f", "0b11", "0o17"],
        *["1_000", "1_000.5", "12:30", "12:30:45", "190:20:30.15"],
        *["2026-01-01", "2026-01-01T00:00:00Z", "=", "<<"],
        "9" * 400,
    ],
)
def test_what_could_be_two_things_is_refused(scalar: str) -> None:
    (refusal,) = refusals(f"a:\n  b: {scalar}\n")
    assert refusal.startswith(f"2:6: a.b: {scalar[:40]}")
    assert "quotes" in refusal


def test_a_refusal_says_what_to_write() -> None:
    assert refusals("public: no") == [
        "1:9: public: no is true or false in YAML 1.1 and text in YAML 1.2: "
        "write true or false, or put it in quotes"
    ]


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**12), 10**12)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="ascii", min_codepoint=32), max_size=10),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text("abc:-", max_size=4), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(json_values)
def test_json_is_read_as_json(value: Any) -> None:
    reading = read_yaml(json.dumps(value))
    assert reading.complaints == []
    assert json.loads(json.dumps(reading.content)) == value


def test_lists_are_tuples_and_everything_has_its_place() -> None:
    reading = read_yaml("a:\n  - {b: 1}\n  - 2\nc:\n  d: x\n")
    assert reading.content == {"a": ({"b": 1}, 2), "c": {"d": "x"}}
    assert reading.position(("a", 0, "b")) == (2, 6)
    assert reading.position(("a", 1)) == (3, 5)
    assert reading.position(("c", "d")) == (5, 3)
    assert reading.position(("c", "missing")) == (4, 1)
    assert reading.position(("nowhere", 3)) == (1, 1)


def test_a_key_appears_once() -> None:
    assert refusals("a: 1\nb: {c: 1, c: 2}\na: 3") == [
        "3:1: a: appears twice, first in line 1",
        "2:11: b.c: appears twice, first in line 2",
    ]


@pytest.mark.parametrize("text", ["1: x", "true: x", "? [a]\n: x", "? {a: b}\n: x", "~: x"])
def test_keys_are_text(text: str) -> None:
    (refusal,) = refusals(text)
    assert refusal.endswith("a key must be text: put it in quotes")


def test_an_ambiguous_key_is_refused() -> None:
    (refusal,) = refusals("on: x")
    assert refusal.startswith("1:1: the document: on is true or false in YAML 1.1")


@pytest.mark.parametrize("tag", ["!!int", "!!python/object:os.system", "!own", "!"])
def test_tags_are_refused(tag: str) -> None:
    (refusal,) = refusals(f"a: {tag} x")
    assert refusal == f"1:4: the document: the tag {tag} is not taken: write the plain value"


def test_aliases_and_merge_keys() -> None:
    reading = read_yaml(
        "a: &a\n  x: 1\n  y: 2\nb: *a\nc: {<<: *a, y: 3}\nd: {<<: [{x: 7}, *a]}\ne: {z: 0, <<: {<<: *a, x: 9}}\n"
    )
    assert reading.complaints == []
    assert reading.content["b"] == {"x": 1, "y": 2}
    assert reading.content["c"] == {"x": 1, "y": 3}
    assert reading.content["d"] == {"x": 7, "y": 2}
    assert reading.content["e"] == {"x": 9, "y": 2, "z": 0}
    # A mistake in what an alias brings is shown where it can be mended.
    assert reading.position(("c", "x")) == (2, 3)
    assert reading.position(("c", "y")) == (5, 13)


def test_a_quoted_merge_key_is_a_key() -> None:
    assert read_yaml("'<<': 1").content == {"<<": 1}


@pytest.mark.parametrize("text", ["a: {<<: 1}", "a: {<<: [1]}", "a: {<<: [[]]}"])
def test_only_mappings_are_merged(text: str) -> None:
    assert "only mappings can be merged in" in refusals(text)[0]


@pytest.mark.parametrize("text", ["&a [*a]", "a: &a {b: {c: *a}}", "a: &a {<<: *a}"])
def test_what_contains_itself_is_refused(text: str) -> None:
    assert "contains itself by an alias" in refusals(text)[0]


def laughs(first: str, more: str) -> str:
    """Nine lines, each of them nine times the one before."""
    lines = [first]
    for letter, former in zip("bcdefghij", "abcdefghi", strict=True):
        lines.append(more.format(letter, ", ".join([f"*{former}"] * 9)))
    return "\n".join(lines)


@pytest.mark.parametrize(
    "text",
    [
        laughs("a: &a [ha, ha, ha]", "{0}: &{0} [{1}]"),
        laughs("a: &a {x: 1}", "{0}: &{0} {{{0}x: 1, <<: [{1}]}}"),
    ],
)
def test_a_billion_laughs_are_refused(text: str) -> None:
    assert refusals(text)[-1].endswith("comes to more than 250000 values with its aliases")


def test_depth_and_size_are_bounded() -> None:
    assert refusals("[" * MAX_DEPTH + "]" * MAX_DEPTH) == []
    assert "nested more than 32 levels deep" in refusals("[" * 100_000)[0]
    assert "longer than" in refusals("a" * (MAX_CHARACTERS + 1))[0]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a: b: c", "1:5"),
        ("a: 1\n\tb: 2", "2:1"),
        ("a: 1\n---\nb: 2", "2:1"),
        ("a: *nobody", "1:4"),
        ("a: \x07", "1:4"),
        ("a: 1\nb: x\ufffe", "2:5"),
    ],
)
def test_what_is_no_yaml_has_a_place_too(text: str, place: str) -> None:
    (refusal,) = refusals(text)
    assert refusal.startswith(f"{place}: the document: not YAML: ")


@given(st.text(max_size=60))
def test_any_text_is_either_read_or_refused(text: str) -> None:
    reading = read_yaml(text)
    assert reading.content is None or isinstance(reading.content, bool | int | float | str | tuple | dict)


def test_an_empty_text_has_no_content() -> None:
    assert read_yaml("# nothing\n") == read_yaml("")
    assert read_yaml("").content is None
