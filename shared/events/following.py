"""Following the log: what a reader gets, chunk by chunk, each asked for only when the last one was taken.

With `early`, changes are told as soon as they are committed, also while an older transaction keeps them from being
final, and not again when they are: right for a cache, which asks for no order but must not wait for an import.
"""

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Sequence

from shared.events.feed import ChangeFeed
from shared.events.frames import change_frame, heartbeat_frame, start_frame
from shared.events.log import AT_ONCE, LoggedEvent, Reading, end_of_log, knows, log_name, read_early, read_log
from shared.events.position import Cursor, Position

HEARTBEAT_S = 1.0
MOST_EARLY = 2_000
"""Transactions that are remembered as told early; beyond, changes wait for their turn."""
_FIRST_LOOK_S = 0.01


class ToldEarly:
    """Which transactions were told before their turn, and which are too long for it. No I/O."""

    def __init__(self) -> None:
        self._told: set[int] = set()
        self._too_long: set[int] = set()

    @property
    def known(self) -> list[int]:
        """What need not be read early again."""
        return sorted(self._told | self._too_long)

    @property
    def full(self) -> bool:
        """Whether no more can be remembered."""
        return len(self._told) + len(self._too_long) >= MOST_EARLY

    def take(self, events: Sequence[LoggedEvent], limit: int) -> list[LoggedEvent]:
        """The events to tell now, of transactions that are whole. A reading of `limit` events may end within one."""
        cut = events[-1].position.transaction if len(events) == limit else None
        whole = [event for event in events if event.position.transaction != cut]
        self._told.update(event.position.transaction for event in whole)
        if cut is not None and not whole:
            self._too_long.add(cut)
        return whole

    def untold(self, events: Sequence[LoggedEvent]) -> list[LoggedEvent]:
        """Those whose turn it is, without those that were told."""
        return [event for event in events if event.position.transaction not in self._told]

    def forget_before(self, position: Position) -> None:
        """What is final up to here will not be read again."""
        self._told = {one for one in self._told if one >= position.transaction}
        self._too_long = {one for one in self._too_long if one >= position.transaction}


class Follower:
    """One reader's way through the log. Memory holds one reading, however slowly it is taken."""

    def __init__(self, feed: ChangeFeed, after: Cursor | None, *, early: bool) -> None:
        self._feed = feed
        self._after = after
        self._early = ToldEarly() if early else None
        self._log = ""
        self._at = Position(0, 0)

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Frames, without an end. Raises `FeedLost` when the log cannot be read."""
        with self._feed.listening() as news:
            yield await self._begin()
            beat, look_s = -math.inf, _FIRST_LOOK_S  # so that who follows knows at once how far it is
            while True:
                news.clear()
                reading, frames = await self._read()
                if frames:
                    look_s = _FIRST_LOOK_S
                    yield b"".join(frames)
                if time.monotonic() - beat >= HEARTBEAT_S:
                    beat = time.monotonic()
                    yield heartbeat_frame(reading, Cursor(self._log, self._at))
                if len(reading.events) == AT_ONCE:
                    continue
                await _wait(news, look_s if reading.held else HEARTBEAT_S)
                # Nobody tells of a transaction that ends without a change, and it may be what all others wait for.
                look_s = min(look_s * 2, HEARTBEAT_S)

    async def _begin(self) -> bytes:
        async with self._feed.connection() as connection:
            self._log = await log_name(connection)
            known = self._after is not None and await knows(connection, self._after)
            if self._after is not None and known:
                self._at = self._after.position
            else:
                self._at = await end_of_log(connection)
        return start_frame(Cursor(self._log, self._at), reset=self._after is not None and not known)

    async def _read(self) -> tuple[Reading, list[bytes]]:
        async with self._feed.connection() as connection:
            reading = await read_log(connection, self._at)
            self._at = reading.through
            if self._early is None:
                return reading, [self._frame(event) for event in reading.events]
            frames = [self._frame(event) for event in self._early.untold(reading.events)]
            self._early.forget_before(self._at)
            if reading.held and len(reading.events) < AT_ONCE and not self._early.full:
                events = await read_early(connection, self._at, self._early.known)
                frames += [change_frame(event, None) for event in self._early.take(events, AT_ONCE)]
        return reading, frames

    def _frame(self, event: LoggedEvent) -> bytes:
        return change_frame(event, Cursor(self._log, event.position))


async def _wait(event: asyncio.Event, timeout_s: float) -> None:
    try:
        async with asyncio.timeout(timeout_s):
            await event.wait()
    except TimeoutError:
        return
