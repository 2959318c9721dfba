"""When a replica counts as healthy. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HealthRule:
    """How an upstream's replicas are checked; times in seconds."""

    path: str = "/readyz"
    interval_s: float = 0.5
    timeout_s: float = 1.0
    healthy_after: int = 1
    unhealthy_after: int = 3


class ReplicaHealth:
    """The state of one replica.

    Unknown counts as unhealthy, and one good check ends it; later it takes `healthy_after` good checks in
    a row to come back and `unhealthy_after` bad ones to fall out. Several bad checks are asked for because
    a service that is merely slow, or waiting for its database to come back, answers better than nobody.
    """

    def __init__(self, rule: HealthRule) -> None:
        self.rule = rule
        self._seen = False
        self._streak = 0
        self.healthy = False

    def observe(self, ok: bool) -> bool:
        """Count one active check; returns whether the replica's health changed."""
        self._streak = 0 if ok == self.healthy else self._streak + 1
        needed = self.rule.healthy_after if ok else self.rule.unhealthy_after
        if ok and not self._seen:
            needed = 1
        self._seen = self._seen or ok
        if ok == self.healthy or self._streak < needed:
            return False
        self.healthy, self._streak = ok, 0
        return True

    def mark_down(self) -> bool:
        """A refused connection needs no second opinion; returns whether that is news."""
        was_healthy, self.healthy, self._streak = self.healthy, False, 0
        return was_healthy
