"""How many connections one client may hold open, at all workers of a gateway together.

Rate limits count requests; a client that opens connections and sends nothing, or very slowly, is only met
here (as nginx' `limit_conn` and HAProxy's `src_conn_cur` do).
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv6Address, ip_address
from typing import Final

from services.gateway.limits.shared import CLIENT_SLOTS
from services.gateway.limits.shared_table import SLOT_WORDS, SharedTable

_IPV6_BITS: Final = 128
_EVERYONE: Final = "\n"
"""The name under which all connections are counted; no client has it."""


@dataclass(frozen=True, slots=True)
class ClientConnectionRule:
    """Bounds on open connections, for all workers of one gateway."""

    max_per_client: int = 256
    max_total: int = 10_000
    ipv6_prefix_bits: int = 64  # what counts as one client: whoever has one IPv6 address has a whole /64
    exempt: frozenset[str] = frozenset()  # addresses of trusted proxies, each speaking for many clients


class Admission(Enum):
    """The answer to a new connection."""

    ADMITTED = "admitted"
    CLIENT_FULL = "client_full"
    GATEWAY_FULL = "gateway_full"


class ClientConnections:
    """Counts open connections by client; clients without any are not remembered.

    Keep what `client_of` says of a connection's address and use it for `opened` and `closed`: reading an address
    costs microseconds, once per connection. What others hold is in the `table`, in which each worker counts its own;
    two that admit somebody at the same instant may both take the last place. Of a client for whom there is no room
    in it, only what it holds here is known.
    """

    __slots__ = ("_held", "_slots", "_table", "refused_count", "rule", "total")

    def __init__(self, rule: ClientConnectionRule, table: SharedTable | None = None) -> None:
        self.rule = rule  # may be replaced at any time: who is connected already stays
        self.total = 0  # here
        self.refused_count = 0  # since the process began
        self._table = table or SharedTable.private(CLIENT_SLOTS)
        self._held: Counter[str] = Counter()
        self._slots: dict[str, int] = {}  # of those who hold some here; who has none may lose it

    def client_of(self, address: str) -> str:
        """Who counts as the client behind an address: itself, or its IPv6 network.

        What is no IP address (the path of a Unix socket) is its own client.
        """
        try:
            parsed = ip_address(address)
        except ValueError:
            return address
        if not isinstance(parsed, IPv6Address) or str(parsed) in self.rule.exempt:
            return str(parsed)
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        shift = _IPV6_BITS - self.rule.ipv6_prefix_bits
        return f"{IPv6Address(int(parsed) >> shift << shift)}/{self.rule.ipv6_prefix_bits}"

    def opened(self, client: str) -> Admission:
        """A connection was accepted. Only if it is admitted does it count, and must `closed` follow."""
        everyone = self._slot(_EVERYONE)
        if self._anywhere(_EVERYONE, everyone) >= self.rule.max_total:
            self.refused_count += 1
            return Admission.GATEWAY_FULL
        # Where nothing is counted a slot may be given away, also to the client.
        self._count(_EVERYONE, everyone, 1)
        slot = self._slot(client)
        if self._anywhere(client, slot) >= self.rule.max_per_client and client not in self.rule.exempt:
            self._count(_EVERYONE, everyone, -1)
            self.refused_count += 1
            return Admission.CLIENT_FULL
        self._count(client, slot, 1)
        self.total += 1
        return Admission.ADMITTED

    def closed(self, client: str) -> None:
        """An admitted connection has ended. Raises `KeyError` when the client has none."""
        self._count(client, self._slots[client], -1)
        self._count(_EVERYONE, self._slots[_EVERYONE], -1)
        self.total -= 1

    def held_by(self, client: str) -> int:
        """How many connections a client has open at this worker."""
        return self._held[client]

    def largest(self, count: int = 10) -> Iterator[tuple[str, int]]:
        """Who holds most here, for the admin API."""
        held = [item for item in self._held.items() if item[0] != _EVERYONE]
        yield from sorted(held, key=lambda item: (-item[1], item[0]))[:count]

    def _slot(self, name: str) -> int:
        """Where a name is counted in the table, -1 if there is no room.

        Should it be given to another client in the microseconds until something is counted there, that one
        connection is counted for the other one until it ends.
        """
        slot = self._slots.get(name)
        return self._table.claim(name, self._table.first_numbers) if slot is None else slot

    def _anywhere(self, name: str, slot: int) -> int:
        """How many connections it has at all workers."""
        return self._held[name] if slot < 0 else self._table.first_numbers(slot)

    def _count(self, name: str, slot: int, change: int) -> None:
        held = self._held[name] = self._held[name] + change
        if slot >= 0:
            words, first = self._table.own
            words[first + slot * SLOT_WORDS] = held
        if held:
            self._slots[name] = slot
        else:
            del self._held[name], self._slots[name]
