"""CSV's known corner cases, against what their collectors say they mean."""

import json
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from shared.imports.reading.dialect import detect_delimiter
from shared.imports.reading.errors import FileError
from shared.imports.reading.records import Limits
from tests.shared.imports.reading.factory import PUBLISHED, published, read

SPECTRUM = PUBLISHED / "torture" / "csv" / "csv-spectrum" / "csvs"
COLLECTED = PUBLISHED / "torture" / "csv" / "csv-test-data" / "csv"
ABSENT = [pytest.param(None, marks=pytest.mark.skip("the published data is not beside this checkout"))]
# A blank line is no record here: these two hold that it is one of an empty field.
BLANK_LINES = {"all-empty", "empty-one-column"}


def cases(folder: Path) -> list[ParameterSet]:
    found = [path for path in sorted(folder.glob("*.csv")) if not path.name.startswith("bad-")]
    return [pytest.param(path, id=path.stem) for path in found] or ABSENT


def expected(path: Path) -> object:
    return json.loads((path.parent.parent / "json" / f"{path.stem}.json").read_text("utf-8"))


def in_two_ways(data: bytes, *, has_header: bool) -> list[tuple[str, ...]]:
    whole = read(data, has_header=has_header)
    assert whole.errors == []
    assert read(data, cuts=range(len(data)), has_header=has_header, limits=Limits(block=1)) == whole
    return whole.rows


@pytest.mark.parametrize("path", cases(SPECTRUM))
def test_spectrum(path: Path) -> None:
    data = path.read_bytes()
    rows = in_two_ways(data, has_header=True)
    header = read(data).header
    assert [dict(zip(header, row, strict=True)) for row in rows] == expected(path)


@pytest.mark.parametrize("path", cases(COLLECTED))
def test_collected(path: Path) -> None:
    data = path.read_bytes()
    if path.stem == "all-empty":
        with pytest.raises(FileError, match="empty"):
            read(data)
        return
    has_header = path.stem.startswith("header-")
    rows = in_two_ways(data, has_header=has_header)
    if has_header:
        header = read(data).header
        document = [dict(zip(header, row, strict=True)) for row in rows]
        # One record is written as an object, several as a list.
        assert document == expected(path) or document == [expected(path)]
    elif path.stem in BLANK_LINES:
        assert rows == [("foo",)]
    else:
        assert [list(row) for row in rows] == expected(path)


@pytest.mark.parametrize(
    ("name", "row", "line", "code"),
    [
        ("bad-header-less-fields", 1, 2, "truncated_record"),
        ("bad-header-more-fields", 1, 2, "too_many_fields"),
        ("bad-missing-quote", 1, 2, "unclosed_quote"),
        ("bad-quotes-with-unescaped-quote", 1, 2, "text_after_quote"),
        ("bad-unescaped-quote", 1, 2, "quote_in_field"),
    ],
)
def test_what_is_wrong_is_refused(name: str, row: int, line: int, code: str) -> None:
    got = read(published("torture", "csv", "csv-test-data", "csv", f"{name}.csv").read_bytes())
    assert got.rows == []
    assert got.faults() == [(row, line, code)]


def test_an_empty_file_has_no_header() -> None:
    with pytest.raises(FileError):
        read(published("torture", "csv", "csv-test-data", "csv", "bad-header-no-header.csv").read_bytes())


@pytest.mark.parametrize("path", [*cases(SPECTRUM), *cases(COLLECTED)])
def test_the_delimiter_is_found(path: Path) -> None:
    assert detect_delimiter(path.read_text("utf-8")) == ","
