"""Wakes the requests whose answers are late. One timer for all: they wait in line, as their delays hardly differ."""

import asyncio
from collections import deque
from time import perf_counter_ns
from typing import Protocol


class Hedged(Protocol):
    """A request that may be sent a second time."""

    over: bool

    def hedge(self) -> None:
        """Its answer is late."""


class HedgeTimer:
    """A request put in with a delay shorter than that of the one before waits for that one: by as much as the
    learnt percentile has moved meanwhile, which is little."""

    __slots__ = ("_handle", "_line")

    def __init__(self) -> None:
        self._line: deque[tuple[int, Hedged]] = deque()
        self._handle: asyncio.TimerHandle | None = None

    def add(self, due_ns: int, request: Hedged) -> None:
        """Call `request.hedge` at `due_ns` (a `perf_counter_ns` reading), unless it is over by then."""
        self._line.append((due_ns, request))
        if self._handle is None:
            self._wait(due_ns - perf_counter_ns())

    def _wait(self, delay_ns: int) -> None:
        self._handle = asyncio.get_running_loop().call_later(max(0, delay_ns) / 1e9, self._run)

    def _run(self) -> None:
        self._handle = None
        now_ns = perf_counter_ns()
        line = self._line
        while line and (line[0][1].over or line[0][0] <= now_ns):
            request = line.popleft()[1]
            if not request.over:
                request.hedge()
        if line:
            self._wait(line[0][0] - now_ns)
