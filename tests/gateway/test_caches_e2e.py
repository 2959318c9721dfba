"""The caches of a real gateway with two workers, as its operators see and steer them."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.gateway.admin.cache_schemas import Cache, Policies, Used
from services.gateway.admin.schemas import Explanation
from tests.gateway.operated import Operated, operated
from tests.gateway.processes import TENANTS, Process
from tests.shared.telemetry.metrics.recording import samples_of, value

pytestmark = pytest.mark.process

CONFIG = {
    "workers": 2,
    "rate_limit": {"enabled": False},
    "routes": [
        {"name": "all", "prefix": "/", "upstream": "echo", "cache": {}},
        {"name": "plain", "prefix": "/plain", "upstream": "echo"},
    ],
}
PATH = "/kept?tags=things%20things/1"


@pytest.fixture(scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Operated]:
    async with operated(tmp_path_factory.mktemp("caches"), CONFIG, replicas=1) as house:
        await house.workers(2)
        yield house


async def cache_of(house: Operated) -> Cache:
    (told,) = (await house.admin.get("caches")).json()
    return Cache.model_validate(told)


async def ask(house: Operated, path: str = PATH) -> str:
    """On a connection of its own; what the cache says of it."""
    async with house.gateway.client() as client:
        answer = await client.get(path)
        assert answer.status_code == 200
        return answer.headers["cache-status"]


async def fill(house: Operated, *paths: str) -> int:
    """Ask until both workers have an answer; how many requests that took."""
    before = sum((await cache_of(house)).requests.values())
    for path in paths or (PATH,):
        wanted = (await cache_of(house)).entries + 2
        for _ in range(200):
            await ask(house, path)
            if (await cache_of(house)).entries == wanted:
                break
        else:
            raise AssertionError("one of the workers is never asked")
    return sum((await cache_of(house)).requests.values()) - before


async def purged(house: Operated, **order: Any) -> int:
    answer = await house.admin.post("caches/purge", json=order)
    assert answer.status_code == 200, answer.text
    assert answer.json()["workers"] == [1, 2]
    dropped: int = answer.json()["dropped"]
    return dropped


async def test_what_is_told_is_what_happened(house: Operated) -> None:
    before = await cache_of(house)
    count = await fill(house)
    cache = await cache_of(house)
    assert (cache.route, cache.prefix, cache.policies, cache.workers) == ("all", "/", ["s3fifo"], [1, 2])
    assert (cache.visibility, cache.current, cache.bound_bytes) == ("scopes", True, 2 * 32 * 1024**2)
    assert cache.requests["miss"] - before.requests["miss"] == 2
    assert cache.requests["hit"] - before.requests["hit"] == count - 2
    assert cache.stored - before.stored == 2
    assert cache.hit_ratio is not None
    answers = (await house.admin.get("caches/all/top")).json()
    (used,) = [one for one in map(Used.model_validate, answers) if one.url.endswith("/kept?tags=REDACTED")]
    assert (used.tenant_id, used.visibility, used.tags) == (TENANTS[0], "scopes", ["things", "things/1"])
    assert (used.keys, used.workers, used.hits) == (2, [1, 2], count - 2)
    assert await purged(house, route="all") == 2


async def test_explain(house: Operated) -> None:
    await fill(house)
    for key, outcome, why in (
        (house.gateway.keys[0], "cached", "hit"),
        (house.gateway.keys[1], "forwarded", "miss"),
        (None, "forwarded", "unknown"),
    ):
        headers = {} if key is None else {"X-Api-Key": key}
        query = {"path": PATH, "host": f"127.0.0.1:{house.gateway.port}"}
        answer = await house.admin.get("explain", params=query, headers=headers)
        told = Explanation.model_validate(answer.json())
        assert told.cache is not None
        assert (told.outcome, told.cache.outcome) == (outcome, why)
    await purged(house, route="all")


async def test_purging(house: Operated) -> None:
    await fill(house)
    assert await purged(house, upstream="echo", tags=["things/1"], tenant=TENANTS[1]) == 0
    assert await purged(house, upstream="echo", tags=["things/1"]) == 0  # what is for everyone
    assert await purged(house, upstream="echo", tags=["things/2", "things/1"], tenant=TENANTS[0]) == 2
    assert "fwd=uri-miss" in await ask(house)
    await purged(house, route="all")
    await fill(house, "/kept/a?tags=x", "/kept/b?tags=x", "/kept?tags=x")
    assert await purged(house, route="all", path="/kept/a") == 0
    assert await purged(house, route="all", path="/kept/a?tags=x") == 2
    assert await purged(house, route="all", prefix="/kept/", tenant=TENANTS[1]) == 0
    assert await purged(house, route="all", prefix="/kept/", tenant=TENANTS[0]) == 2
    assert (await cache_of(house)).entries == 2
    assert await purged(house, route="all") == 2


async def test_another_policy_until_the_next_reload(house: Operated) -> None:
    await fill(house)
    told = Cache.model_validate(
        (await house.admin.post("caches/all/policy", json={"policy": "sieve"})).json()
    )
    assert (told.policies, told.entries) == (["sieve"], 2)
    assert (await house.admin.post("reload")).status_code == 200
    again = await cache_of(house)
    assert (again.policies, again.entries) == (["s3fifo"], 2)
    await purged(house, route="all")


async def test_the_policies_side_by_side(house: Operated) -> None:
    await fill(house)
    told = Policies.model_validate((await house.admin.get("caches/all/policies")).json())
    assert (told.route, told.policies, set(told.workers)) == ("all", ["s3fifo"], {"1", "2"})
    assert told.share == pytest.approx(0.05)
    assert told.requests == sum(one.requests for one in told.workers.values())
    names = {"s3fifo", "sieve", "lru", "lfu", "adaptive"}
    assert all(names <= one.hit_ratios.keys() for one in told.workers.values())
    await purged(house, route="all")


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("GET", "caches/plain/top", None, 404, "not_found"),
        ("GET", "caches/nobody/policies", None, 404, "not_found"),
        ("GET", "caches/all/top?count=0", None, 422, "invalid_fields"),
        ("POST", "caches/plain/policy", {"policy": "lru"}, 404, "not_found"),
        ("POST", "caches/all/policy", {"policy": "fifo"}, 422, "invalid_fields"),
        ("POST", "caches/purge", {"route": "plain"}, 404, "not_found"),
        ("POST", "caches/purge", {"upstream": "nobody", "tags": ["x"]}, 404, "not_found"),
        ("POST", "caches/purge", {}, 422, "invalid_fields"),
    ],
)
async def test_errors_are_problems(
    house: Operated, method: str, path: str, body: Any, status: int, code: str
) -> None:
    answer = await house.admin.request(method, path, json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_metrics(house: Operated) -> None:
    page = await house.admin.get(f"http://127.0.0.1:{house.gateway.admin_port}/metrics")
    samples = samples_of(page.text)
    cache = await cache_of(house)
    for outcome, count in cache.requests.items():
        assert value(samples, "crm_gateway_cache_requests_total", http_route="/", outcome=outcome) == count
    assert value(samples, "crm_gateway_cache_entries") == cache.entries
    assert value(samples, "crm_gateway_cache_invalidations_total") == cache.invalidated > 0


async def test_the_command_line(house: Operated) -> None:
    environ = {
        "KONTOR_ADMIN_URL": str(house.admin.base_url),
        "KONTOR_ADMIN_KEY_FILE": str(house.gateway.config_file.with_name("admin.key")),
        "KONTOR_API_KEY": house.gateway.keys[0],
    }

    async def kontor(*arguments: str) -> str:
        process = Process(["-m", "cli", "gateway", *arguments], environ)
        assert await process.ended() == 0
        return process.stop()

    await fill(house)
    told = await kontor("caches")
    assert "all (/, s3fifo): hit ratio" in told
    assert "2 entries" in told
    explained = await kontor("explain", PATH, "--host", f"127.0.0.1:{house.gateway.port}")
    assert "cache     hit: The stored answer is fresh." in explained
    assert "dropped: 2" in await kontor(
        "purge", "--upstream", "echo", "--tag", "things/1", "--tenant", TENANTS[0]
    )
    assert "dropped: 0" in await kontor("purge", "--route", "all")
