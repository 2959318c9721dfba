"""What a replica is, and what every balancing policy must be able to do. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # an endpoint holds a replica
    from services.gateway.balancing.endpoint import Endpoint


@dataclass(frozen=True, slots=True)
class Replica:
    """One address at which an upstream listens; `weight` is its share of the requests, `zone` where it runs."""

    upstream: str
    host: str
    port: int
    weight: int = 1
    zone: str = ""

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"


class Policy(Protocol):
    """Chooses among the endpoints that may be used now. Called once per attempt, on one event loop.

    A policy may keep state, but all of it in its own attributes: a dry run decides with a deep copy.
    """

    @property
    def name(self) -> str:
        """As the configuration calls it."""
        ...

    def choose(self, candidates: "Sequence[Endpoint]", now_ns: int, key: bytes = b"") -> "Endpoint":
        """One of `candidates`, of which there is at least one.

        `now_ns` are nanoseconds of a monotonic clock; `key` is what consistent hashing goes by. A caller
        whose candidates and weights have not changed passes the same tuple again: policies keep what they
        derived from it.
        """
        ...

    def score(self, endpoint: "Endpoint", now_ns: int) -> float:
        """What the policy compares, for people to read; the lowest is preferred. Changes nothing."""
        ...

    def reason(self, chosen: "Endpoint", now_ns: int) -> str:
        """Why a choice falls on `chosen`, in one sentence without the full stop."""
        ...
