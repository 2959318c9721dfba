"""The gateway's one document and the immutable snapshot made of it; `example.yaml` shows every field.

Nothing here changes once made: a reload builds another snapshot and swaps it whole.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from services.gateway.balancing.policy import Replica
from services.gateway.documents import parse_document, read_document
from services.gateway.limits.sizes import SizeLimits
from services.gateway.limits.token_bucket import Rate
from services.gateway.resilience.board import Upstream
from services.gateway.resilience.health import HealthRule
from services.gateway.routing.policy import Route, RouteTable

_NAME = r"^[a-z0-9][a-z0-9._-]{0,62}$"
# Unreserved characters and sub-delimiters in whole segments, no slash at the end (RFC 3986, 3.3).
_PATH = r"^(/|(/[A-Za-z0-9._~!$&'()*+,;=:@-]+)+)$"

Name = Annotated[str, StringConstraints(pattern=_NAME)]
UrlPath = Annotated[str, StringConstraints(pattern=_PATH, max_length=500)]
Seconds = Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RouteSection(_Part):
    """One entry of `routes`."""

    name: Name
    prefix: UrlPath
    upstream: Name
    public: bool = False
    rewrite: UrlPath | None = None
    timeout_s: Seconds = 30.0


class ReplicaSection(_Part):
    """One entry of an upstream's `replicas`."""

    host: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.-]+$|^\[[0-9A-Fa-f:.]+\]$")]
    port: Annotated[int, Field(ge=1, le=65535)]
    weight: Annotated[int, Field(ge=1, le=1000)] = 1


class HealthSection(_Part):
    """An upstream's `health`; times in seconds."""

    path: UrlPath = "/readyz"
    interval_s: Seconds = 0.5
    timeout_s: Seconds = 1.0
    healthy_after: Annotated[int, Field(ge=1, le=100)] = 1
    unhealthy_after: Annotated[int, Field(ge=1, le=100)] = 3


class UpstreamSection(_Part):
    """One entry of `upstreams`; the audience is the upstream's name unless told."""

    audience: Name | None = None
    replicas: Annotated[tuple[ReplicaSection, ...], Field(min_length=1)]
    health: HealthSection = HealthSection()

    @model_validator(mode="after")
    def _no_double_address(self) -> Self:
        for (host, port), count in Counter((one.host, one.port) for one in self.replicas).items():
            if count > 1:
                raise ValueError(f"replicas: {host}:{port} appears {count} times")
        return self


class LimitsSection(_Part):
    """Bounds on one request, in bytes."""

    max_header_bytes: Annotated[int, Field(ge=1024, le=65_536)] = SizeLimits().max_header_bytes
    max_body_bytes: Annotated[int, Field(ge=0)] = SizeLimits().max_body_bytes


class RateSection(_Part):
    """Requests per key (or per address on public routes)."""

    per_second: Count = Rate().per_second
    burst: Count = Rate().burst


class ConfigDocument(_Part):
    """The whole document."""

    routes: tuple[RouteSection, ...]
    upstreams: Mapping[Name, UpstreamSection]
    limits: LimitsSection = LimitsSection()
    rate_limit: RateSection = RateSection()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for field in ("name", "prefix"):
            for value, count in Counter(getattr(route, field) for route in self.routes).items():
                if count > 1:
                    raise ValueError(f"routes: the {field} {value!r} appears {count} times")
        for index, route in enumerate(self.routes):
            if route.upstream not in self.upstreams:
                raise ValueError(f"routes[{index}].upstream: there is no upstream {route.upstream!r}")
        return self


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the pipeline works with."""

    routes: RouteTable
    upstreams: Mapping[str, Upstream]
    limits: SizeLimits
    rate: Rate


def load(path: Path) -> Snapshot:
    """The snapshot of the document at `path`. Raises `DocumentError` naming file and field."""
    return _snapshot(read_document(path, ConfigDocument))


def parse(text: str) -> Snapshot:
    """The snapshot of a document given as text. Raises `DocumentError` naming the field."""
    return _snapshot(parse_document(text, ConfigDocument))


def _snapshot(document: ConfigDocument) -> Snapshot:
    return Snapshot(
        routes=RouteTable(Route(**route.model_dump()) for route in document.routes),
        upstreams=MappingProxyType(
            {name: _upstream(name, section) for name, section in document.upstreams.items()}
        ),
        limits=SizeLimits(**document.limits.model_dump()),
        rate=Rate(**document.rate_limit.model_dump()),
    )


def _upstream(name: str, section: UpstreamSection) -> Upstream:
    return Upstream(
        name=name,
        audience=section.audience or name,
        replicas=tuple(Replica(name, one.host, one.port, one.weight) for one in section.replicas),
        health=HealthRule(**section.health.model_dump()),
    )
