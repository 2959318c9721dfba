"""Several workers on one port: killed, drained and reloaded while callers go on asking."""

import asyncio
import json
import os
import signal
import socket
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.gateway.operated import Load, Operated, operated
from tests.gateway.processes import GatewayProcess, Process, Replica, document, eventually, free_port

pytestmark = pytest.mark.process

TWO: dict[str, Any] = {"workers": 2, "rate_limit": {"enabled": False}}


async def requests_of_workers(house: Operated) -> list[int]:
    told = (await house.upstream())["workers"]
    return [one["account"]["requests"] for one in told.values()]


def rewrite(house: Operated, replicas: list[Replica], **changes: Any) -> None:
    """Another document, with these replicas."""
    changed = document(replicas) | TWO
    changed["upstreams"]["echo"] |= changes.pop("echo", {})
    house.gateway.config_file.write_text(json.dumps(changed | changes))


async def test_killed_workers_and_reloads_under_load(tmp_path: Path) -> None:
    """One story, as starting all these processes takes longest."""
    async with operated(tmp_path, TWO, replicas=3) as house:
        first, second = await house.workers(2)
        load = Load(house.gateway, again=True)
        await load.answered(100)
        assert all(count > 10 for count in await requests_of_workers(house))

        # A worker is killed: its open connections end, new ones wait for its successor.
        os.kill(first, signal.SIGKILL)
        await load.answered(100)
        successor, same = await house.workers(2)
        assert same == second
        assert successor != first
        assert len(load.resets) <= 8
        resets = len(load.resets)

        # Replicas go and come, and the policy changes.
        a, b, c = house.replicas
        for replicas, policy in (([a, b], "least_requests"), ([b, c], "adaptive"), ([a, b, c], "random")):
            rewrite(house, replicas, echo={"policy": policy})
            answer = await house.admin.post("reload")
            assert (answer.status_code, answer.json()["applied"]) == (200, [1, 2])
            load.replicas.clear()
            await load.answered(60)
            absent = {one.name for one in house.replicas} - {one.name for one in replicas}
            # What was under way when the document changed may have been answered after it.
            assert all(load.replicas[name] <= 8 for name in absent)
            assert (await house.upstream())["policy"] == policy

        # So does the number of workers.
        for count in (1, 3, 2):
            rewrite(house, [a, b, c], workers=count)
            answer = await house.admin.post("reload")
            assert (answer.status_code, answer.json()["workers"]) == (200, count)
            await load.answered(60)
            await house.workers(count)

        # A mistake changes nothing, whoever asks for it.
        in_force = (await house.admin.get("routes")).json()
        house.gateway.config_file.write_text("routes: []\nupstreams: {}\ncolour: red\n")
        answer = await house.admin.post("reload")
        assert answer.status_code == 422
        assert answer.json()["errors"][0] | {"detail": ""} == {
            "pointer": "/colour",
            "code": "invalid",
            "detail": "",
            "line": 3,
            "column": 1,
        }
        house.gateway.signal(signal.SIGHUP)
        await load.answered(60)
        assert (await house.admin.get("routes")).json() == in_force

        await load.stop()
        assert set(load.statuses) == {200}
        assert load.refused == 0
        assert len(load.resets) == resets  # none but the killed worker's
        house.gateway.kill()
        assert "not reloaded, everything stays as it was" in house.gateway.stop()


async def test_a_reload_that_a_worker_does_not_live_to_see_changes_nothing(tmp_path: Path) -> None:
    """Under load: what is answered names the worker, and all go on with what was in force."""
    async with operated(tmp_path, TWO, replicas=3) as house:
        _, second = await house.workers(2)
        load = Load(house.gateway, again=True)
        await load.answered(50)
        rewrite(house, house.replicas, echo={"policy": "random"})
        os.kill(second, signal.SIGSTOP)
        reloading = asyncio.create_task(house.admin.post("reload"))
        # Callers whose connections are the stopped worker's are stuck: there may be nobody left who is answered.
        await asyncio.wait([reloading], timeout=0.3)
        assert not reloading.done()
        os.kill(second, signal.SIGKILL)
        answer = (await reloading).json()
        assert (answer["status"], answer["code"]) == (503, "not_reloaded")
        assert answer["workers"] == [{"worker": 2, "reason": "the worker has ended"}]
        assert "worker 2" in answer["detail"]

        await house.workers(2)
        upstream = await house.upstream()
        assert upstream["policy"] == "weighted_round_robin"
        assert len(upstream["workers"]) == 2
        await load.answered(50)
        rewrite(house, house.replicas, echo={"policy": "random"}, workers=3)
        answer = (await house.admin.post("reload")).json()
        assert answer["applied"] == [1, 2, 3]
        await house.workers(3)
        assert (await house.upstream())["policy"] == "random"
        await load.answered(50)
        await load.stop()
        assert set(load.statuses) == {200}
        assert load.refused == 0
        assert len(load.resets) <= 8  # none but the killed worker's


async def test_sigterm_under_load_fails_nothing(tmp_path: Path) -> None:
    async with operated(tmp_path, TWO) as house:
        await house.workers(2)
        load = Load(house.gateway)
        await load.answered(100)
        assert await house.gateway.drain() == 0
        await load.stop()
        assert set(load.statuses) == {200}
        assert load.resets == []
        assert load.refused == 8  # everyone was served until there was nobody to connect to


async def test_a_request_that_is_in_the_kernel_is_answered_still(tmp_path: Path) -> None:
    """The worker is stopped while requests arrive, on connections old and new; it drains when it goes on."""
    async with operated(tmp_path, {"rate_limit": {"enabled": False}}) as house:
        (worker,) = house.gateway.workers()
        request = f"GET /x HTTP/1.1\r\nHost: a\r\nX-Api-Key: {house.gateway.keys[0]}\r\n\r\n".encode()
        open_before = [await asyncio.open_connection("127.0.0.1", house.gateway.port) for _ in range(4)]
        silent = await asyncio.open_connection("127.0.0.1", house.gateway.port)
        for reader, writer in open_before:
            writer.write(request)
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        os.kill(worker, signal.SIGSTOP)
        queued = [await asyncio.open_connection("127.0.0.1", house.gateway.port) for _ in range(4)]
        house.gateway.signal(signal.SIGTERM)
        await asyncio.sleep(0.2)  # the parent lets go of the socket
        for _, writer in (*open_before, *queued):
            writer.write(request)
        os.kill(worker, signal.SIGCONT)
        for reader, writer in (*open_before, *queued):
            assert b"HTTP/1.1 200 OK\r\n" in await reader.read()
            writer.close()
        assert await silent[0].read() == b""
        silent[1].close()
        assert await house.gateway.ended() == 0


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def test_no_worker_outlives_a_killed_parent(tmp_path: Path) -> None:
    upstreams = {"echo": {"replicas": [{"host": "127.0.0.1", "port": free_port()}]}}
    gateway = GatewayProcess(tmp_path, [], TWO | {"upstreams": upstreams})
    try:

        async def both() -> bool:
            return len(gateway.workers()) == 2

        await eventually(both)
        workers = gateway.workers()
        gateway.kill()

        async def gone() -> bool:
            return not any(alive(pid) for pid in workers)

        await eventually(gone)
    finally:
        gateway.stop()


ALONE = """
auth: {mode: none}
routes: [{name: all, prefix: /, upstream: web}]
upstreams: {web: {replicas: [{host: 127.0.0.1, port: PORT}]}}
"""


async def test_alone_in_front_of_any_service(tmp_path: Path) -> None:
    """Neither keys nor identities; what callers send to prove themselves is the service's to judge."""
    replica = Replica("a")
    file = tmp_path / "alone.yaml"
    file.write_text("workers: 1" + ALONE.replace("PORT", str(replica.port)))
    port = free_port()
    gateway = Process(["-m", "services.gateway", "--config", str(file), "--port", str(port)])
    try:
        await replica.until("requests", 0)
        request = b"GET /x HTTP/1.1\r\nHost: a\r\nAuthorization: Basic eA==\r\nConnection: close\r\n\r\n"
        answer = b""

        async def answered() -> bool:
            nonlocal answer
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                return False
            writer.write(request)
            answer = await reader.read()
            writer.close()
            return answer.startswith(b"HTTP/1.1 200")

        await eventually(answered)
        headers = dict(json.loads(answer.partition(b"\r\n\r\n")[2])["headers"])
        assert headers["authorization"] == "Basic eA=="
        assert "x-kontor-identity" not in headers
    finally:
        print(gateway.stop())
        replica.stop()


@pytest.mark.parametrize(
    ("text", "environ", "complaint"),
    [
        (
            ALONE.replace("none", "keys").replace("PORT", "1"),
            {},
            "auth: asks for keys, which GATEWAY_API_KEYS_FILE",
        ),
        (ALONE.replace("PORT", "1"), {"GATEWAY_ADMIN_PORT": "1"}, "needs GATEWAY_ADMIN_KEY_FILE as well"),
        (
            ALONE.replace("PORT", "1"),
            {"GATEWAY_ADMIN_PORT": "0", "GATEWAY_ADMIN_KEY_FILE": "/dev/null"},
            "shorter than 16 characters",
        ),
    ],
)
async def test_what_is_missing_is_one_sentence(
    tmp_path: Path, text: str, environ: dict[str, str], complaint: str
) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(text)
    arguments = ["-m", "services.gateway", "--config", str(file), "--port", str(free_port())]
    gateway = Process(arguments, environ)
    assert await gateway.ended() == 1
    printed = gateway.stop()
    assert complaint in printed
    assert len(printed.splitlines()) == 1


async def test_a_port_that_is_taken_is_one_sentence(tmp_path: Path) -> None:
    """Also by a gateway, although two of its own sockets share an address."""
    file = tmp_path / "gateway.yaml"
    file.write_text(ALONE.replace("PORT", "1"))
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        gateway = Process(["-m", "services.gateway", "--config", str(file), "--port", port])
        assert await gateway.ended() == 1
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in gateway.stop()
