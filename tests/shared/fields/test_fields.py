"""Field types: what they take, what they refuse, and how they write it again."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from shared.fields import (
    CountryCode,
    Domain,
    Email,
    Instant,
    Line,
    LocaleTag,
    Money,
    PlainDate,
    ZoneName,
    format_instant,
    parse_instant,
)
from shared.fields.money import _MINOR_UNITS, minor_units


def takes(kind: Any, value: Any) -> bool:
    """Whether the type takes a JSON value."""
    try:
        TypeAdapter(kind).validate_python(value)
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize("currency", sorted(_MINOR_UNITS))
def test_every_currency_has_its_decimals(currency: str) -> None:
    units = minor_units(currency)
    assert units is not None
    money = TypeAdapter(Money).validate_python({"amount": "12", "currency": currency})
    assert str(money.amount) == "12" + ("." + "0" * units if units else "")
    finest = "0." + "0" * (units - 1) + "1" if units else "1"
    assert takes(Money, {"amount": finest, "currency": currency})
    assert not takes(Money, {"amount": "0." + "0" * units + "1", "currency": currency})
    assert takes(Money, {"amount": "1." + "0" * (units + 1), "currency": currency})


@pytest.mark.parametrize(
    "amount",
    [1, 1.5, "1e3", "", ".", "1.", ".5", "--1", "+1", " 1", "1,5", "NaN", "1" * 19, "\u0661", None, True],
)
def test_amounts_are_plain_decimal_strings(amount: Any) -> None:
    assert not takes(Money, {"amount": amount, "currency": "EUR"})


def test_money_is_no_less_and_no_more_than_amount_and_currency() -> None:
    for wrong in ({}, {"amount": "1"}, {"currency": "EUR"}, {"amount": "1", "currency": "eur"}):
        assert not takes(Money, wrong)
    assert not takes(Money, {"amount": "1", "currency": "EUR", "x": 1})
    assert not takes(Money, {"amount": "1", "currency": "XXX"})


@given(st.decimals(-(10**15), 10**15, places=2, allow_nan=False))
def test_money_makes_the_round_trip(amount: Decimal) -> None:
    kind = TypeAdapter(Money)
    money = kind.validate_python({"amount": format(amount, "f"), "currency": "EUR"})
    assert kind.validate_json(kind.dump_json(money)) == money
    assert money.amount == amount


@given(st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30)), st.integers(-1439, 1439))
def test_instants_make_the_round_trip_in_utc(local: datetime, minutes: int) -> None:
    value = local.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    text = format_instant(value)
    assert text.endswith("Z")
    assert parse_instant(text) == value
    assert parse_instant(value.isoformat()) == value


def test_fractions_are_written_without_trailing_zeros() -> None:
    assert format_instant(datetime(2026, 1, 31, 12, 0, 0, 500_000, UTC)) == "2026-01-31T12:00:00.5Z"
    assert format_instant(datetime(2026, 1, 31, tzinfo=UTC)) == "2026-01-31T00:00:00Z"


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-31",
        "2026-01-31T12:00:00",
        "2026-02-30T12:00:00Z",
        "x",
        "",
        1769860800,
        None,
        "0001-01-01T00:00:00+23:00",
    ],
)
def test_no_instants(text: Any) -> None:
    assert not takes(Instant, text)


@pytest.mark.parametrize("text", ["2026-1-1", "20260131", "2026-02-30", "2026-01-31T00:00:00Z", "", 1, None])
def test_no_dates(text: Any) -> None:
    assert not takes(PlainDate, text)


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=300))
def test_a_line_is_kept_as_it_is(text: str) -> None:
    if text.strip():
        assert TypeAdapter(Line).validate_python(text) == text
    else:
        assert not takes(Line, text)


@pytest.mark.parametrize("text", ["", " ", "\u3000", "a\x00b", "\ud800", "x" * 301])
def test_no_lines(text: str) -> None:
    assert not takes(Line, text)


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (
            Email,
            ["a@b.co", "Ä.b+c@exämple.com", "A@B.CO"],
            ["a", "a@", "@b.co", "a@b", "a b@c.de", "a@b..de"],
        ),
        (Domain, ["example.com", "ä.de", "a-b.co.uk"], ["example", "http://x.de", "-a.de", "a..de", "x.de/"]),
        (LocaleTag, ["de", "pt-BR", "zh-Hant-TW"], ["d", "de_DE", "de-", "", "deutsch-land", "de\n"]),
        (ZoneName, ["Europe/Berlin", "UTC"], ["Berlin", "europe/berlin", "", "Mars/Base", "../etc"]),
        (CountryCode, ["DE"], ["de", "DEU", "", "D1", "DE\n"]),
    ],
)
def test_formats(kind: Any, good: list[str], bad: list[str]) -> None:
    assert [one for one in good if not takes(kind, one)] == []
    assert [one for one in bad if takes(kind, one)] == []
