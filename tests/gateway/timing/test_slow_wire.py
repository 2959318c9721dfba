"""On a way that takes 5 ms in each direction, those 10 ms are the network's and nobody else's."""

import asyncio
from collections.abc import Iterator
from time import perf_counter_ns

import pytest

from services.gateway.timing.rtt import MinRtt
from services.gateway.timing.terms import attempt_components
from shared.telemetry.terms import ServiceTerms, read_terms, write_terms
from tests.gateway.timing.requests import MS, attempt
from tests.gateway.timing.slow_wire import NoWireError, SlowWire


@pytest.fixture
def wire() -> Iterator[SlowWire]:
    try:
        with SlowWire(0.005) as wire:
            yield wire
    except NoWireError as error:
        pytest.skip(f"packets cannot be delayed here: {error}")


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A service that says how long it took."""
    while await reader.readline():
        began_ns = perf_counter_ns()
        sum(range(10_000))
        writer.write(write_terms(ServiceTerms(0, 0, 0, perf_counter_ns() - began_ns, 0)) + b"\n")
    writer.close()


@pytest.mark.parametrize("far", [False, True])
async def test_the_way_is_the_networks(wire: SlowWire, far: bool) -> None:
    server = await asyncio.start_server(answer, wire.near, 0)
    host, port = wire.far if far else wire.near, server.sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection(host, port)
    rtt = MinRtt(writer.get_extra_info("socket"))
    for _ in range(5):
        sent_ns = perf_counter_ns()
        writer.write(b"\n")
        line = await reader.readline()
        first_byte_ns = perf_counter_ns()
        terms = read_terms(line.rstrip())
        assert terms is not None
        one = attempt(
            sent_ns, sent_ns, first_byte_ns, first_byte_ns, min_rtt=rtt.at(first_byte_ns), terms=terms
        )
        components = attempt_components(one)
        assert components.service_processing == terms.processing
        assert (components.wire >= 10 * MS) is far
    writer.close()
    await writer.wait_closed()
    server.close()
    await server.wait_closed()
