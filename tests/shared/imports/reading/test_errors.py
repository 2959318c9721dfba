"""The file of errors."""

import csv
import io

import pytest

from shared.imports.reading.errors import RowError, error_file_header, error_file_row, shown


def fields_of(error: RowError) -> dict[str, str]:
    text = error_file_header() + error_file_row(error)
    return next(iter(csv.DictReader(io.StringIO(text, newline=""))))


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_no_spreadsheet_runs_a_value(start: str) -> None:
    value = f'{start}HYPERLINK("http://x","y")'
    fields = fields_of(RowError(3, 4, f"{start}name", "invalid_text", "is wrong", value))
    assert fields["value"] == f"'{value}"
    assert fields["column"] == f"'{start}name"
    assert (fields["row"], fields["line"], fields["reason"]) == ("3", "4", "is wrong")


def test_harmless_values_stay_as_they_are() -> None:
    fields = fields_of(RowError(1, 2, None, "c", "r", 'a, "b"\n=c'))
    assert (fields["column"], fields["value"]) == ("", 'a, "b"\n=c')


def test_what_is_shown_can_be_stored() -> None:
    assert shown(None) is None
    assert shown("a\x00b\udce9") == "a\\x00b\\udce9"
    assert len(shown("x" * 10_000) or "") == 201
