"""Texts as values: what is taken, what it becomes, and what is refused."""

from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from shared.imports.reading import values
from shared.imports.reading.values import Convert, Converter

NEW_YORK = ZoneInfo("America/New_York")
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("convert", "text", "expected"),
    [
        (values.integer(0, 10), " 007 ", "7"),
        (values.integer(None, None), "-12", "-12"),
        (values.decimal, "1,234.50", "1234.50"),
        (values.decimal, "-0.5", "-0.5"),
        (values.boolean, "Yes", "true"),
        (values.boolean, "0", "false"),
        (values.choice(["Won", "Lost"]), "won", "Won"),
        (values.money("USD", Decimal(1)), "1054", "1054.00 USD"),
        (values.money("USD", Decimal(1_000_000)), "1100.04", "1100040000.00 USD"),
        (values.money("JPY", Decimal(1)), "5.0", "5 JPY"),
        (values.plain_date("dmy"), "3/2/2016", "2016-02-03"),
        (values.plain_date("mdy"), "3/2/2016", "2016-03-02"),
        (values.plain_date("dmy"), "2016-10-20", "2016-10-20"),
        (values.plain_date("ymd"), "2016-02-29", "2016-02-29"),
        (values.instant("dmy", ZoneInfo("UTC")), "29/2/2016 07:10", "2016-02-29T07:10:00+00:00"),
        (values.instant("mdy", NEW_YORK), "1/31/2025 23:35", "2025-02-01T04:35:00+00:00"),
        (values.instant("mdy", NEW_YORK), "1/31/2025 11:35 PM", "2025-02-01T04:35:00+00:00"),
        (values.instant("mdy", NEW_YORK), "1/31/2025 12:05 AM", "2025-01-31T05:05:00+00:00"),
        (values.instant("ymd", BERLIN), "2025-01-01T10:00:00+05:00", "2025-01-01T05:00:00+00:00"),
        # Skipped: the offset before the gap holds. Twice: the first.
        (values.instant("ymd", BERLIN), "2025-03-30 02:30", "2025-03-30T01:30:00+00:00"),
        (values.instant("ymd", BERLIN), "2025-10-26 02:30", "2025-10-26T00:30:00+00:00"),
        (values.email, " a.b+c@example.com ", "a.b+c@example.com"),
    ],
)
def test_taken(convert: Convert, text: str, expected: str) -> None:
    assert Converter(convert, "invalid")([text, None]) == ([expected, None], [])


@pytest.mark.parametrize(
    ("convert", "text"),
    [
        (values.integer(0, 10), "11"),
        (values.integer(None, None), "1.0"),
        (values.integer(None, None), "١٢"),
        (values.decimal, "1e3"),
        (values.decimal, "12,34"),
        (values.decimal, ""),
        (values.decimal, "NaN"),
        (values.boolean, "maybe"),
        (values.choice(["Won"]), "Lost"),
        (values.money("USD", Decimal(1)), "1.005"),
        (values.plain_date("dmy"), "31/02/2016"),
        (values.plain_date("dmy"), "1/2/16"),
        (values.plain_date("mdy"), "31/12/2016"),
        (values.instant("dmy", BERLIN), "1/2/2016 24:00"),
        (values.instant("dmy", BERLIN), "1/2/2016 13:00 PM"),
        (values.email, "nobody"),
        (values.text(3), "abcd"),
        (values.text(3), "  "),
    ],
)
def test_refused(convert: Convert, text: str) -> None:
    column, refusals = Converter(convert, "invalid")([None, text])
    assert column == [None, None]
    assert [(position, refusal.code) for position, refusal in refusals] == [(1, "invalid")]


def test_what_is_forgotten_is_converted_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(values, "_REMEMBERED", 2)
    convert = Converter(values.integer(0, 5), "invalid")
    column, refusals = convert([str(number % 8) for number in range(40)])
    assert [position % 8 for position, _ in refusals] == [6, 7] * 5
    assert column[:6] == ["0", "1", "2", "3", "4", "5"]


def test_a_whole_column_of_text_and_one_with_a_fault() -> None:
    convert = Converter(values.text(5), "invalid_text")
    assert convert(["a", None, "b"]) == (["a", None, "b"], [])
    column, refusals = convert(["a", "too long", None])
    assert column == ["a", None, None]
    assert [position for position, _ in refusals] == [1]
