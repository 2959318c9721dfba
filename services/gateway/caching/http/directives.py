"""Cache directives of requests and answers, and the fields beside them (RFC 9111, 5; RFC 5861). Pure.

Senders err, so one rule decides: what restricts the cache is obeyed however it is written; what permits it
something counts only when it is well-formed (RFC 9111, 4.2.1 encourages exactly this for freshness).

Values repeat from request to request, so the last are remembered; what is remembered depends on the value alone.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Final, TypeAlias

from services.gateway.caching.http.fields import Fields
from services.gateway.protocol.fields import TOKEN

MOST_SECONDS: Final = 2**31
"""What a larger number of seconds counts as (RFC 9111, 1.2.2)."""

_REMEMBERED: Final = 1024
_LONGEST_REMEMBERED: Final = 256
_QUOTED: Final = rb'"(?:[^"\\]|\\.)*"'
# All before a quotation mark that nothing closes.
_CLOSED: Final = re.compile(rb'(?:[^"]|' + _QUOTED + rb")*", re.DOTALL)
_MEMBER: Final = re.compile(rb'(?:[^",]|' + _QUOTED + rb")+", re.DOTALL)
_DIRECTIVE: Final = re.compile(
    rb"(" + TOKEN.pattern + rb")(?:=(?:(" + TOKEN.pattern + rb")|(" + _QUOTED + rb")))?", re.DOTALL
)
_ESCAPED: Final = re.compile(rb"\\(.)", re.DOTALL)
_JUDGED_BY: Final = frozenset(
    {b"cache-control", b"cdn-cache-control", b"kontor-cache-control", b"date", b"expires", b"vary"}
)
_DIGITS: Final = re.compile(rb"[0-9]+")


class Malformed(Enum):
    """An argument that cannot be read."""

    MALFORMED = "malformed"


MALFORMED: Final = Malformed.MALFORMED

Argument: TypeAlias = bytes | Malformed | None
"""What stands behind a directive's equals sign, unquoted; None when there is no such sign."""

Members: TypeAlias = Iterable[tuple[bytes, Argument]]
"""Directives in their order, names in lower case."""


@dataclass(frozen=True, slots=True)
class AnswerDirectives:
    """Directives of an answer (RFC 9111, 5.2.2; RFC 5861); seconds, None where a directive is absent.

    A freshness that is malformed, or given twice with different values, is 0: the answer is stale.
    `no_cache_fields` and `private_fields` are what the qualified forms list; unqualified forms set the flag.
    `s_maxage_sound` tells that `s-maxage` may permit something as well as forbid.
    """

    max_age: int | None = None
    s_maxage: int | None = None
    s_maxage_sound: bool = False
    no_store: bool = False
    no_cache: bool = False
    no_cache_fields: frozenset[bytes] = frozenset()
    private: bool = False
    private_fields: frozenset[bytes] = frozenset()
    public: bool = False
    must_revalidate: bool = False
    proxy_revalidate: bool = False
    must_understand: bool = False
    stale_while_revalidate: int = 0
    stale_if_error: int = 0


@dataclass(frozen=True, slots=True)
class RequestDirectives:
    """Directives of a request (RFC 9111, 5.2.1; RFC 5861, 4); seconds, None where a directive is absent.

    `max_stale` without a number is `MOST_SECONDS`. A malformed `max-age` is 0, a malformed `min-fresh`
    `MOST_SECONDS`, a malformed `max-stale` absent.
    """

    max_age: int | None = None
    min_fresh: int = 0
    max_stale: int | None = None
    stale_if_error: int | None = None
    no_cache: bool = False
    no_store: bool = False
    only_if_cached: bool = False


NO_ANSWER_DIRECTIVES: Final = AnswerDirectives()
NO_REQUEST_DIRECTIVES: Final = RequestDirectives()


def answer_directives(value: bytes) -> AnswerDirectives:
    """The directives in an answer's `Cache-Control` (RFC 9111, 5.2.2)."""
    return _remembered_answer(value) if len(value) <= _LONGEST_REMEMBERED else read_answer(split(value))


def request_directives(fields: Fields) -> RequestDirectives:
    """The directives of a request (RFC 9111, 5.2.1), or of its `Pragma` when it has no `Cache-Control` (5.4)."""
    value = fields.get(b"cache-control")
    if value is None:
        value = fields.get(b"pragma")
        if value is None:
            return NO_REQUEST_DIRECTIVES
        return RequestDirectives(no_cache=any(name == b"no-cache" for name, _ in split(value)))
    return _remembered_request(value) if len(value) <= _LONGEST_REMEMBERED else _read_request(split(value))


def split(value: bytes) -> Iterator[tuple[bytes, Argument]]:
    """The directives in a `Cache-Control` value (RFC 9111, 5.2), whatever the value.

    What follows a quotation mark that nothing closes is malformed throughout: it still restricts.
    """
    closed = _CLOSED.match(value)
    end = closed.end() if closed else 0
    members = list(_MEMBER.finditer(value, 0, end))
    if end < len(value) and members and members[-1].end() == end:
        end = members.pop().start()  # the quotation mark is this one's
    for member in members:
        directive = member[0].strip(b" \t")
        match = _DIRECTIVE.fullmatch(directive)
        if match is not None:
            yield match[1].lower(), _argument(match[2], match[3])
        else:
            yield from _malformed(directive)
    for directive in value[end:].split(b","):
        yield from _malformed(directive.strip(b" \t"))


def _argument(token: bytes | None, quoted: bytes | None) -> bytes | None:
    return token if quoted is None else _ESCAPED.sub(rb"\1", quoted[1:-1])


def _malformed(directive: bytes) -> Iterator[tuple[bytes, Argument]]:
    name = TOKEN.match(directive)
    if name is not None:
        yield name[0].lower(), MALFORMED


def delta_seconds(argument: Argument) -> int | None:
    """RFC 9111, 1.2.2: whole seconds, at most `MOST_SECONDS`; None when it is no such number."""
    if not isinstance(argument, bytes) or _DIGITS.fullmatch(argument) is None:
        return None
    digits = argument.lstrip(b"0") or b"0"
    return MOST_SECONDS if len(digits) > 10 else min(int(digits), MOST_SECONDS)


def parse_age(value: bytes | None) -> int:
    """The seconds in `Age` (RFC 9111, 5.1): of a list the first; 0 when there is none or it is invalid."""
    if value is None:
        return 0
    return delta_seconds(value.partition(b",")[0].rstrip(b" \t")) or 0


class _Reading:
    """An answer's directives while they are read."""

    def __init__(self) -> None:
        self.seconds: dict[bytes, int] = {}
        self.flags: set[bytes] = set()
        self.sound: set[bytes] = set()
        self.listed: dict[bytes, frozenset[bytes]] = {}

    def freshness(self, name: bytes, argument: Argument) -> None:
        """Take note of seconds that differ from ones given before, or are none: both mean stale (4.2.1)."""
        seconds = delta_seconds(argument)
        if seconds is not None:
            self.sound.add(name)
        known = self.seconds.get(name, seconds)
        self.seconds[name] = seconds if seconds is not None and seconds == known else 0

    def grace(self, name: bytes, argument: Argument) -> None:
        """Take note of what RFC 5861 permits; of several, the least."""
        seconds = delta_seconds(argument) or 0
        self.seconds[name] = min(seconds, self.seconds.get(name, seconds))

    def qualified(self, name: bytes, argument: Argument) -> None:
        """Take note of a directive that may list fields (5.2.2.4, 5.2.2.7)."""
        names = _field_names(argument)
        if names:
            self.listed[name] = self.listed.get(name, frozenset()) | names
        else:
            self.flags.add(name)

    def permission(self, name: bytes, argument: Argument) -> None:
        """Take note of what permits, if it is as it should be."""
        if argument is None:
            self.flags.add(name)

    def restriction(self, name: bytes, argument: Argument) -> None:
        """Take note of what forbids, however it is written."""
        self.flags.add(name)


_READ: Final = {
    b"max-age": _Reading.freshness,
    b"s-maxage": _Reading.freshness,
    b"no-cache": _Reading.qualified,
    b"private": _Reading.qualified,
    b"no-store": _Reading.restriction,
    b"must-revalidate": _Reading.restriction,
    b"proxy-revalidate": _Reading.restriction,
    b"public": _Reading.permission,
    b"must-understand": _Reading.permission,
    b"stale-while-revalidate": _Reading.grace,
    b"stale-if-error": _Reading.grace,
}


def read_answer(members: Members) -> AnswerDirectives:
    """What an answer's directives come to (RFC 9111, 5.2.2); unknown ones are ignored (5.2.3)."""
    reading = _Reading()
    for name, argument in members:
        read = _READ.get(name)
        if read is not None:
            read(reading, name, argument)
    seconds, flags, listed = reading.seconds, reading.flags, reading.listed
    nothing: frozenset[bytes] = frozenset()
    return AnswerDirectives(
        max_age=seconds.get(b"max-age"),
        s_maxage=seconds.get(b"s-maxage"),
        s_maxage_sound=b"s-maxage" in reading.sound,
        no_store=b"no-store" in flags,
        no_cache=b"no-cache" in flags,
        no_cache_fields=listed.get(b"no-cache", nothing),
        private=b"private" in flags,
        private_fields=listed.get(b"private", nothing),
        public=b"public" in flags,
        must_revalidate=b"must-revalidate" in flags,
        proxy_revalidate=b"proxy-revalidate" in flags,
        must_understand=b"must-understand" in flags,
        stale_while_revalidate=seconds.get(b"stale-while-revalidate", 0),
        stale_if_error=seconds.get(b"stale-if-error", 0),
    )


def _field_names(argument: Argument) -> frozenset[bytes] | None:
    """The names that a qualified form lists; None when the directive is to hold for all of the answer.

    So it is when it lists none, something else, or a field without which the rest cannot be judged later.
    """
    if not isinstance(argument, bytes):
        return None
    names = [name for part in argument.split(b",") if (name := part.strip(b" \t").lower())]
    sound = all(TOKEN.fullmatch(name) and name not in _JUDGED_BY for name in names)
    return frozenset(names) if sound else None


def _read_request(members: Members) -> RequestDirectives:
    every = list(members)
    flags = {name for name, _ in every}
    max_age = [delta_seconds(argument) or 0 for name, argument in every if name == b"max-age"]
    return RequestDirectives(
        max_age=min(max_age, default=None),
        min_fresh=max((_min_fresh(argument) for name, argument in every if name == b"min-fresh"), default=0),
        max_stale=_least(_max_stale(argument) for name, argument in every if name == b"max-stale"),
        stale_if_error=_least(
            delta_seconds(argument) or 0 for name, argument in every if name == b"stale-if-error"
        ),
        no_cache=b"no-cache" in flags,
        no_store=b"no-store" in flags,
        only_if_cached=b"only-if-cached" in flags,
    )


def _min_fresh(argument: Argument) -> int:
    seconds = delta_seconds(argument)
    return MOST_SECONDS if seconds is None else seconds


def _max_stale(argument: Argument) -> int | None:
    return MOST_SECONDS if argument is None else delta_seconds(argument)


def _least(seconds: Iterable[int | None]) -> int | None:
    return min((each for each in seconds if each is not None), default=None)


@lru_cache(maxsize=_REMEMBERED)
def _remembered_answer(value: bytes) -> AnswerDirectives:
    return read_answer(split(value))


@lru_cache(maxsize=_REMEMBERED)
def _remembered_request(value: bytes) -> RequestDirectives:
    return _read_request(split(value))
