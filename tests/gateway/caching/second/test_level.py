"""The second level over a real server: what it gives, and what it never does."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import pytest

from services.gateway.caching.second.entries import encode
from services.gateway.caching.second.level import Found, SecondLevel, Token
from services.gateway.caching.second.rule import SecondLevelRule
from services.gateway.caching.second.scripts import MOST_NAMES, slots_of
from tests.gateway.caching.second.servers import Valkey, connected, rule, until
from tests.gateway.caching.second.test_entries import ANSWER
from tests.gateway.processes import ROOT

pytestmark = pytest.mark.process

SCOPE = b"customers/01900000-0000-7000-8000-000000000001"
OTHER = b"customers/01900000-0000-7000-8000-000000000002"
MINUTE_NS = 60_000_000_000
NAMES = [b"contacts", b"contacts/1"]


@asynccontextmanager
async def running(*servers: Valkey, links: int = 1, **choices: Any) -> AsyncIterator[SecondLevel]:
    level = SecondLevel(SecondLevelRule(rule(*servers, **choices)))
    level.start()
    try:
        await connected(level.servers, links)
        yield level
    finally:
        await level.stop()


@pytest.fixture
async def level(shared_valkey: Valkey) -> AsyncIterator[SecondLevel]:
    shared_valkey.flush()
    async with running(shared_valkey) as level:
        yield level


async def look(level: SecondLevel, scope: bytes = SCOPE, key: bytes = ANSWER.key) -> Found:
    found: asyncio.Future[Found] = asyncio.get_running_loop().create_future()
    assert level.look(scope, key, found.set_result)
    return await found


async def token_of(level: SecondLevel, scope: bytes = SCOPE) -> Token:
    token = (await look(level, scope)).token
    assert token is not None
    return token


async def until_counted(level: SecondLevel, *names: str) -> None:
    """Wait until something of these was counted."""
    before = {name: level.counts[name] for name in names}
    await until(lambda: any(level.counts[name] > before[name] for name in names))


async def store(level: SecondLevel, token: Token, scope: bytes = SCOPE, **changes: Any) -> None:
    """As if it had been asked for just after the token."""
    level.store(scope, token, replace(ANSWER, asked_us=token.asked_us, **changes), NAMES, MINUTE_NS)
    await until_counted(level, "stored", "refused", "failed_stores")


async def change(level: SecondLevel, act: Callable[[], None]) -> None:
    act()
    await until_counted(level, "changes")


async def test_what_is_stored_is_found(level: SecondLevel) -> None:
    token = await token_of(level)
    asked_ns = perf_counter_ns()
    assert level.counts == {"misses": 1}
    await store(level, token)
    found = await look(level)
    assert found.answer == replace(ANSWER, asked_us=token.asked_us)
    assert found.asked_ns <= asked_ns
    assert (await look(level, key=b"another")).answer is None
    assert (await look(level, OTHER)).answer is None
    assert level.describe()["counts"]["stored"] == 1
    assert 0 < level.stored_bytes < level.plain_bytes == len(ANSWER.body)


async def test_a_large_body_is_packed_and_unpacked_beside_everything_else(level: SecondLevel) -> None:
    body = random.Random(1).randbytes(200_000) + bytes(300_000)  # noqa: S311 - the same each time
    await store(level, await token_of(level), body=body)
    found = await look(level)
    assert found.answer is not None
    assert found.answer.body == body
    assert level.stored_bytes < 210_000


@pytest.mark.parametrize(
    "act",
    [
        lambda level: level.changed(SCOPE, [b"contacts/1"]),
        lambda level: level.changed(SCOPE, [b"contacts", b"deals"]),
        lambda level: level.changed(SCOPE, [b"%d" % n for n in range(MOST_NAMES + 1)]),
        lambda level: level.forget(SCOPE),
    ],
    ids=["a record", "a kind", "more than can be named", "anything"],
)
async def test_what_was_changed_is_found_no_more(
    level: SecondLevel, act: Callable[[SecondLevel], None]
) -> None:
    token = await token_of(level)
    await store(level, token)
    await change(level, lambda: act(level))
    assert (await look(level)).answer is None
    # Nor is what was asked for before the change.
    await store(level, token)
    assert level.counts["refused"] == 1
    assert (await look(level)).answer is None
    await store(level, await token_of(level))
    assert (await look(level)).answer is not None


async def test_what_something_else_changed_stays(level: SecondLevel) -> None:
    await store(level, await token_of(level))
    assert not set(slots_of([b"deals"])) >= set(slots_of(NAMES))
    await change(level, lambda: level.changed(SCOPE, [b"deals"]))
    await change(level, lambda: level.changed(OTHER, NAMES))
    await change(level, lambda: level.forget(OTHER))
    assert (await look(level)).answer is not None


async def test_a_server_that_forgets_makes_nothing_valid(level: SecondLevel, shared_valkey: Valkey) -> None:
    token = await token_of(level)
    await store(level, token)
    await change(level, lambda: level.changed(SCOPE, NAMES))
    shared_valkey.flush()
    await store(level, token)  # asked for before the change, which nobody there knows of any more
    assert level.counts["refused"] == 1
    assert (await look(level)).answer is None


async def test_a_state_that_was_evicted_takes_all_with_it(level: SecondLevel, shared_valkey: Valkey) -> None:
    await store(level, await token_of(level))
    [state] = shared_valkey.keys("*}s")
    with shared_valkey.client() as client:
        assert client.delete(state) == 1
    assert len(shared_valkey.keys("*}e*")) == 1
    assert (await look(level)).answer is None


async def test_a_snapshot_that_comes_back_gives_nothing(valkey: Valkey) -> None:
    async with running(valkey) as level:
        await store(level, await token_of(level))
        with valkey.client() as client:
            client.save()
        await change(level, lambda: level.changed(SCOPE, NAMES))  # which the snapshot does not have
        lost = level.servers.losses
        valkey.restart()
        await until(lambda: level.servers.losses > lost)
        await connected(level.servers)
        assert len(valkey.keys("*}e*")) == 1
        assert (await look(level)).answer is None


@pytest.mark.parametrize(
    "damage",
    [
        ("HSET", "a", b"nonsense"),
        ("HSET", "a", b""),
        ("HSET", "a", encode(replace(ANSWER, key=b"of another tenant"), 0)),
        ("HSET", "c", b"x"),
        ("HSET", "s", b"odd"),
        ("HSET", "g", b"x"),
        ("HDEL", "s"),
        ("SET", b"of another type"),
        ("DEL",),
    ],
    ids=str,
)
async def test_what_somebody_has_damaged_is_a_miss_and_is_mended(
    level: SecondLevel, shared_valkey: Valkey, damage: tuple[Any, ...]
) -> None:
    await store(level, await token_of(level))
    [entry] = shared_valkey.keys("*}e*")
    client: Any
    with shared_valkey.client() as client:
        client.execute_command(damage[0], entry, *damage[1:])
    assert (await look(level)).answer is None
    await store(level, await token_of(level))
    assert (await look(level)).answer is not None


async def test_what_was_asked_for_before_a_worker_knew_the_servers_clock_is_not_used(
    level: SecondLevel, shared_valkey: Valkey
) -> None:
    await store(level, await token_of(level))
    async with running(shared_valkey) as later:
        found = await look(later)
        assert found.answer is None
        assert later.counts == {"undated": 1}
        assert found.token is not None
        await store(later, found.token)
    assert (await look(level)).answer is not None


async def test_a_state_that_cannot_be_read_costs_its_use(level: SecondLevel, shared_valkey: Valkey) -> None:
    await store(level, await token_of(level))
    [state] = shared_valkey.keys("*}s")
    with shared_valkey.client() as client:
        client.hset(state, "g", "of two words")
    assert (await look(level)).token is None
    assert level.counts["garbled"] == 1
    await change(level, lambda: level.forget(SCOPE))
    assert (await look(level)).token is not None


async def test_a_damaged_state_is_begun_anew(level: SecondLevel, shared_valkey: Valkey) -> None:
    await store(level, await token_of(level))
    [state] = shared_valkey.keys("*}s")
    with shared_valkey.client() as client:
        client.set(state, "of another type")
    assert (await look(level)).answer is None
    await store(level, await token_of(level))
    assert (await look(level)).answer is not None


async def test_what_is_too_short_lived_or_shows_too_much_is_not_stored(level: SecondLevel) -> None:
    token = await token_of(level)
    level.store(SCOPE, token, ANSWER, NAMES, 900_000_000)
    level.store(SCOPE, token, ANSWER, [b"%d" % n for n in range(MOST_NAMES + 1)], MINUTE_NS)
    await store(level, token, key=b"the third")
    assert level.counts["stored"] == 1


async def test_more_than_can_be_stored_is_dropped_and_counted(level: SecondLevel) -> None:
    token = await token_of(level)
    for number in range(3_000):
        level.store(SCOPE, token, replace(ANSWER, key=b"%d" % number), NAMES, MINUTE_NS)
    assert level.counts["dropped"] == 2_000
    await until(lambda: level.counts["stored"] == 1_000)
    assert level.describe()["queued"] == 0


async def test_everything_has_an_end(level: SecondLevel, shared_valkey: Valkey) -> None:
    await store(level, await token_of(level))
    with shared_valkey.client() as client:
        for key in shared_valkey.keys("*"):
            assert 0 < int(client.ttl(key)) <= 86_400
        [entry] = shared_valkey.keys("*}e*")
        assert int(client.ttl(entry)) <= 60


@pytest.mark.parametrize("names", [[], [NAMES[1]], [b"deals"]], ids=["all", "some", "others"])
@pytest.mark.parametrize("of", [b"customers", SCOPE])
async def test_an_operator_purges(level: SecondLevel, of: bytes, names: list[bytes]) -> None:
    scopes = (SCOPE, OTHER, b"customers/-", b"sales/-")
    for scope in scopes:
        await store(level, await token_of(level, scope), scope)
    assert await level.purge(of, names)
    gone = [scope for scope in scopes if (await look(level, scope)).answer is None]
    expected = [] if names == [b"deals"] else [scope for scope in scopes if scope.startswith(of)]
    assert gone == expected


async def test_a_user_of_its_own_needs_no_more_than_the_runbook_says(valkey: Valkey, tmp_path: Path) -> None:
    runbook = (ROOT / "docs" / "runbooks" / "gateway.md").read_text()
    commands = runbook.partition("needs the keys under `prefix` and `")[2].partition("`")[0].split()
    allowed = [f"+{command}" for command in commands]
    with valkey.client() as client:
        rules = ["on", ">a password", "~kontor:*", "-@all", *allowed]
        assert client.execute_command("ACL", "SETUSER", "gateway", *rules) == b"OK"
    secret = tmp_path / "secret"
    secret.write_text("a password\n")
    async with running(valkey, username="gateway", password_file=secret) as level:
        await store(level, await token_of(level))
        await change(level, lambda: level.changed(SCOPE, [b"deals"]))
        assert (await look(level)).answer is not None
        assert await level.purge(b"customers", [])
        assert (await look(level)).answer is None
        assert not level.servers.failures


async def test_without_servers_nothing_waits_and_all_is_counted(valkey: Valkey) -> None:
    async with running(valkey) as level:
        token = await token_of(level)
        valkey.kill()
        await until(lambda: not level.servers.links())
        assert not level.look(SCOPE, ANSWER.key, lambda found: None)
        level.changed(SCOPE, NAMES)
        level.forget(SCOPE)
        assert level.counts["failed_changes"] == 2
        level.store(SCOPE, token, ANSWER, NAMES, MINUTE_NS)
        await until_counted(level, "failed_stores")
        assert not await level.purge(SCOPE, NAMES)
        assert not await level.purge(b"customers", [])


async def test_a_server_that_stands_still_costs_a_look_its_patience(valkey: Valkey) -> None:
    async with running(valkey, timeout_s=0.05) as level:
        await token_of(level)
        valkey.pause()
        assert (await look(level)).token is None
        assert level.counts["failed"] == 1
        assert not level.look(SCOPE, ANSWER.key, lambda found: None)


async def test_it_works_on_a_cluster(valkey_cluster: list[Valkey]) -> None:
    async with running(valkey_cluster[0], cluster=True, links=3) as level:
        scopes = [b"upstream-%d/-" % number for number in range(20)]
        for scope in scopes:
            await store(level, await token_of(level, scope), scope)
        await change(level, lambda: level.changed(scopes[0], NAMES))
        found = [(await look(level, scope)).answer is not None for scope in scopes]
        assert found == [False] + [True] * 19
        for number in range(20):
            assert await level.purge(b"upstream-%d" % number, [])
        assert [scope for scope in scopes if (await look(level, scope)).answer is not None] == []
        assert not level.servers.failures


class World:
    """Records with versions, which many write and read through several gateways at once."""

    def __init__(self, levels: list[SecondLevel], seed: int) -> None:
        self.levels = levels
        self.draw = random.Random(seed)  # noqa: S311 - the same each time
        self.committed = [0] * 4
        self.acknowledged = [0] * 4
        self.stale: list[str] = []
        self.found = 0

    async def pause(self) -> None:
        for _ in range(self.draw.randrange(4)):
            await asyncio.sleep(0)
        if self.draw.random() < 0.3:
            await asyncio.sleep(self.draw.random() / 1000)

    async def write(self, count: int) -> None:
        for _ in range(count):
            level, record = self.draw.choice(self.levels), self.draw.randrange(4)
            self.committed[record] += 1
            version = self.committed[record]
            await self.pause()
            # The script of a change, and we hear when it has run.
            assert await level.purge(SCOPE, [b"record %d" % record])
            self.acknowledged[record] = max(self.acknowledged[record], version)
            await self.pause()

    async def read(self, count: int) -> None:
        for _ in range(count):
            level, record = self.draw.choice(self.levels), self.draw.randrange(4)
            floor = self.acknowledged[record]
            found = await look(level, key=b"%d" % record)
            if found.answer is not None:
                self.found += 1
                if int(found.answer.body) < floor:
                    self.stale.append(f"{record} at {found.answer.body!r} after {floor}")
            elif found.token is not None:
                await self.pause()
                body = b"%d" % self.committed[record]  # the replica's answer
                await self.pause()
                answer = replace(ANSWER, key=b"%d" % record, asked_us=found.token.asked_us, body=body)
                level.store(SCOPE, found.token, answer, [b"record %d" % record], MINUTE_NS)
            await self.pause()


@pytest.mark.parametrize("seed", range(3))
async def test_nobody_is_given_less_than_was_acknowledged(shared_valkey: Valkey, seed: int) -> None:
    async with AsyncExitStack() as stack:
        levels = [await stack.enter_async_context(running(shared_valkey)) for _ in range(3)]
        world = World(levels, seed)
        async with asyncio.TaskGroup() as group:
            for _ in range(4):
                group.create_task(world.write(100))
            for _ in range(12):
                group.create_task(world.read(200))
        assert world.stale == []
        assert world.found > 100
        assert sum(level.counts["refused"] for level in levels) > 0
