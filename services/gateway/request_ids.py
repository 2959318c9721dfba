"""Every request has an id: the caller's, if it is a decent one, or a new UUIDv7."""

import os
from time import time_ns
from typing import Final

from shared.logs.context import USABLE_REQUEST_ID

_TAIL: Final = 21


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

    __slots__ = ("_at", "_millisecond", "_prefix", "_tails")

    _PAGE = 200

    def __init__(self) -> None:
        self._millisecond = -1
        self._prefix = b""
        self._tails = b""
        self._at = 0

    def next(self) -> bytes:
        """A new id in its usual form of 36 characters."""
        at = self._at
        if at == len(self._tails):
            self._tails = _tails(self._PAGE)
            at = 0
        self._at = at + _TAIL
        millisecond = time_ns() // 1_000_000
        if millisecond != self._millisecond:
            self._millisecond = millisecond
            stamp = b"%012x" % (millisecond & 0xFFFF_FFFF_FFFF)
            self._prefix = stamp[:8] + b"-" + stamp[8:] + b"-7"
        return self._prefix + self._tails[at : at + _TAIL]


def _tails(count: int) -> bytes:
    """What follows the version in so many ids, one after the other: `xxx-8xxx-xxxxxxxxxxxx`.

    The variant's two bits are 10: a fixed 8 of the four digits allowed leaves 72 random bits.
    """
    digits = os.urandom((count * _TAIL + 1) // 2).hex().encode("ascii")
    tails = bytearray(digits[: count * _TAIL])
    for at, sign in ((3, b"-"), (4, b"8"), (8, b"-")):
        tails[at::_TAIL] = bytearray(sign * count)  # compiled, a bytearray takes nothing else
    return bytes(tails)


def accepted(sent: bytes | None) -> bool:
    """Whether the caller's own id is fit for logs and headers."""
    return sent is not None and USABLE_REQUEST_ID.fullmatch(sent) is not None
