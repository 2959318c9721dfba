"""Every request has an id: the caller's, if it is a decent one, or a new UUIDv7."""

import os
from time import time_ns
from typing import Final

from shared.logs.context import USABLE_REQUEST_ID

ID_DIGITS: Final = 18
"""How many random digits an id has."""


class RandomHex:
    """Random hexadecimal digits, drawn from the system by the page: a system call per request is saved."""

    __slots__ = ("_at", "_digits")

    _PAGE = 4096

    def __init__(self) -> None:
        self._digits = b""
        self._at = 0

    def take(self, count: int) -> bytes:
        """`count` digits (at most a page) that nobody was given before."""
        at = self._at
        if at + count > len(self._digits):
            self._digits = os.urandom(self._PAGE).hex().encode("ascii")
            at = 0
        self._at = at + count
        return self._digits[at : at + count]


class RequestIds:
    """Makes UUIDs that sort by their time of making (RFC 9562, 5.7): 48 bits of milliseconds, the rest random."""

    __slots__ = ("_millisecond", "_prefix", "_random")

    def __init__(self, random: RandomHex) -> None:
        self._random = random
        self._millisecond = -1
        self._prefix = b""

    def next(self) -> bytes:
        """A new id in its usual form of 36 characters."""
        return self.of(self._random.take(ID_DIGITS))

    def of(self, digits: bytes) -> bytes:
        """The same from `ID_DIGITS` digits that nobody else was given."""
        millisecond = time_ns() // 1_000_000
        if millisecond != self._millisecond:
            self._millisecond = millisecond
            stamp = b"%012x" % (millisecond & 0xFFFF_FFFF_FFFF)
            self._prefix = stamp[:8] + b"-" + stamp[8:] + b"-7"
        # The variant's two bits are 10: a fixed 8 of the four digits allowed leaves 72 random bits.
        return b"".join((self._prefix, digits[:3], b"-8", digits[3:6], b"-", digits[6:]))


def accepted(sent: bytes | None) -> bool:
    """Whether the caller's own id is fit for logs and headers."""
    return sent is not None and USABLE_REQUEST_ID.fullmatch(sent) is not None
