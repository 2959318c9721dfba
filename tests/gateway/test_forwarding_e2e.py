"""The gateway as a real process in front of real replicas: what passes, and how."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from tests.gateway.conftest import House
from tests.gateway.echo import BLOCK
from tests.gateway.processes import TENANTS

pytestmark = pytest.mark.process

BIG = 200 * 1024 * 1024
ROOM = 40 * 1024 * 1024


def fields(answer: httpx2.Response) -> dict[str, list[str]]:
    """The headers that the replica saw, by name."""
    seen: dict[str, list[str]] = {}
    for name, value in answer.json()["headers"]:
        seen.setdefault(name, []).append(value)
    return seen


async def raw(house: House, request: str, *, until_closed: bool = True) -> str:
    """What comes back for these very bytes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", house.gateway.port)
    writer.write(request.replace("KEY", house.gateway.keys[0]).replace("\n", "\r\n").encode())
    answer = await reader.read() if until_closed else await reader.readuntil(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    return answer.decode()


async def test_requests_alternate_between_replicas(shared_house: House) -> None:
    async with shared_house.gateway.client() as client:
        seen = [(await client.get("/anything")).json()["replica"] for _ in range(10)]
    assert sorted(seen) == ["a"] * 5 + ["b"] * 5


async def test_target_and_body_arrive_as_sent(shared_house: House) -> None:
    target = "/v1/a%2Fb//c;x=1?filter[a]=%20b&q=%C3%A9&&="
    answer = await raw(
        shared_house,
        f"PATCH {target} HTTP/1.1\nHost: kontor.example\nX-Api-Key: KEY\n"
        "Content-Length: 5\nConnection: close\n\nhello",
    )
    document = json.loads(answer.partition("\r\n\r\n")[2])
    assert (document["method"], document["target"], document["body"]) == ("PATCH", target, "hello")


async def test_what_callers_must_not_say_is_replaced(shared_house: House) -> None:
    async with shared_house.gateway.client() as client:
        answer = await client.get(
            "/headers",
            headers={
                "Host": "kontor.example",
                "X-Kontor-Identity": "forged",
                "X-Kontor-Anything": "forged",
                "X-Forwarded-For": "6.6.6.6",
                "X-Forwarded-Proto": "https",
                "X-Forwarded-Host": "evil.example",
                "X-Forwarded-Port": "666",
                "Forwarded": "for=6.6.6.6",
                "X-Real-Ip": "6.6.6.6",
                "Connection": "keep-alive, X-Drop-Me",
                "X-Drop-Me": "1",
                "Keep-Alive": "timeout=5",
                "Te": "trailers",
                "Via": "1.1 front",
                "X-Keep-Me": "1",
                "X-Request-Id": "abc-1",
            },
        )
    seen = fields(answer)
    assert len(seen["x-kontor-identity"]) == 1
    assert shared_house.gateway.verifier.verify(seen["x-kontor-identity"][0]).principal == "key:key-0"
    assert seen["x-forwarded-for"] == ["127.0.0.1"]
    assert seen["x-forwarded-proto"] == ["http"]
    assert seen["x-forwarded-host"] == ["kontor.example"]
    assert seen["host"][0].startswith("127.0.0.1:")
    assert seen["via"] == ["1.1 front, 1.1 kontor"]
    assert seen["x-keep-me"] == ["1"]
    assert seen["x-request-id"] == ["abc-1"]
    gone = {
        *("x-drop-me", "keep-alive", "te", "connection", "forwarded", "x-real-ip", "x-forwarded-port"),
        *("x-kontor-anything", "authorization", "x-api-key"),
    }
    assert not gone & seen.keys()


async def test_answers_lose_what_is_internal_and_keep_the_rest(shared_house: House) -> None:
    async with shared_house.gateway.client() as client:
        answer = await client.get("/headers", headers={"X-Request-Id": "abc-2"})
    assert answer.headers.get_list("set-cookie") == ["caller=1", "other=2"]
    assert "x-private" not in answer.headers
    assert "x-kontor-secret" not in answer.headers
    assert answer.headers.get_list("x-request-id") == ["abc-2"]
    assert answer.headers.get_list("date") != []
    assert len(answer.headers.get_list("date")) == 1
    assert answer.headers["via"] == "1.1 kontor"
    assert answer.headers["ratelimit-policy"] == '"default";q=4000;w=2'
    assert answer.headers["ratelimit"].startswith('"default";r=')


async def test_cookies_of_one_caller_do_not_reach_the_next(shared_house: House) -> None:
    async with shared_house.gateway.client() as client:
        await client.get("/first")
    async with shared_house.gateway.client() as client:
        assert "cookie" not in fields(await client.get("/second"))


async def test_each_key_is_its_own_tenant(shared_house: House) -> None:
    async with shared_house.gateway.client() as client:
        for key, tenant in zip(shared_house.gateway.keys, TENANTS, strict=True):
            answer = await client.get("/x", headers={"Authorization": f"bearer {key}"})
            token = fields(answer)["x-kontor-identity"][0]
            assert str(shared_house.gateway.verifier.verify(token).tenant_id) == tenant


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer kontor_wrong"},
        {"Authorization": "Bearer"},
        {"Authorization": "Basic a29udG9y"},
        {"X-Api-Key": "nonsense"},
    ],
)
async def test_no_key_no_way(shared_house: House, headers: dict[str, str]) -> None:
    async with httpx2.AsyncClient(base_url=shared_house.gateway.url, trust_env=False) as client:
        answer = await client.get("/v1/accounts", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith('Bearer realm="kontor"')
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
    assert answer.json()["instance"] == "/v1/accounts"
    assert "ratelimit" in answer.headers


async def test_public_routes_need_no_key_and_vouch_for_nobody(shared_house: House) -> None:
    async with httpx2.AsyncClient(base_url=shared_house.gateway.url, trust_env=False) as client:
        answer = await client.get("/docs/echo/more?x=1", headers={"X-Kontor-Identity": "forged"})
        assert answer.json()["target"] == "/documentation/more?x=1"
        assert "x-kontor-identity" not in fields(answer)
        page = await client.get("/docs")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert 'href="/docs/echo/"' in page.text


async def test_own_pages(shared_house: House) -> None:
    async with httpx2.AsyncClient(base_url=shared_house.gateway.url, trust_env=False) as client:
        assert (await client.get("/livez")).json() == {"status": "ok"}
        assert (await client.head("/readyz")).status_code == 200
        refused = await client.post("/livez")
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("path", ["/docs/echo/../secret", "/docs/echo/%2e%2E/secret", "/./x"])
async def test_dot_segments_are_refused(shared_house: House, path: str) -> None:
    answer = await raw(shared_house, f"GET {path} HTTP/1.1\nHost: a\nConnection: close\n\n")
    assert answer.startswith("HTTP/1.1 400 ")
    assert '"code": "bad_path"' in answer


@pytest.mark.parametrize("hosts", ["", "Host: a\nHost: b\n"])
async def test_exactly_one_host(shared_house: House, hosts: str) -> None:
    answer = await raw(shared_house, f"GET / HTTP/1.1\n{hosts}X-Api-Key: KEY\nConnection: close\n\n")
    assert answer.startswith("HTTP/1.1 400 ")


@pytest.mark.parametrize(
    "request_",
    [
        "GET /caf\u00e9 HTTP/1.1\nHost: a\n\n",
        "GET /x HTTP/1.1\nHost: a\nX-Kontor-Identity : forged\n\n",
        "POST /x HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\nContent-Length: 3\n\n3\nabc\n0\n\n",
        "POST /x HTTP/1.1\nHost: a\nContent-Length: 3\nContent-Length: 3\n\nabc",
        "nonsense\n\n",
    ],
)
async def test_what_is_no_http_is_refused_with_a_problem(shared_house: House, request_: str) -> None:
    head, _, body = (await raw(shared_house, request_)).partition("\r\n\r\n")
    assert head.startswith("HTTP/1.1 400 ")
    assert "application/problem+json" in head
    document = json.loads(body)
    assert document["code"] == "malformed_request"
    assert f"x-request-id: {document['request_id']}" in head


async def test_too_large_heads(shared_house: House) -> None:
    async with shared_house.gateway.client() as client:
        assert (await client.get("/", headers={"X-Long": "x" * 40_000})).status_code == 431
        assert (await client.get("/" + "x" * 40_000)).status_code == 414


@pytest.mark.parametrize("code", [204, 304])
async def test_answers_without_body(shared_house: House, code: int) -> None:
    async with shared_house.gateway.client() as client:
        for _ in range(3):
            assert (await client.get(f"/status?code={code}")).status_code == code
            assert (await client.head("/anything")).headers["content-type"] == "application/json"


async def test_traceparent_passes(shared_house: House) -> None:
    trace = {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01", "tracestate": "vendor=1"}
    async with shared_house.gateway.client() as client:
        seen = fields(await client.get("/trace", headers=trace))
        assert seen["traceparent"][0].startswith(f"00-{'a' * 32}-")
        assert seen["tracestate"] == ["vendor=1"]
        seen = fields(await client.get("/trace", headers={"traceparent": "nonsense"}))
        assert seen.get("traceparent") != ["nonsense"]


async def test_bad_request_ids_are_replaced(shared_house: House) -> None:
    async with shared_house.gateway.client() as client:
        answer = await client.get("/x", headers={"X-Request-Id": "a b"})
        assert len(answer.headers["x-request-id"]) == 36
        assert fields(answer)["x-request-id"] == [answer.headers["x-request-id"]]
        answer = await client.get("/x", headers={"X-Request-Id": "x" * 129})
        assert len(answer.headers["x-request-id"]) == 36


async def test_expect_continue_is_answered(shared_house: House) -> None:
    head = "POST /x HTTP/1.1\nHost: a\nX-Api-Key: KEY\nContent-Length: 2\nExpect: 100-continue\n\n"
    assert "100 Continue" in await raw(shared_house, head, until_closed=False)


async def test_nothing_is_held_back(shared_house: House) -> None:
    """A piece of an answer reaches the caller while the replica has not made the next one yet."""
    async with shared_house.gateway.client() as client, client.stream("GET", "/ticks") as answer:
        pieces = answer.aiter_raw()
        assert await anext(pieces) == b"first"
        for replica in shared_house.replicas:
            async with httpx2.AsyncClient(trust_env=False) as direct:
                await direct.get(f"http://127.0.0.1:{replica.port}/tick")
        assert await anext(pieces) == b"second"


async def big_body() -> AsyncIterator[bytes]:
    for _ in range(BIG // len(BLOCK)):
        yield BLOCK


async def test_a_large_upload_at_constant_memory(shared_house: House) -> None:
    async with shared_house.gateway.client() as client:
        await client.post("/sink", content=BLOCK)
        before = shared_house.gateway.rss()
        for headers in ({}, {"Content-Length": str(BIG)}):
            sending = asyncio.create_task(client.post("/sink", content=big_body(), headers=headers))
            peak = await peak_memory(shared_house, sending)
            answer: Any = (await sending).json()
            assert answer["bytes"] == BIG
            assert answer["sha256"] == hashlib.sha256(bytes(BIG)).hexdigest()
            assert peak - before < ROOM


@pytest.mark.parametrize("query", ["", "&length"])
async def test_a_large_download_to_a_slow_reader_at_constant_memory(shared_house: House, query: str) -> None:
    async def download() -> int:
        size = 0
        path = f"/source?bytes={BIG}{query.replace('length', 'length=1')}"
        async with shared_house.gateway.client() as client, client.stream("GET", path) as answer:
            # Time for a gateway without back-pressure to swallow it all.
            await asyncio.sleep(1)
            async for piece in answer.aiter_raw():
                size += len(piece)
        return size

    before = shared_house.gateway.rss()
    downloading = asyncio.create_task(download())
    peak = await peak_memory(shared_house, downloading)
    assert await downloading == BIG
    assert peak - before < ROOM


async def peak_memory(house: House, task: asyncio.Task[Any]) -> int:
    peak = 0
    while not task.done():
        peak = max(peak, house.gateway.rss())
        await asyncio.sleep(0.02)
    return peak
