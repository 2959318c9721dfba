"""How many connections one client may hold open. Pure.

Rate limits count requests; a client that opens connections and sends nothing, or very slowly, is only met
here (as nginx' `limit_conn` and HAProxy's `src_conn_cur` do).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv6Address, ip_address
from typing import Final

_IPV6_BITS: Final = 128


@dataclass(frozen=True, slots=True)
class ClientConnectionRule:
    """Bounds on open connections, for one gateway process."""

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
    costs microseconds, once per connection.
    """

    __slots__ = ("_by_client", "refused_count", "rule", "total")

    def __init__(self, rule: ClientConnectionRule) -> None:
        self.rule = rule  # may be replaced at any time: who is connected already stays
        self.total = 0
        self.refused_count = 0  # since the process began
        self._by_client: dict[str, int] = {}

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
        held = self._by_client.get(client, 0)
        if self.total >= self.rule.max_total:
            self.refused_count += 1
            return Admission.GATEWAY_FULL
        if held >= self.rule.max_per_client and client not in self.rule.exempt:
            self.refused_count += 1
            return Admission.CLIENT_FULL
        self._by_client[client] = held + 1
        self.total += 1
        return Admission.ADMITTED

    def closed(self, client: str) -> None:
        """An admitted connection has ended. Raises `KeyError` when the client has none."""
        held = self._by_client[client]
        if held == 1:
            del self._by_client[client]
        else:
            self._by_client[client] = held - 1
        self.total -= 1

    def held_by(self, client: str) -> int:
        """How many connections a client has open."""
        return self._by_client.get(client, 0)

    def largest(self, count: int = 10) -> Iterator[tuple[str, int]]:
        """Who holds most, for the admin API."""
        yield from sorted(self._by_client.items(), key=lambda item: (-item[1], item[0]))[:count]
