"""What was told early is not told again, and a reader who takes nothing costs nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import pytest

from shared.database.database import Database
from shared.database.tables import new_id
from shared.events.feed import ChangeFeed, FeedLost
from shared.events.following import Follower, ToldEarly
from shared.events.log import AT_ONCE, LoggedEvent
from shared.events.position import Position
from shared.events.tags import Change
from tests.shared.events.logs import add_account

NOW = datetime(2026, 11, 21, tzinfo=UTC)
CHANGE = Change("accounts", "created", 100)


def events(*places: tuple[int, int]) -> list[LoggedEvent]:
    return [LoggedEvent(Position(*place), new_id(), NOW, CHANGE, "system", None) for place in places]


def test_what_was_told_early_is_left_out_when_its_turn_comes() -> None:
    early = ToldEarly()
    told = events((7, 1), (7, 2))
    assert early.take(told, limit=10) == told
    assert early.known == [7]
    later = events((6, 3), (7, 1), (7, 2), (8, 4))
    assert early.untold(later) == [later[0], later[3]]


def test_a_transaction_that_may_go_on_is_not_told_early() -> None:
    early = ToldEarly()
    cut = events((7, 1), (8, 2), (8, 3))
    assert early.take(cut, limit=3) == cut[:1]
    assert early.known == [7]


def test_a_transaction_too_long_to_be_told_early_is_passed_over() -> None:
    early = ToldEarly()
    cut = events((8, 1), (8, 2))
    assert early.take(cut, limit=2) == []
    assert early.known == [8]
    assert early.untold(cut) == cut


def test_what_is_final_is_forgotten() -> None:
    early = ToldEarly()
    early.take(events((7, 1), (9, 2)), limit=10)
    early.forget_before(Position(9, 0))
    assert early.known == [9]


@pytest.fixture
async def feed(url: str) -> AsyncIterator[ChangeFeed]:
    feed = ChangeFeed(Database(url, name="customers"))
    async with feed.running():
        yield feed


async def connected(feed: ChangeFeed) -> None:
    """The feed has its connection: it tells nobody twice, and may have told already."""
    while True:
        with suppress(FeedLost):
            async with feed.connection():
                return
        await asyncio.sleep(0.01)


async def test_the_log_is_read_no_faster_than_it_is_taken(
    feed: ChangeFeed, writer: asyncpg.Connection, tenant: UUID
) -> None:
    await connected(feed)
    chunks = Follower(feed, None, early=False).chunks()
    assert (await anext(chunks)).count(b"event: start") == 1
    for _ in range(AT_ONCE + 1):
        await add_account(writer, tenant)
    seen = [(await anext(chunks)).count(b"event: change") for _ in range(3)]
    assert seen == [AT_ONCE, 0, 1]  # between them the first heartbeat
    await chunks.aclose()
