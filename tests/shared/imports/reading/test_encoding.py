"""Which encoding a file has, and what becomes of bytes that do not fit it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.imports.reading.dialect import Dialect
from shared.imports.reading.encoding import Encoding, check_encoding, choose_encoding
from shared.imports.reading.records import Limits, RecordReader
from tests.shared.imports.reading.factory import read


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"a,b\n", "utf-8"),
        ("a,é\n".encode(), "utf-8"),
        ("a,é\n".encode("utf-8-sig"), "utf-8"),
        ("a,é\n".encode("utf-16"), "utf-16-le"),
        ("\ufeffa,é\n".encode("utf-16-be"), "utf-16-be"),
        ("a,é\n".encode("cp1252"), "windows-1252"),
        ("a,é".encode()[:-1], "utf-8"),  # a sample ends anywhere
        (b"", "utf-8"),
    ],
)
def test_detected(data: bytes, name: str) -> None:
    found = choose_encoding(None, data)
    assert (found.name, found.declared) == (name, False)


@pytest.mark.parametrize(
    ("declared", "data", "expected"),
    [
        ("UTF-8", b"\xef\xbb\xbfa", Encoding("utf-8", True, 3)),
        ("utf-8-sig", b"a", Encoding("utf-8", True)),
        ("utf-16", b"\xfe\xff\x00a", Encoding("utf-16-be", True, 2)),
        ("utf-16", b"a\x00", Encoding("utf-16-le", True)),
        ("latin1", b"\xef\xbb\xbf", Encoding("iso8859-1", True)),
        ("windows-1252", b"a", Encoding("cp1252", True)),
    ],
)
def test_declared(declared: str, data: bytes, expected: Encoding) -> None:
    assert choose_encoding(declared, data) == expected


@pytest.mark.parametrize(
    "name", ["", "klingon", "zip", "hex", "rot13", "utf-7", "unicode_escape", "idna", "a\x00b"]
)
def test_what_is_no_encoding_of_files(name: str) -> None:
    with pytest.raises(ValueError, match="encoding"):
        check_encoding(name)


def test_a_later_byte_that_does_not_fit_says_that_the_encoding_was_recognised() -> None:
    data = b"a,b\n" + b"1,2\n" * 3 + b"3,\xe9\n" + b"5,6\n"
    reader = RecordReader([data], Dialect(), choose_encoding(None, data[:8]), limits=Limits(block=5))
    errors = [error for batch in reader for error in batch.errors]
    assert [(error.row, error.line, error.code) for error in errors] == [(4, 5, "encoding")]
    assert "recognised" in errors[0].reason


@pytest.mark.parametrize(
    ("encoding", "data", "row"),
    [
        ("cp1252", b"a,b\n1,\x81\n3,4\n", 1),
        ("shift_jis", b"a,b\n1,2\n3,\x80\n", 2),
        ("utf-16-le", "a,b\n1,\n3,4\n".encode("utf-16-le").replace(b"1\x00,\x00", b"1\x00,\x00\x00\xd8"), 1),
        ("utf-16-le", "a,b\n1,2\n3,4".encode("utf-16-le") + b"\x35", 2),
        ("utf-8", b"a,b\n1,2\n3,4\xe2\x82", 2),
    ],
)
def test_wrong_bytes_name_their_row(encoding: str, data: bytes, row: int) -> None:
    for block in (1, 7, 1000):
        got = read(data, encoding=encoding, limits=Limits(block=block))
        assert [(error.row, error.code) for error in got.errors] == [(row, "encoding")]
        assert len(got.rows) == 1


@given(
    st.lists(
        st.sampled_from([b"1,2\n", "é,ß\n".encode(), b"\xff,2\n", b"1,\xc3\n", b"\x80,\xe2\x82\n"]),
        max_size=8,
    ),
    st.integers(1, 12),
)
def test_exactly_the_rows_with_wrong_bytes_are_refused(lines: list[bytes], block: int) -> None:
    got = read(b"a,b\n" + b"".join(lines), encoding="utf-8", limits=Limits(block=block))
    wrong = [
        number
        for number, line in enumerate(lines, start=1)
        if line.decode("utf-8", "ignore").encode() != line
    ]
    assert [error.row for error in got.errors] == wrong
    assert len(got.rows) == len(lines) - len(wrong)
