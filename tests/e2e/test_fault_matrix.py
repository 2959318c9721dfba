"""Faults in real processes: the time that each adds is in the right term of the right hop, and nowhere else.

Written before anything was measured: what each fault must show, and what its victims, who only happen to be near.

A slow statement, 40 ms. Customers: `db`, so processing. Others, as long as a connection is free: nothing.

A row that another transaction has locked. Who changes the row: customers: `db`, so processing; PostgreSQL has the
statement, and only it knows that it waits. Who reads the row: nothing.

Blocking code, 20 ms. Customers: own processing. Victims on the same replica: system. Who is under way: customers:
`sched`, even while a statement of his is done meanwhile, since its answer was there and he was not let run. Whose bytes
the replica has not read: the gateway: `beyond`, as the replica knows nothing of it. Neither processing nor network of a
victim grows. On another replica: nothing.

All connections for reads in use. Who needs one: customers: `db_wait`, so system.

5 ms each way to the replica. The gateway: `wire`, so network, 10 ms. The replica: nothing.

All places at the upstream taken. Who needs one: the gateway: `pool_wait`, so system; the replica: nothing. Who is
turned away: all of it system.

A first attempt that fails after 40 ms. The gateway: what that attempt was made of (a statement: processing). The
replica that answers: nothing. The pause before the retry: the gateway: `backoff`, so system.

A first attempt that hangs, hedged after 40 ms. The gateway: `hedge_wait`, so system. The replica that answers: nothing.

A slow request before it on the connection. The gateway: `queue`, so system.

A body that comes slowly, 40 ms. The gateway: `upload`, so network. The replica, where the body is passed on as it
comes: `sched`, as every wait that it has no name for.

An answer that comes slowly, 40 ms. The gateway: `body`, so network.

Found otherwise: while code blocks, nobody can tell when in the meantime a statement was done. The time that it and the
code ran beside one another counts as the code's, so that the victim's `db` is shorter by it.

Requests with the fault and without it take turns. Of each, those are compared that took least: what else runs on the
machine makes the others longer, and that is nobody's fault here. Even so it wants a machine of its own:

    FAULTS=1 make test ARGS=tests/e2e/test_fault_matrix.py WORKERS=0
"""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from typing import Any

import asyncpg
import pytest

from shared.testing.databases import Templates
from tests.e2e.timed.measuring import MS, Ask, Measuring, Sample, Which
from tests.e2e.timed.stack import Timed, timed
from tests.e2e.timed.traffic import Traffic
from tests.gateway.caller import Caller, calling
from tests.gateway.timing.slow_wire import NoWireError, SlowWire

pytestmark = [
    pytest.mark.process,
    # It compares times to within a millisecond, for which the machine must be its own.
    pytest.mark.skipif("FAULTS" not in os.environ, reason="judges times: FAULTS=1 asks for it"),
]

ROUNDS = 20
NONE = "/faults/none"
ALONE: dict[str, Any] = {"hedging": False, "retries": {"max_retries": 0}}
GENEROUS: dict[str, Any] = {"percent": 100, "min_per_second": 1_000}


class Matrix:
    """The stack, callers on kept connections, and what is measured with."""

    def __init__(self, stack: Timed, database_url: str) -> None:
        self.stack = stack
        self.database_url = database_url
        self.traffic = Traffic(stack.gateway.port, stack.gateway.keys[0])
        self.measuring = Measuring(stack.receiver, ROUNDS)
        self.callers: list[Caller] = []

    def asking(self, path: str, method: str = "GET", *, caller: int = 0, **more: Any) -> Ask:
        """Asks for a path, on one of the connections."""

        async def ask() -> str:
            await self.traffic.ask(self.callers[caller], "fault", method, path, **more)
            return self.traffic.asked[-1].request_id

        return ask

    def behind(self, fault: str, victim: str, *, after_s: float = 0.005) -> Ask:
        """Asks for `victim` when somebody else's `fault` has begun."""
        begin, suffer = self.asking(fault, caller=1), self.asking(victim)

        async def ask() -> str:
            beginning = asyncio.create_task(begin())
            await asyncio.sleep(after_s)
            request_id = await suffer()
            await beginning
            return request_id

        return ask


@pytest.fixture(scope="module")
def wire() -> Iterator[SlowWire | None]:
    with ExitStack() as stack:
        try:
            wire = stack.enter_context(SlowWire(0.005))
        except NoWireError:
            yield None
        else:
            yield wire


@pytest.fixture(scope="module")
async def matrix(
    tmp_path_factory: pytest.TempPathFactory, templates: Templates, wire: SlowWire | None
) -> AsyncIterator[Matrix]:
    url = templates.clone("customers")
    services = {"one": {}, "two": {"CUSTOMERS_READ_CONNECTIONS": "1"}}
    upstreams = {
        "one": {"replicas": ["one"], **ALONE},
        "narrow": {"replicas": ["two"], **ALONE},
        "retried": {
            "replicas": ["one", "two"],
            "policy": "round_robin",
            "hedging": False,
            "retries": {"backoff_base_s": 0.000_001, "backoff_max_s": 0.000_001},
            "retry_budget": GENEROUS,
        },
        "patient": {
            "replicas": ["one", "two"],
            "policy": "round_robin",
            "hedging": False,
            "retries": {"backoff_base_s": 0.08, "backoff_max_s": 0.08},
            "retry_budget": GENEROUS,
        },
        "hedged": {
            "replicas": ["one", "two"],
            "policy": "round_robin",
            "hedging": {"min_samples": 1, "percentile": 1, "min_delay_s": 0.04, "max_hedges_percent": 100},
        },
        "queued": {
            "replicas": ["one"],
            **ALONE,
            "concurrency": {
                "min_limit": 1,
                "initial_limit": 1,
                "max_limit": 1,
                "queue": {"max_wait_s": 0.06},
            },
        },
    }
    if wire is not None:
        services["three"] = {"host": wire.near}
        upstreams |= {
            "near": {"replicas": ["three"], **ALONE},
            "far": {"replicas": [f"three@{wire.far}"], **ALONE},
        }
    routes = [
        {"name": name, "prefix": f"/{name}", "upstream": name, "rewrite": "/"} for name in upstreams
    ] + [{"name": "rest", "prefix": "/", "upstream": "one"}]
    folder = tmp_path_factory.mktemp("faults")
    async with timed(folder, url, services=services, routes=routes, upstreams=upstreams) as stack:
        matrix = Matrix(stack, url)
        async with calling(stack.gateway.port) as one, calling(stack.gateway.port) as other:
            matrix.callers = [one, other]
            yield matrix
        await stack.end()


def _longer_than(ns: int) -> Which:
    """Who came when it was over is no victim."""
    return lambda sample: sample.total > ns


async def test_a_slow_statement(matrix: Matrix) -> None:
    moved = await matrix.measuring.compare(matrix.asking(NONE), matrix.asking("/faults/database?ms=40"))
    moved.check("processing", gateway="service_processing", customers="db")


async def test_others_do_not_notice_a_slow_statement(matrix: Matrix) -> None:
    slow = matrix.behind("/faults/database?ms=40", NONE)
    (await matrix.measuring.compare(matrix.asking(NONE), slow)).check_nothing(40 * MS)


@pytest.fixture(scope="module")
async def accounts(matrix: Matrix) -> list[str]:
    """Two of them."""
    made = []
    for name in (b"Wanted", b"Other"):
        answer = await matrix.traffic.ask(
            matrix.callers[0],
            "fault",
            "POST",
            "/v1/accounts",
            b'{"name":"%b"}' % name,
            headers={"Content-Type": "application/json"},
        )
        assert answer.status == 201
        made.append(answer.values(b"location")[0].decode().rpartition("/")[2])
    return made


@pytest.fixture(scope="module")
async def locker(matrix: Matrix) -> AsyncIterator[asyncpg.Connection]:
    """Somebody else who works with the database."""
    connection = await asyncpg.connect(matrix.database_url)
    yield connection
    await connection.close()


def locked(locker: asyncpg.Connection, account: str, ask: Ask) -> Ask:
    """While another transaction has that account for 40 ms."""

    async def asking() -> str:
        async with locker.transaction():
            await locker.execute("SELECT FROM accounts WHERE id = $1 FOR UPDATE", account)
            asked = asyncio.create_task(ask())
            await asyncio.sleep(0.04)
        return await asked

    return asking


async def test_a_locked_row(matrix: Matrix, accounts: list[str], locker: asyncpg.Connection) -> None:
    wanted, other = accounts
    change = matrix.asking(
        f"/v1/accounts/{wanted}",
        "PATCH",
        body=b'{"employees":4}',
        headers={"Content-Type": "application/merge-patch+json"},
    )
    usual, suffering = locked(locker, other, change), locked(locker, wanted, change)
    moved = await matrix.measuring.compare(usual, suffering)
    moved.check("processing", gateway="service_processing", customers="db")


async def test_readers_do_not_notice_a_locked_row(
    matrix: Matrix, accounts: list[str], locker: asyncpg.Connection
) -> None:
    wanted, other = accounts
    read = matrix.asking(f"/v1/accounts/{wanted}")
    usual, suffering = locked(locker, other, read), locked(locker, wanted, read)
    (await matrix.measuring.compare(usual, suffering)).check_nothing(40 * MS)


async def test_blocking_code(matrix: Matrix) -> None:
    moved = await matrix.measuring.compare(matrix.asking(NONE), matrix.asking("/faults/blocks?ms=20"))
    moved.check("processing", gateway="service_processing", customers="own_processing")


async def test_who_comes_while_others_block(matrix: Matrix) -> None:
    """The replica has not read a byte of it."""
    victim = matrix.behind("/faults/blocks?ms=40", NONE)
    moved = await matrix.measuring.compare(matrix.asking(NONE), victim, _longer_than(20 * MS))
    moved.check("system", gateway="beyond")


async def test_who_is_under_way_while_others_block(matrix: Matrix) -> None:
    """His statement is done after 8 ms, and nobody looks at it before the other one has done."""
    statement = "/faults/database?ms=8"
    block = matrix.asking("/faults/blocks?ms=40", caller=1)
    suffer = matrix.asking(statement)

    async def victim() -> str:
        suffering = asyncio.create_task(suffer())
        await asyncio.sleep(0.004)
        await block()
        return await suffering

    moved = await matrix.measuring.compare(matrix.asking(statement), victim, _longer_than(28 * MS))
    assert moved.customers.components["sched"] >= 0.9 * moved.added > 0, moved
    assert moved.gateway.terms["system"] >= 0.9 * moved.added, moved
    assert -9 * MS < moved.customers.components["db"] < MS, moved  # see above
    assert abs(moved.gateway.terms["network"]) < MS, moved


async def test_other_replicas_do_not_notice_blocking_code(matrix: Matrix) -> None:
    path = f"/narrow{NONE}"
    victim = matrix.behind("/faults/blocks?ms=40", path)
    (await matrix.measuring.compare(matrix.asking(path), victim)).check_nothing(40 * MS)


async def test_no_connection_is_free(matrix: Matrix) -> None:
    path = f"/narrow{NONE}"
    victim = matrix.behind("/narrow/faults/database?ms=40", path)
    moved = await matrix.measuring.compare(matrix.asking(path), victim, _longer_than(20 * MS))
    moved.check("system", gateway="service_system", customers="db_wait")


async def test_a_long_way(matrix: Matrix, wire: SlowWire | None) -> None:
    if wire is None:
        pytest.skip("packets cannot be delayed here: that takes Linux, /dev/net/tun and the right to use it")
    near, far = matrix.asking(f"/near{NONE}"), matrix.asking(f"/far{NONE}")
    moved = await matrix.measuring.compare(near, far)
    moved.check("network", gateway="wire")
    assert moved.gateway.components["wire"] >= 10 * MS


async def test_no_place_is_free(matrix: Matrix) -> None:
    path = f"/queued{NONE}"
    victim = matrix.behind("/queued/faults/waits?ms=40", path)
    moved = await matrix.measuring.compare(matrix.asking(path), victim, _longer_than(20 * MS))
    moved.check("system", gateway="pool_wait")


async def test_who_is_turned_away_has_waited(matrix: Matrix) -> None:
    request_id = await matrix.behind("/queued/faults/waits?ms=200", f"/queued{NONE}")()
    (sample,) = matrix.measuring.samples([request_id])
    assert matrix.traffic.asked[-2].status == 503
    assert sample.services == []
    assert sample.gateway.components["pool_wait"] >= 20 * MS
    assert sample.gateway.terms["system"] >= 0.9 * sum(sample.gateway.terms.values())


def _retried(sample: Sample) -> bool:
    return len(sample.services) == 2


def _has_paused(sample: Sample) -> bool:
    """Not just for an instant, which may be as well."""
    return _retried(sample) and sample.gateway.components["backoff"] > 20 * MS


async def test_a_first_attempt_that_fails(matrix: Matrix) -> None:
    """What it took is told as it took it."""
    path = "/faults/fails?ms=40&only="
    usual, retried = matrix.asking(f"{path}nobody"), matrix.asking(f"/retried{path}one")
    moved = await matrix.measuring.compare(usual, retried, _retried)
    moved.check("processing", gateway="service_processing")


async def test_the_pause_before_a_retry(matrix: Matrix) -> None:
    path = "/faults/fails?ms=0&only=one"
    at_once, later = matrix.asking(f"/retried{path}"), matrix.asking(f"/patient{path}")
    moved = await matrix.measuring.compare(at_once, later, _has_paused, _retried)
    moved.check("system", gateway="backoff")


async def test_a_hedge(matrix: Matrix) -> None:
    path = "/faults/waits?ms=300&only="
    usual, hedged = matrix.asking(f"{path}nobody"), matrix.asking(f"/hedged{path}one")
    moved = await matrix.measuring.compare(
        usual, hedged, lambda sample: "hedge_wait" in sample.gateway.components
    )
    moved.check("system", gateway="hedge_wait")


async def test_who_is_behind_a_slow_request_on_the_connection(matrix: Matrix) -> None:
    """Also the last of several, all of which came at once."""
    caller = matrix.callers[0]

    async def pipelined() -> str:
        requests = [matrix.traffic.head("GET", path) for path in ("/faults/waits?ms=40", NONE, NONE)]
        await caller.send(b"".join(data for _, data in requests))
        for request_id, _ in requests:
            await matrix.traffic.answered(caller, "fault", "GET", request_id, 0)
        return requests[-1][0]

    moved = await matrix.measuring.compare(matrix.asking(NONE), pipelined)
    moved.check("system", gateway="queue")


@pytest.mark.parametrize("size", [1_000, 100_000])
async def test_a_body_that_comes_slowly(matrix: Matrix, size: int) -> None:
    """A small one is passed on as a whole, a large one as it comes."""
    caller = matrix.callers[0]

    async def upload(pause_s: float) -> str:
        request_id, head = matrix.traffic.head("POST", "/faults/takes", {"Content-Length": str(size)})
        await caller.send(head + b"x" * (size - 1))
        if pause_s:
            await asyncio.sleep(pause_s)
        await caller.send(b"x")
        await matrix.traffic.answered(caller, "fault", "POST", request_id, 0)
        return request_id

    moved = await matrix.measuring.compare(lambda: upload(0), lambda: upload(0.04))
    moved.check("network", gateway="upload", customers="sched" if size > 64 * 1024 else "")


async def test_an_answer_that_comes_slowly(matrix: Matrix) -> None:
    path = "/faults/streams?pieces=4&ms="
    moved = await matrix.measuring.compare(matrix.asking(f"{path}0"), matrix.asking(f"{path}10"))
    assert moved.gateway.components["body"] >= 0.7 * moved.added
