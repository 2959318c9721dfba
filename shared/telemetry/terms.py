"""What a service says of its own time, and how it says it to the gateway. Pure; all in integer nanoseconds.

    x-kontor-terms: queue db_wait db processing sched down_processing down_network down_system

each in 16 hexadecimal digits, one after the other without a space: a quarter of what decimal numbers cost to read,
which the gateway does for every answer.

Only durations travel between hosts, never points in time. The service's total is the sum of the eight by
construction, so that whoever reads them cannot find a total that differs from its parts.
"""

from binascii import unhexlify
from struct import Struct
from typing import Final, NamedTuple

TERMS_HEADER: Final = b"x-kontor-terms"
"""On every answer of a service; the gateway takes it out."""

_TERMS: Final = Struct(">8Q")
_DIGITS: Final = 2 * _TERMS.size


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
    return _TERMS.pack(*terms).hex().encode("ascii")


def read_terms(value: bytes) -> ServiceTerms | None:
    """The terms of a header's value, or None when it is anything but eight times 16 hexadecimal digits."""
    numbers = _numbers(value)
    return ServiceTerms(*numbers) if numbers is not None else None


def read_latency(value: bytes) -> tuple[int, int, int] | None:
    """`read_terms(value).latency` in half the time, for whoever needs no more of every answer."""
    numbers = _numbers(value)
    if numbers is None:
        return None
    queue, db_wait, db, processing, sched, down_processing, down_network, down_system = numbers
    return processing + db + down_processing, down_network, queue + db_wait + sched + down_system


def _numbers(value: bytes) -> tuple[int, ...] | None:
    if len(value) != _DIGITS:
        return None
    try:
        return _TERMS.unpack(unhexlify(value))
    except ValueError:  # no digits
        return None
