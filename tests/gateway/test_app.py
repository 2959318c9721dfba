"""What all connections of one process share: replicas that come and go."""

from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from services.gateway.balancing.policy import Replica
from tests.gateway.puppets import Stage, transport_of, turns

GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage()
    stage.gateway._prober = cast(Any, Unconcerned())
    yield stage
    stage.close()


class Unconcerned:
    """Checks no replica."""

    def watch(self, upstreams: object) -> None:
        pass


def known(stage: Stage) -> set[str]:
    return {endpoint.replica.host for endpoint in stage.gateway._registry}


def replicas(stage: Stage, *hosts: str) -> list[Replica]:
    return [one.replica for one in stage.upstream.endpoints if one.replica.host in hosts]


async def test_a_replica_that_left_is_forgotten_once_nothing_runs_there(stage: Stage) -> None:
    _, caller = stage.call(GET)
    await stage.connect_all()
    (exchange,) = stage.exchanges()
    assert exchange.connection is not None
    busy = exchange.connection.pool.endpoint.replica.host
    (stays, idle) = sorted({"one", "two", "three"} - {busy})
    stage.gateway._found("u", replicas(stage, stays))
    assert known(stage) == {stays, busy}, f"{idle} had nothing to do"
    transport_of(exchange.connection).protocol.data_received(OK)
    await turns()
    assert caller.written.endswith(b"ok")
    stage.gateway._found("u", replicas(stage, stays))
    assert known(stage) == {stays}


@pytest.mark.parametrize(("route", "kept"), [({}, "recent"), ({"slow_s": 1e-6}, "slow")])
async def test_a_route_says_what_is_slow(route: dict[str, Any], kept: str) -> None:
    stage = Stage(route)
    _, caller = stage.call(GET)
    await stage.connect_all()
    transport_of(stage.exchanges()[0].connection).protocol.data_received(OK)
    await turns()
    assert caller.written.endswith(b"ok")
    stage.gateway.metrics.flush()
    assert [one["kept"] for one in stage.gateway.traces.describe({})] == [kept]
    stage.close()


async def test_what_is_found_for_an_upstream_that_is_gone_changes_nothing(stage: Stage) -> None:
    stage.gateway._found("another", replicas(stage, "one"))
    assert known(stage) == {"one", "two", "three"}
