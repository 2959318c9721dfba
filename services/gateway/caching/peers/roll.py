"""What a gateway reads out of the registry: who is gone, and since when it can be relied on.

The registry's clock is nobody's: each gateway measures by its own how long it has seen no change. So nothing depends
on what time a server says it is, and clocks need only run equally fast.
"""

from dataclasses import dataclass

from services.gateway.caching.peers.rule import PeersRule


@dataclass(frozen=True, slots=True)
class Page:
    """The registry as it was read once. `members` have a number each, another one with each renewal.

    Another `token` means another registry: the former is lost, or an older state of it has come back. It is `settled`
    when everybody who may believe to be in the former one has had the time to find out.
    """

    token: str
    settled: bool
    members: dict[str, int]


@dataclass(frozen=True, slots=True)
class Strike:
    """Somebody is to be struck off, provided that the number is still the same."""

    token: str
    member: str
    number: int


@dataclass(frozen=True, slots=True)
class Settle:
    """The registry can be relied on from now on."""

    token: str


class Roll:
    """One gateway's view over time. Pure; `own` is its name in the registry."""

    def __init__(self, rule: PeersRule, own: str) -> None:
        self.rule = rule
        self._own = own
        self._token = ""
        self._since_ns = 0
        self._seen: dict[str, tuple[int, int]] = {}
        self.page = Page("", False, {})

    @property
    def others(self) -> int:
        """How many other gateways are registered."""
        return len(self.page.members.keys() - {self._own})

    def read(self, page: Page, now_ns: int) -> list[Strike | Settle]:
        """What is to be done about it. `now_ns`: when it had been read, so that what it says is not newer."""
        if page.token != self._token:
            self._token, self._since_ns, self._seen = page.token, now_ns, {}
        self.page = page
        # Since when somebody has this number, as far as we know: later than it really was, never earlier.
        self._seen = {
            member: self._seen[member] if self._seen.get(member, (0, 0))[0] == number else (number, now_ns)
            for member, number in page.members.items()
            if member != self._own
        }
        errands: list[Strike | Settle] = [
            Strike(page.token, member, number)
            for member, (number, since_ns) in self._seen.items()
            if now_ns - since_ns > self.rule.silence_ns
        ]
        if not page.settled and now_ns - self._since_ns > self.rule.settle_ns:
            errands.append(Settle(page.token))
        return errands
