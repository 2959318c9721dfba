"""What the workers of one gateway know in common: who speaks for it, its name, and until when each upstream is proven.

One worker is elected to ask and to be asked for all; the others read in shared memory how far it got. Should it die,
the kernel gives its lock back, and another worker takes over within a tenth of a second; until then, what it wrote last
remains true, because it says until when.

Times are of the clock `perf_counter_ns` reads, which is one for all processes of a machine.
"""

import fcntl
import logging
import secrets
from collections.abc import Callable
from hashlib import blake2b
from typing import Final

from services.gateway.caching.stamps import Stamps

log = logging.getLogger("kontor.gateway.peers")

_NAME, _NEVER, _FIRST = 0, 1, 2
MOST_UPSTREAMS: Final = 250


class Place:
    """Where one upstream stands on the board, as those read it who serve; `current` is asked for each hit."""

    def __init__(self, board: "Board", upstream: str) -> None:
        self._board = board
        self._upstream = upstream
        self._words = board.words
        self._at = _NEVER

    def current(self, now_ns: int) -> bool:
        """Whether nobody can have acknowledged a write before `now_ns` that is not known here."""
        if now_ns < self._words[self._at]:
            return True
        if self._at == _NEVER:
            self._at = self._board.find(self._upstream)
            return now_ns < self._words[self._at]
        return False


class Board:
    """A worker's view. Only the elected one writes; the others may read at any time, each word by itself."""

    def __init__(self, stamps: Stamps) -> None:
        self.words = stamps.notes
        self._descriptor = stamps.descriptor
        self.elected = False

    @property
    def gateway(self) -> str:
        """The gateway's name, which no other has; empty before anybody was elected."""
        name = self.words[_NAME]
        return f"{name:016x}" if name else ""

    def elect(self) -> bool:
        """Whether this worker speaks for all from now on, since nobody else does."""
        if self._descriptor is not None:
            try:
                fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1)
            except OSError:
                return False
        self.elected = True
        if not self.words[_NAME]:
            self.words[_NAME] = secrets.randbits(63) | 1 << 63
        return True

    def clear(self) -> None:
        """Nothing is proven any more."""
        for at in range(_FIRST + 1, _FIRST + 2 * MOST_UPSTREAMS, 2):
            self.words[at] = 0

    def resign(self) -> None:
        """Somebody else may speak for all."""
        self.elected = False
        if self._descriptor is not None:
            fcntl.lockf(self._descriptor, fcntl.LOCK_UN, 1)

    def find(self, upstream: str) -> int:
        """The word with an upstream's time; one that is always 0 as long as there is none."""
        wanted = _mark(upstream)
        for at in range(_FIRST, _FIRST + 2 * MOST_UPSTREAMS, 2):
            if self.words[at] == wanted:
                return at + 1
        return _NEVER

    def until_ns(self, upstream: str) -> int:
        """What stands there; 0 where nothing does."""
        return self.words[self.find(upstream)]

    def post(self, upstream: str, until_ns: int) -> None:
        """What is stored of it may be used before this instant. What was said before remains true."""
        at = self.find(upstream)
        if at == _NEVER:
            at = self._make(upstream)
        if at != _NEVER:
            self.words[at] = max(self.words[at], until_ns)

    def place(self, upstream: str) -> Place:
        """To read by."""
        return Place(self, upstream)

    def _make(self, upstream: str) -> int:
        for at in range(_FIRST, _FIRST + 2 * MOST_UPSTREAMS, 2):
            if not self.words[at]:
                self.words[at] = _mark(upstream)
                return at + 1
        log.error("there are more than %d upstreams: %s has no place", MOST_UPSTREAMS, upstream)
        return _NEVER


def _mark(upstream: str) -> int:
    """What stands for an upstream's name, and is never 0."""
    return int.from_bytes(blake2b(upstream.encode(), digest_size=8).digest(), "little") | 1


Current = Callable[[int], bool]


class Currency:
    """Whether what is stored of an upstream may be used: every change is known that this worker's feed tells, and
    every one that somebody was told has succeeded."""

    def __init__(self, followed: Current, place: Place) -> None:
        self.followed = followed
        self.place = place

    def __call__(self, now_ns: int) -> bool:
        return self.followed(now_ns) and self.place.current(now_ns)
