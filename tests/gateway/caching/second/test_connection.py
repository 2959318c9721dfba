"""The servers that gateways share: who is asked, and what happens when they do not answer."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio.connection import SSLConnection

from services.gateway.caching.second.connection import Servers, Slots
from services.gateway.caching.second.link import Script, ServerError
from services.gateway.caching.second.rule import ServersRule
from tests.gateway.caching.second.servers import Valkey, cluster, connected, owner, rule, until
from tests.gateway.processes import ROOT

pytestmark = pytest.mark.process

ECHO = Script("return {KEYS[1], ARGV[1]}")


@asynccontextmanager
async def using(chosen: ServersRule, links: int = 1) -> AsyncIterator[Servers]:
    servers = Servers(chosen)
    servers.start()
    try:
        yield await connected(servers, links)
    finally:
        await servers.stop()


async def test_commands_and_scripts_are_answered(shared_valkey: Valkey) -> None:
    async with using(rule(shared_valkey)) as servers:
        assert await servers.ask(b"k", b"ECHO", b"hello") == b"hello"
        for _ in range(2):  # in full, and by its hash
            assert await servers.ask_script(ECHO, [b"k"], b"a") == [b"k", b"a"]


async def test_answers_go_to_those_who_asked(shared_valkey: Valkey) -> None:
    async with using(rule(shared_valkey)) as servers:
        said = [b"%d" % number for number in range(500)]
        assert await asyncio.gather(*(servers.ask(b"k", b"ECHO", one) for one in said)) == said


async def test_a_refusal_is_told_and_nothing_else_suffers(shared_valkey: Valkey) -> None:
    async with using(rule(shared_valkey)) as servers:
        with pytest.raises(ServerError, match="unknown command"):
            await servers.ask(b"k", b"NONSENSE")
        assert await servers.ask(b"k", b"ECHO", b"x") == b"x"
        assert servers.failures == {"refused": 1}
        assert servers.losses == 0


async def test_a_script_that_was_forgotten_is_sent_in_full_again(shared_valkey: Valkey) -> None:
    async with using(rule(shared_valkey)) as servers:
        await servers.ask_script(ECHO, [b"k"], b"a")
        await servers.ask(b"k", b"SCRIPT", b"FLUSH")
        with pytest.raises(ServerError, match="No matching script"):
            await servers.ask_script(ECHO, [b"k"], b"a")
        assert await servers.ask_script(ECHO, [b"k"], b"a") == [b"k", b"a"]


async def test_without_a_server_nobody_waits() -> None:
    servers = Servers(ServersRule((("127.0.0.1", 1),)))
    servers.start()
    try:
        with pytest.raises(ServerError):
            await servers.ask(b"k", b"PING")
        assert not servers.send(b"k", [b"PING"], lambda result: None)
        assert servers.failures == {"unavailable": 2}
    finally:
        await servers.stop()


async def test_a_server_that_stands_still_is_given_up_and_found_again(valkey: Valkey) -> None:
    async with using(rule(valkey, timeout_s=0.05)) as servers:
        valkey.pause()
        asked = [servers.ask(b"k", b"ECHO", b"x") for _ in range(3)]
        results = await asyncio.gather(*asked, return_exceptions=True)
        assert all(isinstance(one, ServerError) for one in results)
        assert servers.failures["lost"] == 3
        assert not servers.links()
        with pytest.raises(ServerError):
            await servers.ask(b"k", b"PING")  # at once: there is no connection
        assert servers.failures["unavailable"] == 1
        valkey.go_on()
        await connected(servers)
        assert await servers.ask(b"k", b"ECHO", b"x") == b"x"


async def test_who_fails_when_a_connection_is_lost_is_in_nobodys_way(valkey: Valkey) -> None:
    loop = asyncio.get_running_loop()
    mistakes: list[str] = []
    loop.set_exception_handler(lambda _, context: mistakes.append(str(context["exception"])))

    def fail(_: Any) -> None:
        raise RuntimeError("a mistake of ours")

    try:
        async with using(rule(valkey, timeout_s=0.05)) as servers:
            valkey.pause()
            told: list[Any] = []
            for done in (fail, told.append):
                assert servers.send(b"k", [b"PING"], done)
            await until(lambda: bool(told))
            assert isinstance(told[0], ServerError)
            assert mistakes == ["a mistake of ours"]
    finally:
        loop.set_exception_handler(None)


async def test_a_server_that_was_killed_is_another_one_afterwards(valkey: Valkey) -> None:
    async with using(rule(valkey)) as servers:
        [before] = servers.links()
        valkey.kill()
        await until(lambda: not servers.links())
        valkey.start()
        [after] = (await connected(servers)).links()
        assert after.identity != before.identity
        assert servers.losses >= 1


async def test_of_a_server_and_its_replica_the_primary_is_used(tmp_path: Path, valkey: Valkey) -> None:
    replica = Valkey(tmp_path, "--replicaof", f"127.0.0.1 {valkey.port}")
    try:
        async with using(rule(replica, valkey)) as servers:
            assert [link.address for link in servers.links()] == [f"127.0.0.1:{valkey.port}"]
            with replica.client() as client:
                client.execute_command("REPLICAOF", "NO", "ONE")
            with valkey.client() as client:
                client.execute_command("REPLICAOF", "127.0.0.1", replica.port)
            promoted = f"127.0.0.1:{replica.port}"
            await until(lambda: [link.address for link in servers.links()] == [promoted])
            assert await servers.ask(b"k", b"SET", b"k", b"v") == b"OK"
    finally:
        replica.stop()


async def test_a_password_is_read_from_its_file(tmp_path: Path) -> None:
    server = Valkey(tmp_path, "--requirepass", "of this test")
    try:
        secret = tmp_path / "password"
        secret.write_text("wrong\n")
        servers = Servers(rule(server, password_file=secret))
        servers.start()
        try:
            await until(lambda: servers.losses > 0)
            secret.write_text("of this test\n")
            await connected(servers)
        finally:
            await servers.stop()
    finally:
        server.stop()


def test_a_connection_may_be_private(tmp_path: Path) -> None:
    authority = tmp_path / "ca.pem"
    chosen = ServersRule((("h", 1),), tls=True, ca_file=authority, username="gateway")
    connection = Servers(chosen).connection("h:1")
    assert isinstance(connection, SSLConnection)
    assert connection.ca_certs == str(authority)
    assert not isinstance(Servers(replace(chosen, tls=False)).connection("h:1"), SSLConnection)


def test_a_gateway_without_a_second_level_does_not_load_what_it_takes() -> None:
    loads = "import sys, services.gateway.control.commands; sys.exit('redis' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", loads], cwd=ROOT, check=False).returncode == 0


async def test_a_cluster_is_asked_where_the_key_is(valkey_cluster: list[Valkey]) -> None:
    async with using(rule(valkey_cluster[4], cluster=True), links=3) as servers:
        keys = [b"{%d}k" % number for number in range(60)]
        for key in keys:
            assert await servers.ask(key, b"SET", key, b"v", b"EX", 60) == b"OK"
            assert await servers.ask_script(ECHO, [key], b"a") == [key, b"a"]
        assert len({link.address for key in keys if (link := servers.link(key)) is not None}) == 3
        assert not servers.failures


async def test_a_clusters_replica_takes_over(tmp_path: Path) -> None:
    with cluster(tmp_path) as nodes:
        async with using(rule(nodes[0], nodes[5], cluster=True), links=3) as servers:
            key = b"{k}"
            first = owner(nodes, key)
            before = servers.link(key)
            assert before is not None
            first.kill()
            await until(lambda: servers.link(key) not in (None, before))
            assert await servers.ask(key, b"SET", key, b"v") == b"OK"
            link = servers.link(key)
            assert link is not None
            assert link.identity != before.identity


@pytest.mark.parametrize("said", [[[1]], [["a", 2, [b"h", 1]]], [[0, 5, [b"\xff", 1]]], 7])
def test_what_is_no_table_of_slots_is_refused(said: Any) -> None:
    with pytest.raises(ValueError, match="CLUSTER SLOTS"):
        Slots(said, ("h", 1))


def test_slots_without_an_owner_have_no_address() -> None:
    slots = Slots([[0, 100, [b"", 7]], [200, 16383, [b"h", 8]]], ("asked", 1))
    found = {slots.address(b"%d" % number) for number in range(3000)}
    assert found == {("asked", 7), ("h", 8), None}
