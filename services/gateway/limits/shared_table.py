"""Two numbers per name and worker, in memory that all workers of one machine share: what limits are counted with.

A name has a slot. In it each worker has two numbers in a row of its own, which it alone writes, and reads those of
all. So nothing is locked where numbers are read or written, and of a worker that is killed they remain.

Only who gives a slot to a name takes a lock, which the kernel takes back from whoever dies with it. A slot is one of
the `WAYS` that the name's digest says; whose numbers weigh nothing loses his to a newcomer. Rows come in blocks of
`BLOCK_ROWS`, which are mapped when there are so many workers.
"""

import fcntl
import mmap
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from typing import Final

from services.gateway.control.memory import nameless

WAYS: Final = 16
BLOCK_ROWS: Final = 8
SLOT_WORDS: Final = 2 * BLOCK_ROWS
"""From one slot's numbers to the next one's, in a block."""
MOST_ROWS: Final = 512
_WORD: Final = 8
_HEADER_BYTES: Final = mmap.ALLOCATIONGRANULARITY
_ROWS_WORD: Final = 0
_SECRET: Final = slice(64, 80)
# A mark is 48 bits of the digest, and a number that grows with each name that the slot is given to: whoever
# remembers a slot sees by its mark that it was given away, also when the name has it once more.
_GENERATION_BITS: Final = 16
_TRIES: Final = 20

Row = tuple[memoryview, int]
"""The block in which a row is, and the place of its first number in each slot."""


def _rounded(size: int) -> int:
    return -(-size // _HEADER_BYTES) * _HEADER_BYTES


def _block_bytes(slots: int) -> int:
    return _rounded(slots * SLOT_WORDS * _WORD)


def _block_at(slots: int, block: int) -> int:
    return _HEADER_BYTES + _rounded(slots * _WORD) + block * _block_bytes(slots)


class TableFile:
    """The parent's side: it sends `descriptor` to each worker. `slots` is a multiple of `WAYS`."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self.descriptor = nameless("kontor-limits", _block_at(slots, MOST_ROWS // BLOCK_ROWS))
        # Nobody outside can tell whose names share their ways.
        os.pwrite(self.descriptor, os.urandom(16), _SECRET.start)
        self._header = mmap.mmap(self.descriptor, _HEADER_BYTES)

    def admit(self, row: int) -> None:
        """All workers count this row from now on; to be called before its worker is started."""
        with memoryview(self._header).cast("q") as words:
            words[_ROWS_WORD] = max(words[_ROWS_WORD], row + 1)

    def forget(self, row: int) -> None:
        """Set a row's numbers to 0. Its worker must have ended."""
        table = SharedTable.open(self.descriptor, self._slots, row)
        try:
            table.forget()
        finally:
            table.close()

    def close(self) -> None:
        """Let go of it; the workers keep it."""
        self._header.close()
        os.close(self.descriptor)


class SharedTable:
    """One worker's view. `others` are the rows of the other workers, as of the last `catch_up`, `uncounted` how often
    `claim` had no slot to give.

    Whoever reads often does so by itself, from `own` and `others`: the numbers of a slot begin `slot * SLOT_WORDS`
    words after a row's first. What it remembers of a name is good for as long as `marks[slot]` is the same.
    """

    def __init__(self, descriptor: int, slots: int, row: int) -> None:
        """Use `private` or `open`."""
        self._descriptor = descriptor
        self._slots = slots
        self._row = row
        self._maps: list[mmap.mmap] = []
        self._blocks: list[memoryview] = []
        head = self._mapped(_block_at(slots, 0), 0)
        self._secret = bytes(head[_SECRET])
        words = memoryview(head).cast("q")
        self._header = words[:1]
        first = _HEADER_BYTES // _WORD
        self.marks = words[first : first + slots].cast("B").cast("Q")
        self._views = [words, self._header, self.marks]
        self.own = self._row_of(row)
        self.others: tuple[Row, ...] = ()
        self._known = 0
        self.uncounted = 0
        self.catch_up()

    @classmethod
    def private(cls, slots: int) -> "SharedTable":
        """For a process that is alone."""
        return cls(-1, slots, 0)

    @classmethod
    def open(cls, descriptor: int, slots: int, row: int) -> "SharedTable":
        """The view of the worker with this row, which nobody else may have. The descriptor stays its caller's."""
        return cls(descriptor, slots, row)

    def close(self) -> None:
        """Let go of the memory. Nothing else may be called afterwards."""
        for view in (*self._blocks, *reversed(self._views)):
            view.release()
        for one in self._maps:
            one.close()

    def catch_up(self) -> None:
        """Count the rows of workers that were started meanwhile. For a timer, quicker than a worker starts."""
        rows = self._header[0]
        if rows != self._known:
            self._known = rows
            self.others = tuple(self._row_of(row) for row in range(rows) if row != self._row)

    def find(self, name: str) -> int:
        """The slot of a name, -1 if it has none."""
        digest = self._digest(name)
        return self._held(digest, self._ways(digest))

    def claim(
        self, name: str, weight: Callable[[int], int], lighten: Callable[[int], None] | None = None
    ) -> int:
        """The slot of a name, given to it now unless it has one.

        `weight` says what the numbers in a slot weigh, 0 if they may be forgotten. Where all weigh something, `lighten`
        makes those nothing that weigh least; without it there is none, -1. Also -1 when another worker, who is giving
        away a slot at this very instant, does not come to an end with it.
        """
        digest = self._digest(name)
        ways = self._ways(digest)
        held = self._held(digest, ways)
        if held >= 0:
            return held
        with self._locked() as locked:
            if locked:
                held = self._held(digest, ways)
                if held < 0:
                    held = self._give(digest, ways, weight, lighten)
        self.uncounted += held < 0
        return held

    def first_numbers(self, slot: int) -> int:
        """The sum of the first numbers of a slot, over all rows."""
        at = slot * SLOT_WORDS
        words, first = self.own
        found: int = words[first + at]
        for words, first in self.others:
            found += words[first + at]
        return found

    def forget(self) -> None:
        """Set the numbers of this row to 0, where they are not."""
        words, first = self.own
        for slot, mark in enumerate(self.marks):
            if mark:  # of others not even the memory was taken
                at = first + slot * SLOT_WORDS
                words[at] = words[at + 1] = 0

    def _mapped(self, size: int, offset: int) -> mmap.mmap:
        shared = self._descriptor >= 0
        made = mmap.mmap(self._descriptor, size, offset=offset) if shared else mmap.mmap(-1, size)
        self._maps.append(made)
        return made

    def _row_of(self, row: int) -> Row:
        block, place = divmod(row, BLOCK_ROWS)
        while len(self._blocks) <= block:
            offset = _block_at(self._slots, len(self._blocks))
            made = self._mapped(_block_bytes(self._slots), offset)
            self._blocks.append(memoryview(made).cast("q"))
        return self._blocks[block], 2 * place

    def _digest(self, name: str) -> int:
        digest = blake2b(name.encode(), digest_size=6, key=self._secret).digest()
        return int.from_bytes(digest, "little") or 1  # 0 is nobody's

    def _ways(self, digest: int) -> range:
        first = digest % (self._slots // WAYS) * WAYS
        return range(first, first + WAYS)

    def _held(self, digest: int, ways: range) -> int:
        for slot, mark in enumerate(self.marks[ways.start : ways.stop].tolist(), ways.start):
            if mark >> _GENERATION_BITS == digest:
                return slot
        return -1

    def _give(
        self,
        digest: int,
        ways: range,
        weight: Callable[[int], int],
        lighten: Callable[[int], None] | None,
    ) -> int:
        slot = next((slot for slot in ways if weight(slot) <= 0), -1)
        if slot < 0:
            if lighten is None:
                return -1
            slot = min(ways, key=weight)
            lighten(slot)
        generation = (self.marks[slot] + 1) % (1 << _GENERATION_BITS)
        self.marks[slot] = digest << _GENERATION_BITS | generation
        return slot

    @contextmanager
    def _locked(self) -> Iterator[bool]:
        """Whether nobody else gives away a slot meanwhile. Waits for a moment, and for nobody who is stopped."""
        if self._descriptor < 0:
            yield True
            return
        locked = self._lock()
        try:
            yield locked
        finally:
            if locked:
                fcntl.lockf(self._descriptor, fcntl.LOCK_UN)

    def _lock(self) -> bool:
        for _ in range(_TRIES):
            try:
                fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError):
                os.sched_yield()  # whoever has it may be waiting for this processor
            else:
                return True
        return False
