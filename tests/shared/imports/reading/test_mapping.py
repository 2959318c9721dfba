"""The mapping document: what it refuses, and where it says so."""

from typing import Any

import pytest
from pydantic import ValidationError

from shared.imports.reading.mapping import DialectRule, Mapping

DOCUMENT: dict[str, Any] = {
    "resource": "deals",
    "key": {"source": "maven", "column": "opportunity_id"},
    "columns": {"product": {"from": "product", "map": {"GTXPro": "GTX Pro"}}},
}


def test_short_forms() -> None:
    mapping = Mapping.model_validate({**DOCUMENT, "columns": {"name": "account"}, "null": "?"})
    assert mapping.columns["name"].from_ == ("account",)
    assert mapping.null == ("?",)
    assert mapping.used_columns() == {"account", "opportunity_id"}


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"encoding": "klingon"}, ("encoding",)),
        ({"zone": "Mars/Base"}, ("zone",)),
        ({"date_order": "ydm"}, ("date_order",)),
        ({"dialect": {"delimiter": '"'}}, ("dialect",)),
        ({"dialect": {"delimiter": ";;"}}, ("dialect", "delimiter")),
        ({"columns": {"amount": {"from": "v", "currency": "XXQ"}}}, ("columns", "amount")),
        ({"columns": {"name": {}}}, ("columns", "name")),
        ({"columns": {"name": {"from": "a", "formt": "b"}}}, ("columns", "name", "formt")),
        ({"on_eror": "skip"}, ("on_eror",)),
    ],
)
def test_errors_name_the_place(change: dict[str, Any], place: tuple[str, ...]) -> None:
    with pytest.raises(ValidationError) as caught:
        Mapping.model_validate({**DOCUMENT, **change})
    assert [error["loc"] for error in caught.value.errors()] == [place]


def test_the_dialect_of_a_sample() -> None:
    assert DialectRule().for_sample("a;b\n1;2\n").delimiter == ";"
    assert DialectRule(quote=None, escape=";").for_sample("a;b|c\n").delimiter == "|"
    assert DialectRule(delimiter="\t").for_sample("a,b\n").delimiter == "\t"
