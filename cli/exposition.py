"""What a process says of its metrics as text: Prometheus' exposition format, and OpenMetrics as far as it is the same.

Source: the text format 0.0.4 of Prometheus; OpenMetrics 1.0. Types, help, timestamps and exemplars are passed over.
"""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

_SAMPLE: Final = re.compile(
    r"""(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)
        \s*(?:\{(?P<labels>(?:[^"}]|"(?:[^"\\]|\\.)*")*)\})?
        \s+(?P<value>[^\s\#]+)
        (?:\s+[0-9.eE+-]+)?     # a timestamp
        \s*(?:\#\s*\{.*)?       # an exemplar
    """,
    re.VERBOSE,
)
_LABEL: Final = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*"((?:[^"\\]|\\.)*)"\s*(?:,|\Z)')
_ESCAPED: Final = re.compile(r"\\(.)")


class ExpositionError(ValueError):
    """A line is not in the format; the text says which."""


class Sample(NamedTuple):
    """One value of one series."""

    name: str
    labels: frozenset[tuple[str, str]]
    value: float


def parse(text: str) -> Iterator[Sample]:
    """Every sample, in order. Raises `ExpositionError` at the first line that is none."""
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        found = _SAMPLE.fullmatch(stripped)
        if found is None:
            raise ExpositionError(f"line {number} is no sample: {stripped[:80]}")
        try:
            value = float(found["value"])
        except ValueError:
            raise ExpositionError(f"line {number}: {found['value'][:80]} is no number") from None
        yield Sample(found["name"], _labels(found["labels"] or "", number), value)


def _labels(text: str, number: int) -> frozenset[tuple[str, str]]:
    labels: list[tuple[str, str]] = []
    place = 0
    while place < len(text) and text[place:].strip():
        found = _LABEL.match(text, place)
        if found is None:
            raise ExpositionError(f"line {number}: these are no labels: {text[place : place + 80]}")
        labels.append((found[1], _ESCAPED.sub(_unescaped, found[2])))
        place = found.end()
    return frozenset(labels)


def _unescaped(escape: re.Match[str]) -> str:
    return "\n" if escape[1] == "n" else escape[1]
