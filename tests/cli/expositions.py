"""Metrics as a gateway would tell them, written by hand so that every figure of a test can be followed."""

import math
from collections.abc import Sequence
from typing import Any

BOUNDS = (0.005, 0.01, 0.1, math.inf)


class Exposition:
    """Lines of the text format."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def add(self, name: str, value: float, **labels: Any) -> "Exposition":
        """One sample."""
        inner = ",".join(f'{label}="{text}"' for label, text in labels.items())
        self._lines.append(f"{name}{{{inner}}} {value}")
        return self

    def histogram(self, name: str, cumulative: Sequence[int], total_s: float, **labels: Any) -> "Exposition":
        """Counts up to each of `BOUNDS`, and the sum."""
        for bound, count in zip(BOUNDS, cumulative, strict=True):
            self.add(f"{name}_bucket", count, **labels, le="+Inf" if bound == math.inf else bound)
        self.add(f"{name}_count", cumulative[-1], **labels)
        return self.add(f"{name}_sum", total_s, **labels)

    def requests(
        self, cumulative: Sequence[int], total_s: float, *, route: str, hop: str = "gateway", **labels: Any
    ) -> "Exposition":
        """Requests of one route at one hop."""
        name = "http_server_request_duration_seconds"
        return self.histogram(name, cumulative, total_s, http_route=route, hop=hop, **labels)

    def terms(
        self,
        count: int,
        processing: float,
        network: float,
        system: float,
        *,
        route: str,
        hop: str = "gateway",
    ) -> "Exposition":
        """The three terms of so many requests, in seconds altogether."""
        for component, total_s in (("processing", processing), ("network", network), ("system", system)):
            labels = {"component": component, "hop": hop, "http_route": route}
            self.add("crm_response_component_duration_seconds_count", count, **labels)
            self.add("crm_response_component_duration_seconds_sum", total_s, **labels)
        return self

    def __str__(self) -> str:
        return "\n".join(["# HELP x y", "# TYPE x counter", *self._lines, "# EOF", ""])
