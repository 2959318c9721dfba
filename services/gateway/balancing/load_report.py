"""What a server says of its load: the ORCA response header `endpoint-load-metrics`. Pure.

Names: xds.data.orca.v3.OrcaLoadReport. Forms: `TEXT name=value, ...` (or `name:value`) and `JSON {...}`, as
Envoy reads them. Envoy refuses a report whole when anything in it is unknown, doubled, negative or no
number; so do we. The binary form is left out: it needs protobuf, and whoever can send it can send text.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Final

LOAD_HEADER: Final = b"endpoint-load-metrics"
INFLIGHT_METRICS: Final = ("inflight", "rif")
"""The named metrics in which a server may tell how many requests it is serving; our services use the first."""

_SCALARS: Final = frozenset(
    {"cpu_utilization", "mem_utilization", "application_utilization", "rps_fractional", "eps"}
)
_MAPS: Final = ("named_metrics", "utilization")
# In the message, but of no use here.
_IGNORED: Final = frozenset({"rps", "request_cost"})
_FIRST_OF_NUMBER: Final = frozenset("0123456789.")
_CAPITAL: Final = re.compile("[A-Z]")
_MAX_BYTES: Final = 2048


@dataclass(frozen=True, slots=True)
class LoadReport:
    """One report. Utilisations are shares (1.0 is all; CPU may exceed it), `eps` and `rps_fractional` per second.

    `inflight` is None when the server does not tell how many requests it is serving.
    """

    cpu_utilization: float = 0.0
    mem_utilization: float = 0.0
    application_utilization: float = 0.0
    rps_fractional: float = 0.0
    eps: float = 0.0
    named_metrics: Mapping[str, float] = field(default_factory=dict)
    utilization: Mapping[str, float] = field(default_factory=dict)
    inflight: float | None = None


class LoadReportParser:
    """Parses headers, counts the malformed ones, and remembers the last texts.

    A server repeats itself for as long as its figures stand, and what is remembered of one server's text is
    what any other server would have meant by it.
    """

    def __init__(self, *, remembered: int = 1024) -> None:
        self.malformed = 0
        self._remembered = remembered
        self._memo: dict[bytes, LoadReport] = {}

    def parse(self, value: bytes) -> LoadReport | None:
        """The report in a header's value, or None when it is malformed."""
        known = self._memo.get(value)
        if known is not None:
            return known
        report = parse_load_report(value)
        if report is None:
            self.malformed += 1
            return None
        if len(self._memo) >= self._remembered:
            self._memo.clear()
        self._memo[value] = report
        return report


def parse_load_report(value: bytes) -> LoadReport | None:
    """The report in a header's value, or None when it is malformed."""
    if len(value) > _MAX_BYTES:
        return None
    try:
        form, _, rest = value.decode("ascii").partition(" ")
        if form == "TEXT":
            return _from_text(rest)
        if form == "JSON":
            return _from_json(rest)
    except (ValueError, RecursionError):  # not ASCII, no number, no JSON, nested too deep
        return None
    return None


def _from_text(text: str) -> LoadReport | None:
    scalars: dict[str, float] = {}
    maps: dict[str, dict[str, float]] = {"named_metrics": {}, "utilization": {}}
    for element in text.split(","):
        pair = element.strip(" \t")
        if not pair:  # RFC 9110, 5.6.1: a recipient bears with empty elements of a list
            continue
        name, separator, number = pair.partition("=")
        if not separator:
            name, _, number = pair.partition(":")
        # What `float` takes beyond plain numbers: signs, inf, nan, white space, digits grouped by "_".
        if number[:1] not in _FIRST_OF_NUMBER or "_" in number:
            return None
        kind, dot, key = name.partition(".")
        if dot and key and kind in maps and key not in maps[kind]:
            maps[kind][key] = float(number)
        elif name in _SCALARS and name not in scalars:
            scalars[name] = float(number)
        else:
            return None
    return _report(scalars, maps)


def _from_json(text: str) -> LoadReport | None:
    document = json.loads(text, object_pairs_hook=_without_doubles)
    if not isinstance(document, dict):
        return None
    scalars: dict[str, float] = {}
    maps: dict[str, dict[str, float]] = {}
    for written, value in document.items():
        # Protobuf's JSON has both spellings.
        name = _CAPITAL.sub(lambda match: "_" + match[0].lower(), written)
        if name in _SCALARS and name not in scalars and _is_number(value):
            scalars[name] = float(value)
        elif name in _MAPS and name not in maps and isinstance(value, dict):
            if not all(key and _is_number(one) for key, one in value.items()):
                return None
            maps[name] = {key: float(one) for key, one in value.items()}
        elif name not in _IGNORED:
            return None
    return _report(scalars, maps)


def _report(scalars: Mapping[str, float], maps: Mapping[str, Mapping[str, float]]) -> LoadReport | None:
    values = [*scalars.values(), *(value for one in maps.values() for value in one.values())]
    if not all(map(isfinite, values)):  # 1e999
        return None
    named = maps.get("named_metrics", {})
    inflight = next((named[name] for name in INFLIGHT_METRICS if name in named), None)
    return LoadReport(
        **scalars, named_metrics=named, utilization=maps.get("utilization", {}), inflight=inflight
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a name occurs twice")
    return document
