"""Merge patches by RFC 7396's own table, JSON Pointers by RFC 6901's, strict JSON."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.problems import Problem
from shared.resources.bodies import json_pointer, merge_patch, parse_json, parse_object

# RFC 7396, appendix A: target, patch, result.
VECTORS: list[tuple[Any, Any, Any]] = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    (["a", "b"], ["c", "d"], ["c", "d"]),
    ({"a": "b"}, ["c"], ["c"]),
    ({"a": "foo"}, None, None),
    ({"a": "foo"}, "bar", "bar"),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)


@pytest.mark.parametrize(("target", "patch", "result"), VECTORS)
def test_the_table_of_the_rfc(target: Any, patch: Any, result: Any) -> None:
    before = json.dumps(target)
    assert merge_patch(target, patch) == result
    assert json.dumps(target) == before


@given(DOCUMENTS, DOCUMENTS)
def test_a_patch_applied_twice_is_applied_once(target: Any, patch: Any) -> None:
    once = merge_patch(target, patch)
    assert merge_patch(once, patch) == once


def test_pointers_escape_as_the_rfc_says() -> None:
    assert json_pointer(()) == ""
    assert json_pointer(("a/b", "m~n", 0, "")) == "/a~1b/m~0n/0/"


@pytest.mark.parametrize(
    "text", [b"", b"nan", b"NaN", b"[1,]", b"{'a': 1}", b'"\xff"', b"1 2", b'{"a": Infinity}', b"[" * 100_000]
)
def test_what_is_no_json_is_refused(text: bytes) -> None:
    with pytest.raises(Problem) as caught:
        parse_json(text)
    assert (caught.value.status, caught.value.code) == (400, "malformed_body")


@given(DOCUMENTS)
def test_what_is_json_is_taken(document: Any) -> None:
    assert parse_json(json.dumps(document).encode()) == document


@pytest.mark.parametrize("text", [b"null", b"1", b"[]", b'"x"', b"true"])
def test_an_object_is_asked_for(text: bytes) -> None:
    with pytest.raises(Problem) as caught:
        parse_object(text)
    assert caught.value.status == 422
