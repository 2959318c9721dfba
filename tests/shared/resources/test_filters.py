"""Filter values: what each type takes, and that patterns are matched as they are written."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.resources import filters
from shared.resources.filters import ElementFilter, Filter, Kind, choice
from shared.resources.search import MAX_WORDS, prefix_query

KINDS = (
    filters.TEXT,
    filters.KEY,
    filters.INTEGER,
    filters.DECIMAL,
    filters.BOOLEAN,
    filters.ID,
    filters.DATE,
    filters.INSTANT,
    choice("a", "b"),
)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@given(text=st.text(st.characters()))
def test_any_text_is_a_value_or_a_value_error(kind: Kind, text: str) -> None:
    for operator in kind.operators:
        with suppress(ValueError):
            Filter("t.x", kind).value(operator, text)


@given(st.integers(-(2**63), 2**63 - 1))
def test_integers(value: int) -> None:
    assert filters.INTEGER.parse(str(value)) == value


@given(st.decimals(-(10**18), 10**18, places=4))
def test_decimals(value: Any) -> None:
    assert filters.DECIMAL.parse(str(value)) == value


@pytest.mark.parametrize(
    "text", ["9223372036854775808", "-9223372036854775809", "+1", "1_0", " 1", "0x1", "", "-", "\u0661"]
)
def test_no_integers(text: str) -> None:
    with pytest.raises(ValueError, match="whole number"):
        filters.INTEGER.parse(text)


@pytest.mark.parametrize("text", ["1_0", " 1", ".5", "5.", "nan", "inf", "1e99", "0x1", "", "\u0661", "1,5"])
def test_no_decimals(text: str) -> None:
    with pytest.raises(ValueError, match="decimal number"):
        filters.DECIMAL.parse(text)


def test_patterns_take_their_special_characters_literally() -> None:
    declared = Filter("t.x", filters.TEXT)
    assert declared.value("contains", r"50%_\x") == r"%50\%\_\\x%"
    assert declared.value("starts_with", "a%") == r"a\%%"


def test_lists_have_an_end() -> None:
    declared = Filter("t.x", filters.INTEGER)
    assert declared.value("in", ",".join(["1"] * 200)) == [1] * 200
    with pytest.raises(ValueError, match="200"):
        declared.value("in", ",".join(["1"] * 201))


def test_an_unescaped_plus_of_an_offset_is_understood() -> None:
    assert filters.INSTANT.parse("2026-01-31T12:00:00 02:00") == filters.INSTANT.parse("2026-01-31T10:00:00Z")


def test_elements_are_asked_for_by_their_member() -> None:
    declared = ElementFilter("t.emails", filters.TEXT, member="address", search="v")
    assert declared.operators == ("eq",)
    assert declared.value("eq", 'Ä"x') == '[{"address": "Ä\\"x"}]'


@given(st.text(st.characters()))
def test_a_search_is_words_and_nothing_else(text: str) -> None:
    query = prefix_query(text)
    if query is not None:
        words = query.split(" & ")
        assert len(words) <= MAX_WORDS
        assert all(w.startswith("'") and w.endswith("':*") and w[1:-3].isalnum() for w in words)
