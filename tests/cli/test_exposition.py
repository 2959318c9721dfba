import math

import pytest

from cli.exposition import ExpositionError, Sample, parse


def one(line: str) -> Sample:
    (sample,) = parse(line)
    return sample


@pytest.mark.parametrize(
    ("line", "name", "labels", "value"),
    [
        ("up 1", "up", {}, 1),
        ("up{} 1", "up", {}, 1),
        ('a:b_c{x="1",y="two"} 2.5e-3', "a:b_c", {"x": "1", "y": "two"}, 0.0025),
        ('h_bucket{le="+Inf"} +Inf', "h_bucket", {"le": "+Inf"}, math.inf),
        ('a { x = "1" , } 3', "a", {"x": "1"}, 3),
        ("a 3 1700000000000", "a", {}, 3),
        (
            r'a{x="quote \" brace } slash \\ line\nend"} 1',
            "a",
            {"x": 'quote " brace } slash \\ line\nend'},
            1,
        ),
        ('a{x="} 7 # {"} 1', "a", {"x": "} 7 # {"}, 1),
        ('h_bucket{le="0.1"} 5 # {trace_id="ab"} 0.07 1700000000.5', "h_bucket", {"le": "0.1"}, 5),
        ('a{route="/v1/möbel"} 1', "a", {"route": "/v1/möbel"}, 1),
    ],
)
def test_samples(line: str, name: str, labels: dict[str, str], value: float) -> None:
    assert one(line) == Sample(name, frozenset(labels.items()), value)


def test_not_a_number_is_a_value() -> None:
    assert math.isnan(one("a NaN").value)


def test_comments_and_empty_lines_are_passed_over() -> None:
    text = "# HELP a {is} a thing\n# TYPE a counter\n\n  \na 1\n# EOF\n"
    assert [sample.name for sample in parse(text)] == ["a"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a 1\n<html>", "line 2 is no sample: <html>"),
        ("a", "line 1 is no sample"),
        ('a{x="1" 1', "line 1 is no sample"),
        ("a one", "line 1: one is no number"),
        ("a{x=1} 1", "line 1: these are no labels: x=1"),
        ('a{x="1" y="2"} 1', "line 1: these are no labels"),
    ],
)
def test_what_is_not_in_the_format(text: str, words: str) -> None:
    with pytest.raises(ExpositionError, match=words):
        list(parse(text))
