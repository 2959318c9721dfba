"""The registry as its scripts keep it (`services/gateway/caching/peers/registry.py`), in plain Python."""

from dataclasses import dataclass, field

from services.gateway.caching.peers.roll import Page, Settle, Strike


@dataclass
class FakeRegistry:
    """`server` is the process that keeps it; what it keeps may come from an earlier one."""

    server: str
    known_server: str = ""
    token: str = ""
    is_settled: bool = False
    count: int = 0
    members: dict[str, int] = field(default_factory=dict)
    ended: bool = False
    """It heeds nobody any more."""

    def renew(self, member: str, token: str) -> tuple[bool, Page]:
        """Whether the member was entered just now, and all that is there."""
        if self.known_server != self.server:
            self.known_server, self.token, self.is_settled = self.server, token, False
        entered = member not in self.members
        self.count += 1
        self.members[member] = self.count
        return entered, Page(self.token, self.is_settled, dict(self.members))

    def tell(self, member: str) -> frozenset[str] | None:
        """Who else is registered; None while that cannot be relied on."""
        if self.known_server != self.server or not self.is_settled:
            return None
        return frozenset(self.members.keys() - {member})

    def heed(self, errand: Strike | Settle) -> None:
        """Somebody has found out something."""
        if self.known_server != self.server or errand.token != self.token:
            return
        if isinstance(errand, Settle):
            self.is_settled = True
        elif self.members.get(errand.member) == errand.number:
            del self.members[errand.member]

    def leave(self, member: str) -> None:
        """It uses nothing that it has stored any more."""
        self.members.pop(member, None)

    def empty(self) -> None:
        """Somebody flushes the server, or it forgets the key for want of room."""
        self.known_server, self.token, self.is_settled, self.count, self.members = "", "", False, 0, {}

    def copy(self, server: str) -> "FakeRegistry":
        """As another process finds it."""
        return FakeRegistry(
            server, self.known_server, self.token, self.is_settled, self.count, dict(self.members)
        )
