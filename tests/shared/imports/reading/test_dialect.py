"""Finding the delimiter."""

import pytest

from shared.imports.reading.dialect import Dialect, detect_delimiter


@pytest.mark.parametrize(
    ("sample", "delimiter"),
    [
        ("a,b\n1,2\n", ","),
        ("a;b\n1,5;2\n3,5;4\n", ";"),
        ("name\tnote\nx\thello, you; there\n", "\t"),
        ("a|b|c\n1|2,3|4\n", "|"),
        ('a;b\n"1,2,3,4";x\n"5,6,7,8";y\n', ";"),
        ('"a\nb,c,d";e\nf;g\n', ";"),
        ("a,b,c\n1,2,3\n4;5,6,7;8\n", ","),
        ("a;b\r1;2\r", ";"),
        ("name\nSmith, John\nDoe\n", ";"),  # one column whose commas are text
        ("name\nx\ny\n", ","),
        ("", ","),
        ("a;b;c\n1;2;3\n4;5,", ";"),  # the sample ends inside a record
        ('a,b\n1,"never closed\n2,3\n', ","),
    ],
)
def test_found(sample: str, delimiter: str) -> None:
    assert detect_delimiter(sample) == delimiter


def test_quote_and_escape_are_no_candidates() -> None:
    assert detect_delimiter("a|b;c\n", "|") == ";"
    assert detect_delimiter("a|b;c\n", '"', ";") == "|"


@pytest.mark.parametrize(
    "special", [{"delimiter": ""}, {"delimiter": "ab"}, {"quote": "\n"}, {"escape": ","}]
)
def test_impossible_dialects(special: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="delimiter, quote and escape"):
        Dialect(**special)  # type: ignore[arg-type]
