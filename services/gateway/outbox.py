"""What one turn of the event loop has to write is written together, after the last of it was decided.

A write wakes whoever waits for it at the other end. Where one follows another at once, most of them are awake already,
and the kernel's part of the work takes a quarter less (docs/benchmarks.md; the idea is that of Larus and Parkes, "Using
Cohort Scheduling to Enhance Server Performance", USENIX 2002). What is put in waits for the rest of the turn, and is
told how long, as that time has to be accounted for.
"""

import asyncio
import logging
from time import perf_counter_ns
from typing import Protocol

log = logging.getLogger("kontor.gateway")


class Letter(Protocol):
    """What is to be written."""

    def post(self, waited_ns: int) -> None:
        """Write it now, unless it is needed no more. So long it has waited."""


class Outbox(Protocol):
    """Where it waits."""

    def put(self, letter: Letter) -> None:
        """It is to be posted once, in this turn of the event loop or right after it."""


class AtOnce:
    """Nothing waits."""

    def put(self, letter: Letter) -> None:
        """Post it."""
        letter.post(0)


class Together:
    """All that is put in during one turn of the event loop is posted right after it, in the order in which it came."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: list[tuple[Letter, int]] = []

    def put(self, letter: Letter) -> None:
        """Let it wait."""
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._post)
        self._waiting.append((letter, perf_counter_ns()))

    def _post(self) -> None:
        waiting, self._waiting = self._waiting, []
        for letter, put_ns in waiting:
            try:
                letter.post(perf_counter_ns() - put_ns)
            except Exception:
                # A mistake of ours, which must not be that of the others.
                log.exception("what was to be written could not be")
