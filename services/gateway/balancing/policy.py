"""What a replica is, and what every balancing policy must be able to do. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Replica:
    """One address at which an upstream listens; `weight` is its share of the requests."""

    upstream: str
    host: str
    port: int
    weight: int = 1

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"


class BalancingPolicy(Protocol):
    """Chooses among the replicas that may be used now. Called once per attempt, on one event loop."""

    def choose(self, candidates: Sequence[Replica]) -> Replica:
        """One of `candidates`, of which there is at least one."""
        ...
