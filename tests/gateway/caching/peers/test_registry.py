"""The registry's scripts at a real server, held against what the model takes them for."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.gateway.caching.peers.registry import Registry
from services.gateway.caching.peers.roll import Settle, Strike
from services.gateway.caching.second.connection import Servers
from tests.gateway.caching.peers.fake_registry import FakeRegistry
from tests.gateway.caching.second.servers import Valkey, connected, rule

pytestmark = pytest.mark.process

MEMBERS = st.sampled_from(["a", "b", "c"])
TOKENS = st.sampled_from(["t1", "t2"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("renew"), MEMBERS, TOKENS),
        st.tuples(st.just("tell"), MEMBERS),
        st.tuples(st.just("settle"), TOKENS),
        st.tuples(st.just("strike"), TOKENS, MEMBERS, st.integers(1, 6)),
        st.tuples(st.just("leave"), MEMBERS),
        st.tuples(st.just("empty")),
        st.tuples(st.just("another server")),
    ),
    max_size=25,
)


@pytest.fixture
async def registry(shared_valkey: Valkey) -> AsyncIterator[Registry]:
    servers = Servers(rule(shared_valkey))
    servers.start()
    await connected(servers)
    yield Registry(servers, "test")
    await servers.stop()
    shared_valkey.flush()


async def told(registry: Registry) -> frozenset[str] | None:
    """Who is registered, as a writer hears it."""
    answer: asyncio.Future[frozenset[str] | None] = asyncio.get_running_loop().create_future()
    assert registry.tell(b"something", answer.set_result)
    return await answer


async def real(registry: Registry, step: tuple[Any, ...]) -> Any:
    """What the server says of one step."""
    said: Any = None
    match step:
        case "renew", member, token:
            said = await registry.renew(member, token)
        case "tell", member:
            found = await told(registry)
            said = found if found is None else found - {member}
        case "settle", token:
            await registry.heed(Settle(token))
        case "strike", token, member, number:
            await registry.heed(Strike(token, member, number))
        case "leave", member:
            await registry.leave(member)
        case ("empty",):
            await registry.servers.ask(registry.key, b"DEL", registry.key)
        case _:  # as after a restart with what was on disk, or at a stand-in
            await registry.servers.ask(registry.key, b"HSET", registry.key, b"server", b"another")
    return said


def expected(fake: FakeRegistry, step: tuple[Any, ...]) -> Any:
    """The same of the fake."""
    said: Any = None
    match step:
        case "renew", member, token:
            said = fake.renew(member, token)
        case "tell", member:
            said = fake.tell(member)
        case "settle", token:
            fake.heed(Settle(token))
        case "strike", token, member, number:
            fake.heed(Strike(token, member, number))
        case "leave", member:
            fake.leave(member)
        case ("empty",):
            fake.empty()
        case _:
            fake.known_server = "another"
    return said


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
async def test_the_scripts_do_what_the_model_takes_them_for(registry: Registry, steps: list[Any]) -> None:
    await registry.servers.ask(registry.key, b"DEL", registry.key)
    fake = FakeRegistry("here")
    for step in steps:
        if step[0] == "another server" and not fake.known_server:
            continue  # there is nothing that another one could have left
        assert await real(registry, step) == expected(fake, step), step


async def test_a_server_that_was_started_anew_is_not_settled(tmp_path: Path) -> None:
    valkey = Valkey(tmp_path, "--appendonly", "yes", "--appendfsync", "always")
    servers = Servers(rule(valkey))
    servers.start()
    try:
        registry = Registry(await connected(servers), "test")
        await registry.renew("a", "before")
        await registry.heed(Settle("before"))
        assert await told(registry) == frozenset({"a"})
        former = servers.links()[0]
        valkey.restart()
        while servers.links() in ([], [former]):  # noqa: ASYNC110 - nobody tells of a new connection
            await asyncio.sleep(0.02)
        assert await told(registry) is None  # it still has what was written to disk
        entered, page = await registry.renew("a", "after")
        assert (entered, page.token, page.settled, set(page.members)) == (False, "after", False, {"a"})
    finally:
        await servers.stop()
        valkey.stop()
