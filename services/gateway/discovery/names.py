"""Replicas by a name in DNS: addresses (A and AAAA), or SRV records with ports and weights."""

import asyncio
import socket
from collections.abc import Iterable

import dns.asyncresolver
import dns.exception
from dns.rdtypes.IN.SRV import SRV

from services.gateway.balancing.policy import Replica
from services.gateway.discovery.polling import NotFoundError, Replicas
from services.gateway.discovery.rules import DnsRule

LIFETIME_S = 5.0


class NameLookup:
    """Asks DNS for the replicas of one upstream.

    Addresses come from the system's resolver, which knows the hosts file and search domains, unless a
    `nameserver` is named; SRV records, which that resolver does not know, from dnspython.
    """

    def __init__(self, upstream: str, rule: DnsRule) -> None:
        self._upstream = upstream
        self._rule = rule

    async def __call__(self) -> Replicas:
        """The replicas in a stable order. Raises `NotFoundError`."""
        try:
            if self._rule.type == "SRV":
                return srv_replicas(self._upstream, await self._services())
            return self._at(await self._addresses())
        except dns.exception.DNSException as error:
            raise NotFoundError(f"{self._rule.name}: {type(error).__name__}: {error}") from error
        except OSError as error:  # of it gaierror
            raise NotFoundError(f"{self._rule.name}: {error.strerror or error}") from error

    async def _addresses(self) -> Iterable[str]:
        rule = self._rule
        if rule.nameserver is not None:
            return (await self._resolver().resolve_name(rule.name)).addresses()
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(rule.name, rule.port, type=socket.SOCK_STREAM)
        return [str(address[0]) for *_, address in found]

    async def _services(self) -> list[SRV]:
        answer = await self._resolver().resolve(self._rule.name, "SRV")
        return [record for record in answer if isinstance(record, SRV)]

    def _resolver(self) -> dns.asyncresolver.Resolver:
        # Anew each time: the system's configuration may have changed, and an answer must not come from a cache.
        resolver = dns.asyncresolver.Resolver(configure=self._rule.nameserver is None)
        if self._rule.nameserver is not None:
            host, resolver.port = self._rule.nameserver
            resolver.nameservers = [host]
        resolver.lifetime = LIFETIME_S
        return resolver

    def _at(self, addresses: Iterable[str]) -> Replicas:
        port = self._rule.port
        if port is None:
            raise NotFoundError(f"{self._rule.name}: addresses have no port of their own")
        hosts = sorted({f"[{address}]" if ":" in address else address for address in addresses})
        return tuple(Replica(self._upstream, host, port) for host in hosts)


def srv_replicas(upstream: str, records: Iterable[SRV]) -> Replicas:
    """The replicas of the records with the lowest priority (RFC 2782): the others are for when these are gone.

    A weight of 0 means a very small share there, and is 1 here. The target `.` means that there is no such
    service. Records that name one place twice add up.
    """
    offered = [record for record in records if record.target.to_text() != "."]
    first = min((record.priority for record in offered), default=0)
    weights: dict[tuple[str, int], int] = {}
    for record in offered:
        if record.priority == first:
            place = record.target.to_text(omit_final_dot=True).lower(), record.port
            weights[place] = weights.get(place, 0) + max(1, record.weight)
    return tuple(Replica(upstream, host, port, weight) for (host, port), weight in sorted(weights.items()))
