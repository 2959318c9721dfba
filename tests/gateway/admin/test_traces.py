"""The admin API's traces: asked of all workers, put together, and refused when the question is wrong."""

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

import httpx2
import pytest

from services.gateway.admin.api import create_app
from services.gateway.control.parent import Parent
from services.gateway.timing.finished import FinishedRequest
from services.gateway.timing.keeping import Keeping, KeepingRule
from services.gateway.timing.traces import Traces
from shared.telemetry.terms import ServiceTerms
from tests.gateway.timing.requests import MS, attempt, finished

KEY = "a-key-for-the-tests"
TENANT = "00000000-0000-0000-0000-000000000005"


class Workers:
    """The workers' answers, as their commands give them, without the processes."""

    def __init__(self, count: int) -> None:
        self.traces = {number: Traces(Keeping(KeepingRule(), 0), None) for number in range(1, count + 1)}
        self.now_ns = 0

    async def ask(self, question: str, /, **details: Any) -> dict[int, Any]:
        return {number: self._answer(one, question, **details) for number, one in self.traces.items()}

    def _answer(self, one: Traces, asked: str, /, **details: Any) -> Any:
        match asked:
            case "traces":
                return one.describe(details["question"])
            case "trace":
                return one.explain(details["trace_id"])
            case "record":
                return one.record(**details, now_ns=self.now_ns)
            case "forget":
                return one.forget(**details)
            case _:
                return one.recordings(self.now_ns)


class House:
    """What the admin API works with."""

    def __init__(self, workers: Workers) -> None:
        self.fleet = workers
        self.steering = None

    async def snapshot(self) -> Any:
        return SimpleNamespace(routes=[SimpleNamespace(prefix="/v1/x")])


@pytest.fixture
def workers() -> Workers:
    return Workers(2)


@pytest.fixture
async def admin(workers: Workers) -> AsyncIterator[httpx2.AsyncClient]:
    app = create_app(cast(Parent, House(workers)), KEY)
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app),
        base_url="http://admin/admin/",
        headers={"Authorization": f"Bearer {KEY}"},
    ) as client:
        yield client


def request(trace: int, total_ms: int = 1, status: int = 200, begin_ms: int = 1) -> FinishedRequest:
    begin, end = begin_ms * MS, (begin_ms + total_ms) * MS
    one = attempt(begin, begin, end, end, terms=ServiceTerms(0, 0, MS, 0, 0), host="h", port=1, span_id=9)
    return finished(
        one,
        received=begin,
        started=begin,
        ready=begin,
        slot=begin,
        done=end,
        trace_id=trace,
        span_id=trace,
        status=status,
        template="/v1/x",
        upstream="x",
        kept="sampled",
    )


async def test_of_all_workers_the_last_to_end_first(admin: httpx2.AsyncClient, workers: Workers) -> None:
    workers.traces[1].take([request(1, begin_ms=1), request(3, begin_ms=3)])
    workers.traces[2].take([request(2, begin_ms=2, total_ms=30), request(4, begin_ms=4, status=500)])
    found = (await admin.get("traces")).json()
    assert [(one["trace_id"][-1], one["worker"]) for one in found] == [("2", 2), ("4", 2), ("3", 1), ("1", 1)]
    assert [one["trace_id"][-1] for one in (await admin.get("traces?limit=2")).json()] == ["2", "4"]
    for query, ids in (
        ("min_ms=20", ["2"]),
        ("status=500", ["4"]),
        ("dominant=processing", ["4", "3", "1"]),
        ("dominant=system", ["2"]),
        ("route=/v1/x&kept=sampled&limit=1", ["2"]),
        ("route=/v1/y", []),
    ):
        answer = await admin.get(f"traces?{query}")
        assert [one["trace_id"][-1] for one in answer.json()] == ids, query


async def test_one_trace_with_its_hops(admin: httpx2.AsyncClient, workers: Workers) -> None:
    workers.traces[1].take([request(7, begin_ms=5)])
    workers.traces[2].take([request(7, begin_ms=2), request(8)])
    told = (await admin.get(f"traces/{7:032x}")).json()
    assert told["trace_id"] == f"{7:032x}"
    assert [one["worker"] for one in told["requests"]] == [2, 1]
    for one in told["requests"]:
        assert [hop["hop"] for hop in one["hops"]] == ["gateway", "x"]
        assert [span["kind"] for span in one["spans"]] == ["SERVER", "CLIENT"]
        for hop in one["hops"]:
            assert sum(hop["components"].values()) == hop["total_ns"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"traces/{9:032x}", 404),
        ("traces/9", 422),
        ("traces?dominant=luck", 422),
        ("traces?limit=0", 422),
        ("traces?min_ms=-1", 422),
        ("traces?min_ms=nan", 422),
        ("traces?status=x", 422),
    ],
)
async def test_refusals_are_problems(admin: httpx2.AsyncClient, path: str, status: int) -> None:
    answer = await admin.get(path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


async def test_it_takes_the_key(admin: httpx2.AsyncClient) -> None:
    for path in ("traces", f"traces/{7:032x}", "traces/recordings"):
        answer = await admin.get(path, headers={"Authorization": "Bearer wrong"})
        assert (answer.status_code, answer.json()["code"]) == (401, "bad_admin_key")
    assert (await admin.post("traces/recordings", json={}, headers={"Authorization": ""})).status_code == 401


async def test_recordings(admin: httpx2.AsyncClient, workers: Workers) -> None:
    order = {"route": "/v1/x", "tenant": TENANT, "for_s": 30, "most": 7}
    answer = await admin.post("traces/recordings", json=order)
    told = {"route": "/v1/x", "tenant": TENANT, "for_s": 30.0, "left": 14, "workers": [1, 2]}
    assert (answer.status_code, answer.json()) == (201, [told])
    await admin.post("traces/recordings", json={})
    assert len((await admin.get("traces/recordings")).json()) == 2
    await admin.delete("traces/recordings")
    workers.now_ns = 20_000 * MS
    assert (await admin.get("traces/recordings")).json() == [{**told, "for_s": 10.0}]
    workers.now_ns = 30_000 * MS
    assert (await admin.get("traces/recordings")).json() == []


@pytest.mark.parametrize(
    "order",
    [{"route": "/v1/y"}, {"tenant": "acme"}, {"for_s": 7200}, {"for_s": 0}, {"most": 10_000}, {"what": 1}],
)
async def test_orders_that_make_no_sense(admin: httpx2.AsyncClient, order: dict[str, Any]) -> None:
    answer = await admin.post("traces/recordings", json=order)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"].rpartition("/")[2]) == (
        422,
        next(iter(order)),
    )


async def test_only_an_order_can_be_withdrawn_that_can_be_given(admin: httpx2.AsyncClient) -> None:
    assert (await admin.delete("traces/recordings?tenant=acme")).status_code == 422


async def test_no_worker(admin: httpx2.AsyncClient, workers: Workers) -> None:
    workers.traces.clear()
    assert (await admin.get("traces")).status_code == 503
