"""Killed replicas, leaving callers, stopped gateways: with real processes."""

import asyncio
import hashlib
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from services.gateway.auth.keys import new_key
from tests.gateway.conftest import House, running
from tests.gateway.processes import GatewayProcess, Process, Replica, eventually, free_port

pytestmark = pytest.mark.process


async def healthy(house: House, count: int) -> None:
    """Wait until so many replicas take requests, as seen from the outside."""

    async def reached() -> bool:
        async with house.gateway.client() as client:
            seen = {(await client.get("/who")).json().get("replica") for _ in range(6)}
        return len(seen - {None}) == count

    await eventually(reached)


async def test_reads_at_a_steady_rate_lose_nothing_when_replicas_are_killed(house: House) -> None:
    statuses: list[int | str] = []

    async def read(client: httpx2.AsyncClient) -> None:
        try:
            statuses.append((await client.get("/slow?s=0.02")).status_code)
        except httpx2.TransportError as error:
            statuses.append(repr(error))

    async with house.gateway.client() as client, asyncio.TaskGroup() as tasks:
        for replica in house.replicas:
            for number in range(150):
                if number == 30:
                    replica.kill()
                if number == 80:
                    replica.stop()
                    replica.start()
                tasks.create_task(read(client))
                await asyncio.sleep(0.02)
            await healthy(house, 2)
    assert statuses == [200] * 300


async def test_an_idempotent_request_survives_the_replica_it_kills(house: House) -> None:
    async with house.gateway.client() as client:
        answers = [await client.put("/die?only=a", content=b"again") for _ in range(2)]
    assert [(one.status_code, one.json()["replica"], one.json()["body"]) for one in answers] == [
        (200, "b", "again")
    ] * 2


async def test_an_idempotency_key_makes_a_post_repeatable(house: House) -> None:
    async with house.gateway.client() as client:
        for _ in range(2):
            answer = await client.post("/die?only=a", content=b"x", headers={"Idempotency-Key": "1"})
            assert answer.json()["replica"] == "b"


async def test_a_post_without_key_is_never_repeated(house: House) -> None:
    async with house.gateway.client() as client:
        answers = [await client.post("/die?only=a", content=b"x") for _ in range(2)]
    assert sorted(answer.status_code for answer in answers) == [200, 502]
    problem = next(answer for answer in answers if answer.status_code == 502)
    assert problem.json()["code"] == "upstream_broke"
    state = await house.replicas[1].ask("/state")
    assert state["requests"] == 1


async def test_a_long_body_is_not_repeated(house: House) -> None:
    async with house.gateway.client() as client:
        statuses = {(await client.put("/die?only=a", content=bytes(200_000))).status_code for _ in range(2)}
    assert statuses == {200, 502}


async def test_a_post_never_meets_a_connection_that_died_in_the_pool(house: House) -> None:
    """Each replica is killed while an idle connection to it waits, and is back before the next POST."""
    async with house.gateway.client() as client:
        for _ in range(4):
            assert (await client.post("/x", content=b"1")).status_code == 200
        for replica in house.replicas:
            replica.kill()
            replica.stop()
            replica.start()
            await replica.until("requests", 0)
        await house.gateway.until_ready()
        for _ in range(8):
            assert (await client.post("/x", content=b"1")).status_code == 200


async def test_a_post_goes_elsewhere_when_the_connection_is_refused(tmp_path: Path) -> None:
    """With checks so rare that only the refusal itself tells."""
    async with running(tmp_path) as house:
        config = json.loads((tmp_path / "gateway.yaml").read_text())
        config["upstreams"]["echo"]["health"]["interval_s"] = 3600
        folder = tmp_path / "other"
        folder.mkdir()
        gateway = GatewayProcess(folder, house.replicas, config)
        try:
            await gateway.until_ready()
            house.replicas[0].kill()
            async with gateway.client() as client:
                replicas = [(await client.post("/x")).json()["replica"] for _ in range(6)]
            assert replicas == ["b"] * 6
        finally:
            print(gateway.stop())


async def test_no_replica_left(house: House) -> None:
    for replica in house.replicas:
        replica.kill()
    async with house.gateway.client() as client:
        answer = await client.get("/x")
        ready = await client.get("/readyz")
    assert answer.status_code == ready.status_code == 503
    assert answer.headers["retry-after"] == "1"
    assert answer.headers["content-type"] == "application/problem+json"
    assert ready.json()["code"] == "not_ready"
    assert ready.json()["errors"][0]["pointer"] == "/upstreams/echo"


async def test_a_replica_that_says_so_gets_no_requests(house: House) -> None:
    await house.replicas[0].ask("/unready")
    await healthy(house, 1)
    async with house.gateway.client() as client:
        assert {(await client.get("/x")).json()["replica"] for _ in range(6)} == {"b"}


async def test_silence_is_a_timeout(shared_house: House) -> None:
    async with shared_house.gateway.client() as client:
        answer = await client.get("/wait/impatient")
    assert (answer.status_code, answer.json()["code"]) == (504, "upstream_timeout")


async def test_a_broken_answer_is_not_passed_off_as_whole(shared_house: House) -> None:
    async with shared_house.gateway.client() as client:
        with pytest.raises(httpx2.RemoteProtocolError):
            await client.get("/cut")


async def test_a_short_answer_that_breaks_never_begins(shared_house: House) -> None:
    """It was held back until it would be whole, and others were asked in vain."""
    async with shared_house.gateway.client() as client:
        answer = await client.get("/cut?length=1")
    assert (answer.status_code, answer.json()["code"]) == (502, "upstream_broke")


@pytest.mark.parametrize("query", ["", "?head=1"])
async def test_a_caller_who_leaves_frees_the_replica(house: House, query: str) -> None:
    request = f"POST /wait{query} HTTP/1.1\r\nHost: a\r\nX-Api-Key: {house.gateway.keys[0]}\r\n"
    request += "Content-Length: 2\r\n\r\nhi"
    for _ in house.replicas:
        _, writer = await asyncio.open_connection("127.0.0.1", house.gateway.port)
        writer.write(request.encode())
        await asyncio.sleep(0.3)
        writer.close()
        await writer.wait_closed()
    for replica in house.replicas:
        await replica.until("aborted", 1)


async def test_a_caller_who_leaves_during_the_upload_frees_the_replica(house: House) -> None:
    request = f"POST /wait HTTP/1.1\r\nHost: a\r\nX-Api-Key: {house.gateway.keys[0]}\r\n"
    for _ in house.replicas:
        _, writer = await asyncio.open_connection("127.0.0.1", house.gateway.port)
        writer.write(f"{request}Content-Length: 100000\r\n\r\nbeginning".encode())
        await asyncio.sleep(0.3)
        writer.transport.abort()
    for replica in house.replicas:
        # The replica saw the connection end: it goes on, and waits for the disconnection it then gets.
        await replica.until("aborted", 1)


async def test_too_long_bodies(tmp_path: Path) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"x" * 100

    limits = {"limits": {"max_body_bytes": 1000}}
    async with running(tmp_path, limits) as house, house.gateway.client() as client:
        assert (await client.post("/sink", content=bytes(1001))).status_code == 413
        assert (await client.post("/sink", content=pieces())).status_code == 413
        assert (await client.post("/sink", content=bytes(1000))).json()["bytes"] == 1000


async def test_the_rate_limit(tmp_path: Path) -> None:
    async with running(tmp_path, {"rate_limit": {"per_second": 1, "burst": 3}}) as house:
        async with house.gateway.client() as client:
            answers = [await client.get("/x") for _ in range(5)]
            other = await client.get("/x", headers={"Authorization": f"Bearer {house.gateway.keys[1]}"})
        assert [answer.status_code for answer in answers[:3]] == [200] * 3
        assert answers[0].headers["ratelimit"] == '"default";r=2;t=1'
        assert answers[0].headers["ratelimit-policy"] == '"default";q=3;w=3'
        refused = answers[4]
        assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
        assert int(refused.headers["retry-after"]) >= 1
        assert refused.headers["ratelimit"].startswith('"default";r=0;t=')
        assert other.status_code == 200


async def test_keys_are_reread_on_sighup(house: House) -> None:
    key, digest = new_key()
    async with house.gateway.client() as client:
        assert (await client.get("/x")).status_code == 200
        house.gateway.write_keys([digest])
        house.gateway.signal(signal.SIGHUP)

        async def accepted() -> bool:
            return (await client.get("/x", headers={"Authorization": f"Bearer {key}"})).status_code == 200

        await eventually(accepted)
        assert (await client.get("/x")).status_code == 401
        house.gateway.keys_file.write_text("keys: [{id: broken}]")
        house.gateway.signal(signal.SIGHUP)
        await asyncio.sleep(0.3)
        assert await accepted()
    house.gateway.kill()
    assert "keys[0].sha256" in house.gateway.stop()


async def test_sigterm_finishes_what_runs_and_exits_0(house: House) -> None:
    async with house.gateway.client() as client:
        running_requests = [asyncio.create_task(client.get("/slow?s=1")) for _ in range(8)]
        size = 20_000_000
        download = asyncio.create_task(client.get(f"/source?bytes={size}"))
        for replica in house.replicas:
            await replica.until("waiting", 4)
        assert await house.gateway.drain() == 0
        assert [(await request).status_code for request in running_requests] == [200] * 8
        body = (await download).content
        assert hashlib.sha256(body).digest() == hashlib.sha256(bytes(size)).digest()


@pytest.mark.parametrize(
    ("field", "text", "complaint"),
    [
        (
            "gateway.yaml",
            "routes: [{name: x, prefix: /x, upstream: none}]\nupstreams: {}",
            "routes[0].upstream",
        ),
        ("gateway.yaml", "routes: [", "not YAML"),
        ("keys.yaml", "keys: [{id: 1}]", "keys[0]"),
        ("identity.pem", "nonsense", "Ed25519 private key"),
    ],
)
async def test_mistakes_give_one_sentence(tmp_path: Path, field: str, text: str, complaint: str) -> None:
    replica = Replica("a")
    gateway = GatewayProcess(tmp_path, [replica])
    gateway.stop()
    replica.stop()
    (tmp_path / field).write_text(text)
    gateway.start()
    assert await gateway.ended() == 1
    printed = gateway.stop()
    assert complaint in printed
    assert "Traceback" not in printed


async def test_missing_settings_are_named() -> None:
    process = Process(["-m", "services.gateway"], {"GATEWAY_PORT": str(free_port())})
    assert await process.ended() == 1
    assert "GATEWAY_CONFIG_FILE" in process.stop()
