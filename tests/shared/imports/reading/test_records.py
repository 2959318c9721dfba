"""Records: what is read, what is refused, and that numbers and places are exact."""

import csv
import io
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.imports.reading import records
from shared.imports.reading.dialect import Dialect
from shared.imports.reading.encoding import Encoding
from shared.imports.reading.errors import FileError
from shared.imports.reading.records import Limits
from tests.shared.imports.reading.factory import Read, read

TINY = Limits(block=3)


def test_columns_numbers_and_lines() -> None:
    got = read(b"a,b\n1,2\n3,4\n")
    assert got == Read(("a", "b"), [("1", "2"), ("3", "4")], [1, 2], [2, 3], [])


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_and_blank_lines(end: str) -> None:
    data = end.join(["", "a,b", "1,2", "", '"x', 'y",4', "", "5,6", ""]).encode()
    for limits in (Limits(), TINY):
        got = read(data, limits=limits)
        assert got.rows == [("1", "2"), (f"x{end}y", "4"), ("5", "6")]
        assert (got.numbers, got.lines, got.errors) == ([1, 2, 3], [3, 5, 8], [])


def test_a_record_with_the_wrong_number_of_fields_shifts_nothing() -> None:
    got = read(b'a,b\n1,2\n1\n3,4\n1,"2\n2",3\n5,6\n')
    assert got.rows == [("1", "2"), ("3", "4"), ("5", "6")]
    assert (got.numbers, got.lines) == ([1, 3, 5], [2, 4, 7])
    assert got.faults() == [(2, 3, "too_few_fields"), (4, 5, "too_many_fields")]
    assert got.errors[0].value == "1"


def test_fields_that_even_out_are_no_good_records() -> None:
    """The number of fields of the whole block is right, of the records is not."""
    got = read(b"a,b\n1,2,3\n4\n5,6\n")
    assert got.rows == [("5", "6")]
    assert got.faults() == [(1, 2, "too_many_fields"), (2, 3, "too_few_fields")]


def test_text_after_a_closing_quote() -> None:
    got = read(b'a,b\n1,"2" x\n3,4\n"5\n5"5,6\n7,8\n')
    assert got.rows == [("3", "4"), ("7", "8")]
    assert got.numbers == [2, 4]
    assert got.faults() == [(1, 2, "text_after_quote"), (3, 5, "text_after_quote")]
    assert got.errors[0].column == "b"
    assert "begins in line 4" in got.errors[1].reason


def test_a_quote_inside_an_unquoted_field() -> None:
    got = read(b'a,b\n1,6" pipe\n"3",4\n')
    assert got.rows == [("3", "4")]
    assert got.faults() == [(1, 2, "quote_in_field")]
    assert (got.errors[0].column, got.errors[0].value) == ("b", '6" pipe')


def test_a_record_with_a_stray_quote_ends_with_its_line() -> None:
    got = read(b'a,b\n1"1,"2\n3,4\n5,6\n')
    assert got.rows == [("3", "4"), ("5", "6")]
    assert got.faults() == [(1, 2, "quote_in_field")]


def test_a_quote_never_closed_names_its_line_and_accepts_nothing_after_it() -> None:
    data = b'a,b\n1,2\nx\n3,"4\n5,6\n7,8\n'
    for limits in (Limits(), TINY):
        got = read(data, limits=limits)
        assert got.rows == [("1", "2")]
        assert got.faults() == [(2, 3, "too_few_fields"), (3, 4, "unclosed_quote")]
        assert got.errors[1].column == "b"


def test_the_last_record_cut_off() -> None:
    got = read(b"a,b,c\n1,2,3\n4,5")
    assert got.rows == [("1", "2", "3")]
    assert got.faults() == [(2, 3, "truncated_record")]


def test_the_last_line_end_may_be_missing() -> None:
    assert read(b"a,b\n1,2").rows == [("1", "2")]
    assert read(b"a,b").rows == []


def test_nul_is_refused_in_its_row_only() -> None:
    got = read(b"a,b\n1,2\n3,\x00\n5,6\n")
    assert got.rows == [("1", "2"), ("5", "6")]
    assert got.faults() == [(2, 3, "nul_character")]
    assert (got.errors[0].column, got.errors[0].value) == ("b", "\\x00")


@pytest.mark.parametrize("data", [b"", b"\n\r\n\n", b"\xef\xbb\xbf", b"\xff\xfe"])
def test_an_empty_file(data: bytes) -> None:
    with pytest.raises(FileError, match="empty"):
        read(data)


def test_a_header_that_cannot_be_read() -> None:
    with pytest.raises(FileError, match=r"Line 2: .*quote"):
        read(b'\na,b"c\n1,2\n')
    with pytest.raises(FileError, match=r"Line 1: .*never closed"):
        read(b'a,"b\n1,2\n', limits=TINY)


def test_repeated_and_missing_names() -> None:
    assert read(b"number,category,category, ,category\n").header == (
        "number",
        "category",
        "category#2",
        "4",
        "category#3",
    )


def test_a_file_without_a_header() -> None:
    got = read(b"\n1,2\n3,4\n", has_header=False)
    assert got.header == ("1", "2")
    assert (got.rows, got.numbers, got.lines) == ([("1", "2"), ("3", "4")], [1, 2], [2, 3])


def test_a_header_over_several_blocks_and_lines() -> None:
    got = read(b'"a\nlong\nname",b\n1,2\n', limits=TINY)
    assert (got.header, got.rows, got.lines) == (("a\nlong\nname", "b"), [("1", "2")], [4])


def test_a_column_that_is_missing_is_named_with_its_like() -> None:
    def columns(*expected: str) -> tuple[str, ...]:
        reader = records.RecordReader(
            [b"account,sector\n1,2\n"], Dialect(), Encoding("utf-8", True), expected=expected
        )
        return reader.header

    assert columns("sector") == ("account", "sector")
    with pytest.raises(FileError, match=r"no column 'acount' .did you mean 'account'"):
        columns("acount", "sector")
    with pytest.raises(FileError, match="none of the mapped columns is in the header"):
        columns("number", "opened_at")


def test_quotes_that_are_no_quotes() -> None:
    got = read(b'a\tb\n"1\t2"\n', Dialect("\t", None))
    assert got.rows == [('"1', '2"')]


def test_space_before_a_quote() -> None:
    assert read(b'a, b\n1, "2, 3"\n').faults() == [(1, 2, "quote_in_field")]
    got = read(b'a, b\n1, "2, 3"\n', Dialect(skip_initial_space=True))
    assert got.rows == [("1", "2, 3")]


def test_a_field_that_is_too_long() -> None:
    limits = Limits(block=64, field=100, record=10_000)
    data = b"a,b\n1,2\n3," + b"x" * 101 + b"\n5,6\n" + b'7,"' + b"y\n" * 60 + b'"\n8,9\n'
    got = read(data, limits=limits)
    assert got.rows == [("1", "2"), ("5", "6"), ("8", "9")]
    assert got.numbers == [1, 3, 5]
    assert got.lines == [2, 4, 66]
    assert got.faults() == [(2, 3, "field_too_long"), (4, 5, "field_too_long")]


@pytest.mark.parametrize("body", [b"x" * 5000, b'"' + b"x,\n" * 2000 + b'"'])
def test_a_record_that_is_too_long_is_skipped_without_being_held(body: bytes) -> None:
    limits = Limits(block=64, field=500, record=1000)
    got = read(b"a,b\n1,2\n3," + body + b"\n5,6\n", limits=limits)
    assert got.rows == [("1", "2"), ("5", "6")]
    assert (got.numbers, got.lines) == ([1, 3], [2, 4 + body.count(b"\n")])
    assert got.faults() == [(2, 3, "record_too_long")]
    assert got.errors[0].value is not None
    assert len(got.errors[0].value) < 300


def test_a_wrong_byte_refuses_its_row_only() -> None:
    data = b"a,b\n1,2\n3,caf\xe9\n5,6\n"
    for limits in (Limits(), TINY):
        got = read(data, encoding="utf-8", limits=limits)
        assert got.rows == [("1", "2"), ("5", "6")]
        assert got.faults() == [(2, 3, "encoding")]
        assert (got.errors[0].column, got.errors[0].value) == ("b", "caf\\udce9")
        assert "declared" in got.errors[0].reason


def test_memory_does_not_grow_with_the_file() -> None:
    """Batches of a block each, however large the chunks are."""
    data = b"a,b\n" + b"1,2\n" * 100_000
    reader = records.RecordReader([data], Dialect(), Encoding("utf-8", True), limits=Limits(block=1024))
    assert max(len(batch.rows) for batch in reader) < 1000


_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=6)
_CELL = _TEXT | st.text('ab,;"\n\r\t |\x1d\x1e\x1f', max_size=5)


@st.composite
def tables(draw: st.DrawFn) -> list[list[str]]:
    width = draw(st.integers(2, 4))
    return draw(st.lists(st.lists(_CELL, min_size=width, max_size=width), min_size=1, max_size=8))


def written(table: list[list[str]], *, delimiter: str, end: str, quoting: int, encoding: str) -> bytes:
    return "".join(line(row, delimiter, quoting).removesuffix("\r\n") + end for row in table).encode(encoding)


def line(row: list[str], delimiter: str, quoting: int) -> str:
    """The writer quotes only the line ends that it writes itself: here both."""
    file = io.StringIO(newline="")
    csv.writer(file, delimiter=delimiter, lineterminator="\r\n", quoting=quoting).writerow(row)  # type: ignore[arg-type]
    return file.getvalue()


@settings(max_examples=400)
@given(
    table=tables(),
    delimiter=st.sampled_from(",;\t|"),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le"]),
    block=st.integers(1, 40),
    data=st.data(),
)
def test_whatever_a_csv_writer_writes_reads_back(
    table: list[list[str]],
    delimiter: str,
    end: str,
    quoting: int,
    encoding: str,
    block: int,
    data: st.DataObject,
) -> None:
    content = written(
        [["x"] * len(table[0]), *table], delimiter=delimiter, end=end, quoting=quoting, encoding=encoding
    )
    cuts = data.draw(st.lists(st.integers(0, len(content)), max_size=10))
    got = read(content, Dialect(delimiter), cuts=cuts, encoding=encoding, limits=Limits(block=block))
    assert got.rows == [tuple(row) for row in table]
    assert got.errors == []
    assert got.numbers == list(range(1, len(table) + 1))
    heights = [1 + "\0".join(row).replace("\r\n", "\n").replace("\r", "\n").count("\n") for row in table]
    assert got.lines == [2 + sum(heights[:number]) for number in range(len(table))]


@settings(max_examples=600)
@given(
    body=st.text('a,"\n\r\x00\x1f', max_size=40),
    block=st.integers(1, 30),
    escape=st.sampled_from([None, "a"]),
)
def test_any_text_reads_alike_however_it_is_cut(body: str, block: int, escape: str | None) -> None:
    """Also when it is wrong: the same good rows and the same errors."""
    content = ("x,y\n" + body).encode()
    dialect = Dialect(escape=escape)
    assert read(content, dialect, limits=Limits(block=block)) == read(content, dialect)


@settings(max_examples=600)
@given(body=st.text('a,"\n\r\x1d\x1e', max_size=40))
def test_the_fast_way_and_the_exact_way_agree(body: str) -> None:
    content = ("x,y\n" + body).encode()
    fast = read(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(records, "split_clean", lambda *_: None)
        assert read(content) == fast


@settings(max_examples=300)
@given(
    cells=st.lists(
        st.lists(st.sampled_from(["a", "", "b c", '"q"', '"x\ny"', '"d""d"']), min_size=3, max_size=3)
    ),
    lines=st.data(),
)
def test_a_bad_record_changes_no_other(cells: list[list[str]], lines: st.DataObject) -> None:
    good = [",".join(row) for row in cells]
    bad = lines.draw(
        st.lists(st.sampled_from(["a", "a,b,c,d", 'a"b,c,d', '"a"b,c,d', "a,b,\x00"]), max_size=4)
    )
    mixed = lines.draw(st.permutations([*good, *bad]))
    got = read(("h1,h2,h3\n" + "".join(line + "\n" for line in mixed)).encode())
    alone = read(("h1,h2,h3\n" + "".join(line + "\n" for line in mixed if line in good)).encode())
    assert got.rows == alone.rows
    assert got.numbers == [number for number, line in enumerate(mixed, start=1) if line not in bad]
    assert len(got.errors) == len(bad)
    assert all(a < b for a, b in pairwise(got.lines))
