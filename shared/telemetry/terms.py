"""What a service says of its own time, and how it says it to the gateway. Pure; all in integer nanoseconds.

    x-kontor-terms: queue,db_wait,db,processing,sched,down_processing,down_network,down_system

Only durations travel between hosts, never points in time. The service's total is the sum of the eight by
construction, so that whoever reads them cannot find a total that differs from its parts.
"""

import re
from typing import Final, NamedTuple

TERMS_HEADER: Final = b"x-kontor-terms"
"""On every answer of a service; the gateway takes it out."""

_LONGEST: Final = 200
_TERMS: Final = re.compile(b",".join([rb"(0|[1-9][0-9]{0,18})"] * 8))


class Latency(NamedTuple):
    """The formula: response time = processing + network + system. The total is the sum of the three."""

    processing_ns: int
    network_ns: int
    system_ns: int

    @property
    def total_ns(self) -> int:
        """The response time."""
        return self.processing_ns + self.network_ns + self.system_ns

    @property
    def dominant(self) -> str:
        """The name of the largest term; of equal ones the first."""
        processing, network, system = self
        if processing >= network and processing >= system:
            return "processing"
        return "network" if network >= system else "system"


class ServiceTerms(NamedTuple):
    """Where a service's time went between the request's first bytes and the head of its answer.

    queue            until the application's code ran
    db_wait          waiting for a pooled database connection
    db               statements in flight
    processing       the request's own steps on the event loop
    sched            able to run, but the event loop was busy with others
    down_processing, down_network, down_system
                     own calls to other services, by their terms
    """

    queue: int
    db_wait: int
    db: int
    processing: int
    sched: int
    down_processing: int = 0
    down_network: int = 0
    down_system: int = 0

    @property
    def total_ns(self) -> int:
        """From the request's first bytes to the head of the answer."""
        return sum(self)

    @property
    def latency(self) -> Latency:
        """The eight in the formula's three terms: what is worked on, what is on the wire, what waits."""
        queue, db_wait, db, processing, sched, down_processing, down_network, down_system = self
        return Latency(processing + db + down_processing, down_network, queue + db_wait + sched + down_system)


def write_terms(terms: ServiceTerms) -> bytes:
    """The header's value."""
    return b"%d,%d,%d,%d,%d,%d,%d,%d" % terms


def read_terms(value: bytes) -> ServiceTerms | None:
    """The terms of a header's value, or None when it is anything but eight decimal integers."""
    match = _TERMS.fullmatch(value) if len(value) <= _LONGEST else None
    return ServiceTerms(*map(int, match.groups())) if match is not None else None


def read_latency(value: bytes) -> tuple[int, int, int] | None:
    """`read_terms(value).latency` in two thirds of the time, for whoever needs no more of every answer."""
    match = _TERMS.fullmatch(value) if len(value) <= _LONGEST else None
    if match is None:
        return None
    queue, db_wait, db, processing, sched, down_processing, down_network, down_system = map(
        int, match.groups()
    )
    return processing + db + down_processing, down_network, queue + db_wait + sched + down_system
