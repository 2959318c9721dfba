"""What all connections of one process share: replicas that come and go."""

import logging
from collections.abc import AsyncIterator
from io import StringIO
from typing import Any, cast
from uuid import UUID

import pytest

from services.gateway.balancing.policy import Replica
from shared.logs.formats import ACCESS_LOGGER, TextFormatter
from shared.logs.output import LineHandler
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


async def test_what_callers_make_up_is_told_within_bounds(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    trace_id, method = "4bf92f3577b34da6a3ce929d0e0e4736", "B" * 32
    lines = [
        f"{method} /x HTTP/1.1",
        "Host: a",
        f"X-Request-Id: {'x' * 129}",
        f"traceparent: 00-{trace_id}-00f067aa0ba902b7-01",
        "tracestate: a=1, no member",
    ]
    stage.call("\r\n".join([*lines, "", ""]).encode())
    await stage.connect_all()
    upstream = transport_of(stage.exchanges()[0].connection)
    upstream.protocol.data_received(OK)
    await turns()
    caplog.set_level(logging.INFO, logger=ACCESS_LOGGER)
    log = StringIO()
    handler = LineHandler(log, TextFormatter())
    logging.getLogger().addHandler(handler)
    try:
        stage.gateway.metrics.flush()
    finally:
        logging.getLogger().removeHandler(handler)
        handler.flush()
    (told,) = stage.gateway.traces.explain(trace_id)
    assert UUID(told["request_id"]).version == 7
    for span in told["spans"]:
        assert span["name"] == "HTTP /"
        assert span["attributes"]["http.request.method"] == "_OTHER"
        assert span["attributes"]["http.request.method_original"] == method
    assert b"tracestate" not in upstream.written
    assert b"x-request-id: " + told["request_id"].encode() in upstream.written
    (line,) = log.getvalue().splitlines()
    assert f"request_id={told['request_id']}" in line


async def test_what_is_found_for_an_upstream_that_is_gone_changes_nothing(stage: Stage) -> None:
    stage.gateway._found("another", replicas(stage, "one"))
    assert known(stage) == {"one", "two", "three"}
