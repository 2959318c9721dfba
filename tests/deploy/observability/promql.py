"""Which metrics an expression asks for, without an engine: enough of PromQL's grammar to find the names."""

import re
from collections.abc import Iterator

_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"')
_LABELS = re.compile(r"\{[^}]*\}")
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)")
_RANGE = re.compile(r"\[[^\]]*\]")
_NAME = re.compile(r"(?<![\w.$])[a-zA-Z_:][\w:]*(?!\s*\()\b(?!\s*\()")
_WORDS = frozenset({"and", "or", "unless", "bool", "offset", "by", "without", "on", "ignoring"})
_SUFFIXES = ("_bucket", "_count", "_sum")


def metrics_in(expression: str) -> set[str]:
    """The names of series; those of functions, labels and words are left out."""
    rest = expression
    for part in (_TEXT, _LABELS, _GROUPING, _RANGE):
        rest = part.sub(" ", rest)
    return set(_NAME.findall(rest)) - _WORDS


def selectors_in(expression: str) -> Iterator[tuple[str, set[str]]]:
    """Each series that is asked for by labels, with their names."""
    for name, inside in re.findall(r"([\w:]+)\{([^}]*)\}", _TEXT.sub('""', expression)):
        yield name, set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", inside))


def family(series: str, histograms: set[str]) -> str:
    """The metric that a series belongs to: a histogram has three kinds of them."""
    for suffix in _SUFFIXES:
        if series.removesuffix(suffix) in histograms:
            return series.removesuffix(suffix)
    return series
