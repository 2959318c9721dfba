"""How replicas are found, as the configuration says it. Pure."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from services.gateway.balancing.policy import Replica


@dataclass(frozen=True, slots=True)
class StaticRule:
    """The replicas are written down in the configuration."""

    replicas: tuple[Replica, ...]


@dataclass(frozen=True, slots=True)
class DnsRule:
    """The replicas are what a name stands for, asked again every `every_s` seconds.

    `A` takes the addresses of `name` (of both families) with `port`; `SRV` takes hosts, ports and weights
    from the records themselves. `nameserver` is `(host, port)`; None: as the system resolves names.
    """

    name: str
    type: Literal["A", "SRV"] = "A"
    port: int | None = None
    every_s: float = 5.0
    nameserver: tuple[str, int] | None = None


@dataclass(frozen=True, slots=True)
class FileRule:
    """The replicas stand in a file of their own, looked at every `every_s` seconds."""

    path: Path
    every_s: float = 1.0


SourceRule = StaticRule | DnsRule | FileRule
