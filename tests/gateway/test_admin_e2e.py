"""The admin API of a real gateway: what it tells, and that what it promises is what happens."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from services.gateway.admin.schemas import Explanation
from tests.gateway.operated import Operated, operated
from tests.gateway.processes import Process, eventually

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Operated]:
    async with operated(tmp_path_factory.mktemp("operated")) as house:
        yield house


async def explained(house: Operated, path: str, key: str | None = None, **query: Any) -> Explanation:
    headers = {} if key is None else {"X-Api-Key": key}
    answer = await house.admin.get("explain", params={"path": path, **query}, headers=headers)
    assert answer.status_code == 200, answer.text
    return Explanation.model_validate(answer.json())


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Bearer nonsense"}, {"Authorization": "Basic eA=="}]
)
async def test_nothing_without_the_key(house: Operated, headers: dict[str, str]) -> None:
    async with httpx2.AsyncClient(base_url=house.admin.base_url, trust_env=False) as anyone:
        for method, path in (("GET", "routes"), ("POST", "reload"), ("GET", "explain")):
            answer = await anyone.request(method, path, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (401, "bad_admin_key")
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_callers_keys_are_no_admin_keys(house: Operated) -> None:
    headers = {"Authorization": f"Bearer {house.gateway.keys[0]}"}
    assert (await house.admin.get("routes", headers=headers)).status_code == 401


async def test_the_api_is_documented(house: Operated) -> None:
    document = (await house.admin.get("openapi.json")).json()
    assert {path.removeprefix("/admin/") for path in document["paths"]} == {
        *("routes", "upstreams", "upstreams/{name}", "ledger", "workers", "explain", "reload"),
        *("traces", "traces/{trace_id}", "traces/recordings"),
        *("caches", "caches/second", "caches/peers", "caches/purge"),
        *(f"caches/{{route}}/{part}" for part in ("policies", "policy", "top")),
        *(f"upstreams/{{name}}/replicas/{{address}}/{action}" for action in ("drain", "undrain", "weight")),
    }


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "nothing", 404, "http_error"),
        ("DELETE", "routes", 405, "http_error"),
        ("GET", "upstreams/nobody", 404, "not_found"),
        ("GET", "caches/second", 404, "not_found"),
        ("GET", "caches/peers", 404, "not_found"),
        ("POST", "upstreams/echo/replicas/1.2.3.4:5/drain", 404, "not_found"),
        ("GET", "explain", 422, "invalid_fields"),
        ("GET", "explain?path=/x&header=nonsense", 400, "bad_query"),
        ("GET", "explain?path=/x&worker=7", 404, "not_found"),
    ],
)
async def test_errors_are_problems(house: Operated, method: str, path: str, status: int, code: str) -> None:
    answer = await house.admin.request(method, path, headers={"X-Request-Id": "mine"})
    assert (answer.status_code, answer.json()["code"], answer.json()["request_id"]) == (status, code, "mine")


async def test_routes_and_workers(house: Operated) -> None:
    routes = (await house.admin.get("routes")).json()
    assert [(route["name"], route["timeout_s"]) for route in routes[:2]] == [("all", 30), ("impatient", 0.3)]
    (worker,) = (await house.admin.get("workers")).json()
    assert (worker["number"], worker["ready"], worker["pid"]) == (1, True, house.gateway.workers()[0])


async def test_the_books_balance_also_while_requests_are_under_way(house: Operated) -> None:
    async with house.gateway.client() as client:
        await client.get("/x")
        await client.post("/die?only=nobody")
        under_way = [asyncio.create_task(client.get("/slow?s=0.5")) for _ in range(4)]

        async def seen() -> bool:
            return bool((await house.upstream())["account"]["in_flight"] == 4)

        await eventually(seen)
        ledger = (await house.admin.get("ledger")).json()
        assert (ledger["balances"], ledger["mistakes"]) == (True, [])
        assert ledger["total"]["in_flight"] == 4
        assert sum(one["active"] for one in (await house.upstream())["replicas"]) == 4
        await asyncio.gather(*under_way)
    total = (await house.admin.get("ledger")).json()["total"]
    assert total["attempts"] == total["first"] + total["retries"] + total["hedges"]
    assert total["attempts"] == sum(total["outcomes"].values())


async def test_explain_agrees_with_what_then_happens(house: Operated) -> None:
    names = {f"127.0.0.1:{replica.port}": replica.name for replica in house.replicas}
    async with house.gateway.client() as client:
        seen = []
        for _ in range(6):
            told = [await explained(house, "/anything?x=1", house.gateway.keys[0]) for _ in range(2)]
            assert told[0].balancing == told[1].balancing  # asking has not changed the turn
            assert told[0].balancing is not None
            assert told[0].balancing.chosen is not None
            answer = (await client.get("/anything?x=1")).json()
            assert names[told[0].balancing.chosen] == answer["replica"]
            assert told[0].target == answer["target"]
            assert told[0].balancing.chosen in told[0].reason
            seen.append(answer["replica"])
    assert set(seen) == {"a", "b"}


async def test_explain_changes_nothing(house: Operated) -> None:
    key = house.gateway.keys[1]
    before = await house.upstream()
    allowances = []
    for _ in range(5):
        explanation = await explained(house, "/x", key)
        assert explanation.rate_limit is not None
        allowances.append((explanation.rate_limit["counted_by"], explanation.rate_limit["remaining"]))
    assert allowances == [("key-1", 3999)] * 5
    after = await house.upstream()
    assert after["account"] == before["account"]
    for replica in (*before["replicas"], *after["replicas"]):
        replica["latency_ms"] = 0  # fades as time goes by
        replica["connections"] = {}  # are closed when idle
    assert after["replicas"] == before["replicas"]


async def test_explain_tells_how_a_request_fares(house: Operated) -> None:
    allowed = await explained(house, "/x", house.gateway.keys[0], header="X-Kontor-Timeout-Ms: 5")
    assert allowed.outcome == "forwarded"
    assert allowed.auth is not None
    assert (allowed.auth["outcome"], allowed.auth["key_id"]) == ("accepted", "key-0")
    assert (allowed.retries or {})["max_retries"] == 2
    assert (allowed.deadline or {})["timeout_s"] == 30
    assert (await explained(house, "/x")).auth == {"outcome": "assumed", "reason": "no key was given to try"}
    public = await explained(house, "/docs/echo/more")
    assert (public.target, (public.auth or {})["outcome"]) == ("/documentation/more", "not_needed")
    assert (await explained(house, "/livez")).outcome == "own_page"


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [("/x", {"method": "TRACE"}, 501), ("/../x", {}, 400), ("/x", {"host": "a b"}, 400), ("/ü", {}, 400)],
)
async def test_explain_says_why_a_request_is_refused(
    house: Operated, path: str, query: dict[str, str], status: int
) -> None:
    explanation = await explained(house, path, **query)
    assert explanation.outcome == "refused"
    assert (explanation.problem or {})["status"] == status


async def test_explain_tells_a_wrong_key(house: Operated) -> None:
    explanation = await explained(house, "/x", "kontor_wrong")
    assert (explanation.outcome, (explanation.problem or {})["code"]) == ("refused", "invalid_credentials")
    assert (explanation.auth or {})["outcome"] == "refused"


async def test_a_drain_empties_a_replica_and_lasts(house: Operated) -> None:
    async with house.gateway.client() as client:
        slow = [asyncio.create_task(client.get("/slow?s=0.6")) for _ in range(4)]
        await house.replicas[0].until("waiting", 2)
        drained = (await house.admin.post(house.path(0, "drain"))).json()
        assert (drained["drained"], drained["usable"], drained["why_not"]) == (True, False, ["drained"])
        assert drained["active"] >= 1
        assert {(await client.get("/x")).json()["replica"] for _ in range(6)} == {"b"}
        assert [(await request).status_code for request in slow] == [200] * 4  # nothing was cut off
        assert (await house.replica(0))["active"] == 0
        excluded = (await explained(house, "/x")).balancing
        assert excluded is not None
        assert [(one.address, one.reason) for one in excluded.excluded] == [(drained["address"], "drained")]

        assert (await house.admin.post("reload")).status_code == 200
        assert {(await client.get("/x")).json()["replica"] for _ in range(4)} == {"b"}

        (worker,) = await house.workers(1)
        os.kill(worker, signal.SIGKILL)

        async def restarted() -> bool:
            return await house.workers(1) != [worker]

        await eventually(restarted)
        await house.gateway.until_ready()
    async with house.gateway.client() as client:
        assert {(await client.get("/x")).json()["replica"] for _ in range(6)} == {"b"}
        assert (await house.admin.get("workers")).json()[0]["restarts"] == 1

        undrained = (await house.admin.post(house.path(0, "undrain"))).json()
        assert (undrained["drained"], undrained["why_not"]) == (False, [])
        assert {(await client.get("/x")).json()["replica"] for _ in range(6)} == {"a", "b"}


async def test_the_command_line(house: Operated) -> None:
    environ = {
        "KONTOR_ADMIN_URL": str(house.admin.base_url),
        "KONTOR_ADMIN_KEY_FILE": str(house.gateway.config_file.with_name("admin.key")),
    }

    async def kontor(*arguments: str) -> str:
        process = Process(["-m", "cli", "gateway", *arguments], environ)
        assert await process.ended() == 0
        return process.stop()

    address = f"127.0.0.1:{house.replicas[0].port}"
    assert "drained" in await kontor("drain", "echo", address)
    assert f"excluded  {address} drained" in await kontor("explain", "/x")
    assert "in force: 3 routes, 1 upstreams, 2 keys, 1 workers" in await kontor("reload")
    assert "in use" in await kontor("undrain", "echo", address)
    assert address in await kontor("replicas")


async def test_weights(house: Operated) -> None:
    answer = await house.admin.put(house.path(1, "weight"), json={"weight": 3})
    assert (answer.json()["weight"], answer.json()["live_weight"]) == (3, 3)
    async with house.gateway.client() as client:
        seen = [(await client.get("/x")).json()["replica"] for _ in range(16)]
    assert seen.count("b") == 12
    assert (await house.admin.put(house.path(1, "weight"), json={"weight": -1})).status_code == 422
    assert (await house.admin.put(house.path(1, "weight"), json={"weight": 1})).json()["weight"] == 1
