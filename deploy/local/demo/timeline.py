"""When things happen in the demo workspace: a year that ends now, with its working days, seasons and growth."""

import hashlib
from bisect import bisect
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from random import Random
from uuid import UUID
from zoneinfo import ZoneInfo

from asyncpg.pgproto import pgproto

DAYS = 365
_GROWTH = 0.6  # over the year, business grows by this share
_BY_WEEKDAY = (1.15, 1.2, 1.1, 1.05, 0.9, 0.12, 0.07)
_BY_MONTH = (
    0.95,
    1.0,
    1.15,
    0.95,
    1.0,
    1.15,
    0.85,
    0.7,
    1.1,
    1.05,
    1.15,
    0.8,
)  # weak summer, strong ends of quarters
_OPENS, _CLOSES = 8, 18


class Timeline:
    """The year before `now`; instants are UTC and never lie outside it."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.start = now - timedelta(days=DAYS)
        self._days = [self.start + timedelta(days=number) for number in range(DAYS + 1)]
        weights = (
            _BY_WEEKDAY[day.weekday()] * _BY_MONTH[day.month - 1] * (1 + _GROWTH * number / DAYS)
            for number, day in enumerate(self._days)
        )
        self._cumulated = list(accumulate(weights))

    def instant(self, zone: ZoneInfo, rng: Random) -> datetime:
        """Some instant of the year, most likely on a working day and in the zone's office hours."""
        day = self._days[bisect(self._cumulated, rng.random() * self._cumulated[-1], 0, DAYS)]
        return self.on_day(day, zone, rng)

    def on_day(self, day: datetime, zone: ZoneInfo, rng: Random) -> datetime:
        """Some instant of that day, most likely in the zone's office hours."""
        return self._within(_at_hour(day, _hour(rng), zone), rng)

    def _within(self, instant: datetime, rng: Random) -> datetime:
        """The instant, or one of the first or last hours of the year if it lies outside."""
        if instant > self.now:
            return self.now - timedelta(seconds=1 + rng.random() * 10_800)
        if instant <= self.start:
            return self.start + timedelta(seconds=1 + rng.random() * 10_800)
        return instant

    def after(self, instant: datetime, seconds: float, zone: ZoneInfo, rng: Random) -> datetime:
        """So much later, or when the zone's offices open next; may lie in the future."""
        return office_time(instant + timedelta(seconds=seconds), zone, rng)


def office_time(instant: datetime, zone: ZoneInfo, rng: Random) -> datetime:
    """The instant if it lies in office hours, else one of the next working morning."""
    local = instant.astimezone(zone)
    weekday = local.weekday()
    if weekday < 5 and _OPENS <= local.hour < _CLOSES:
        return instant
    days = 0 if local.hour < _OPENS and weekday < 5 else 1
    while (weekday + days) % 7 >= 5:
        days += 1
    return _at_hour(local + timedelta(days=days), _OPENS + rng.random() * 2, zone)


def id_at(instant: datetime, rng: Random) -> UUID:
    """A UUIDv7 (RFC 9562) as it would have been made at that instant."""
    return _version_7(instant, rng.getrandbits(74))


def founding_id(table: str, instant: datetime) -> UUID:
    """The id of a table's first record: its random bits are always the same, so that it is known again."""
    return _version_7(instant, _founding_bits(table))


def founding_instant(table: str, record_id: UUID) -> datetime | None:
    """When the table's first record was made, or None if this is not its id."""
    instant = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=record_id.int >> 80)
    return instant if founding_id(table, instant) == record_id else None


def whole_milliseconds(instant: datetime) -> datetime:
    """As an id keeps it."""
    return instant.replace(microsecond=instant.microsecond // 1000 * 1000)


def _founding_bits(table: str) -> int:
    digest = hashlib.blake2b(f"demo {table}".encode(), digest_size=10).digest()
    return int.from_bytes(digest) >> 6


def _version_7(instant: datetime, bits: int) -> UUID:
    milliseconds = int(instant.timestamp() * 1000 + 0.0005)
    number = milliseconds << 80 | 7 << 76 | bits >> 62 << 64 | 2 << 62 | bits & (1 << 62) - 1
    # The driver's own kind of UUID: made and sent in a fraction of the time, a quarter of a million times.
    made: UUID = pgproto.UUID(number.to_bytes(16))
    return made


def _hour(rng: Random) -> float:
    """Of the day: most in office hours with a dip at noon, a few in the evening, hardly any at night."""
    draw = rng.random()
    if draw < 0.48:
        return rng.triangular(8, 13, 10)
    if draw < 0.90:
        return rng.triangular(12.5, 18.5, 14.5)
    return rng.triangular(17, 23.9, 19) if draw < 0.97 else rng.uniform(0, 8)


def _at_hour(day: datetime, hour: float, zone: ZoneInfo) -> datetime:
    whole = int(hour)
    seconds = int((hour - whole) * 3_600_000) / 1000
    local = datetime(day.year, day.month, day.day, whole, tzinfo=zone)
    return local.astimezone(UTC) + timedelta(seconds=seconds)
