"""HTTP dates in their three forms (RFC 9110, 5.6.7). Pure."""

import re
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from functools import lru_cache
from typing import Final

_MONTHS: Final = {
    name: number
    for number, name in enumerate(
        (b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec"), 1
    )
}
_DAY: Final = rb"(?:mon|tue|wed|thu|fri|sat|sun)"
_WEEKDAY: Final = rb"(?:monday|tuesday|wednesday|thursday|friday|saturday|sunday)"
_MONTH: Final = rb"(?P<month>" + b"|".join(_MONTHS) + rb")"
_TIME: Final = rb"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"
# RFC 9111, 4.2: letters in either case, and no zone but GMT.
_FIXED: Final = re.compile(
    _DAY + rb", (?P<day>[0-9]{2}) " + _MONTH + rb" (?P<year>[0-9]{4}) " + _TIME + rb" gmt", re.IGNORECASE
)
_ASCTIME: Final = re.compile(
    _DAY + rb" " + _MONTH + rb" (?P<day>[0-9]{2}| [0-9]) " + _TIME + rb" (?P<year>[0-9]{4})", re.IGNORECASE
)
_RFC850: Final = re.compile(
    _WEEKDAY + rb", (?P<day>[0-9]{2})-" + _MONTH + rb"-(?P<year>[0-9]{2}) " + _TIME + rb" gmt", re.IGNORECASE
)
_LONGEST: Final = 40
_CENTURY: Final = 100
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND: Final = timedelta(seconds=1)


def parse_date(value: bytes, wall_s: int) -> int | None:
    """Seconds since the epoch, or None for what is no HTTP date (RFC 9110, 5.6.7; RFC 9111, 4.2).

    `wall_s` places the two digits of an RFC 850 year: what seems more than 50 years ahead lies in the past.
    """
    if len(value) > _LONGEST:
        return None
    found = _parse_full(value)
    return found if found is not None else _parse_rfc850(value, wall_s)


def write_date(wall_s: int) -> bytes:
    """The preferred form (RFC 9110, 5.6.7)."""
    return formatdate(wall_s, usegmt=True).encode("ascii")


@lru_cache(maxsize=1024)
def _parse_full(value: bytes) -> int | None:
    match = _FIXED.fullmatch(value) or _ASCTIME.fullmatch(value)
    return None if match is None else _seconds(match, int(match["year"]))


def _parse_rfc850(value: bytes, wall_s: int) -> int | None:
    match = _RFC850.fullmatch(value)
    if match is None:
        return None
    this_year = (_EPOCH + timedelta(seconds=wall_s)).year
    year = this_year - this_year % _CENTURY + int(match["year"])
    if year < this_year - 50:
        year += _CENTURY
    if year > this_year + 50:
        year -= _CENTURY
    return _seconds(match, year)


def _seconds(match: re.Match[bytes], year: int) -> int | None:
    second = int(match["second"])
    try:
        moment = datetime(
            year,
            _MONTHS[match["month"].lower()],
            int(match["day"]),
            int(match["hour"]),
            int(match["minute"]),
            min(second, 59),  # a leap second is the earlier one (RFC 9111, 4.2)
            tzinfo=UTC,
        )
    except ValueError:
        return None
    return None if second > 60 else (moment - _EPOCH) // _SECOND
