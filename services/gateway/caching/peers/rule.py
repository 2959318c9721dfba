"""The times that gateways beside one another agree on."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PeersRule:
    """The same in all gateways: a writer waits by its own rule for what the others do by theirs.

    `freshness_ns`: for so long after a gateway asked a service what it had not been told, it may use what it has
    stored. `lease_ns`: for so long after it asked to be kept in the registry, it is in there; not less.
    """

    freshness_ns: int = 1_000_000_000
    lease_ns: int = 2_000_000_000

    @property
    def ask_every_ns(self) -> int:
        """How often a service is asked: an answer may take half of `freshness_ns`, and one may fail to come."""
        return self.freshness_ns // 4

    @property
    def renew_every_ns(self) -> int:
        """How often the registry is asked."""
        return self.lease_ns // 4

    @property
    def wait_ns(self) -> int:
        """For so long a writer waits whom nobody can promise that all others know: the clocks of two machines run
        differently fast, by less than a thousandth, and timers fire a little early."""
        return self.freshness_ns + self.freshness_ns // 100 + 2_000_000

    @property
    def silence_ns(self) -> int:
        """Who has not renewed for so long may no longer use what it has stored, and is struck off."""
        return self.lease_ns + self.lease_ns // 100 + 2_000_000

    @property
    def settle_ns(self) -> int:
        """A registry that has just begun may lack somebody for so long: twice the lease, so that also a server that
        was deposed, and does not know it yet, has time to find out."""
        return 2 * self.silence_ns
