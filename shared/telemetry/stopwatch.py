"""Where one request's time goes, instant by instant. Pure: readings of a monotonic clock come in, in nanoseconds.

A request's coroutine runs in steps and waits in between. Every instant between two readings is given to exactly one
component, so that the components add up to the whole, whatever happens:

    in a step                        processing
    between steps, with a statement in flight           db
    else, while a pooled connection is waited for       db_wait
    else, with a call to another service under way      downstream
    else                                                sched

Between steps a request may also be able to run and not get to. How long shows only in part: what it waited for was
there when the event loop next looked, and before that the loop ran the steps of others. See `LoopWork`.
"""

from typing import Final

from shared.telemetry.downstream import Call, Wait, critical_path
from shared.telemetry.terms import Latency, ServiceTerms

_IDLE_NS: Final = 1_000_000
_NO_CALLS: Final = Latency(0, 0, 0)


class LoopWork:
    """How long the event loop of a process has run the steps of requests, and how much of it since it looked twice.

    `busy` is a running total. A request that wakes up was woken by what the loop found when it last looked at its
    sockets. That may have come at any time since the loop had looked before: if the loop was working meanwhile, this
    work is what the request waited for.

    A look is known by what it finds, a new request, and by a pause. A pause of more than 1 ms is idleness: the loop
    had looked and had found nothing. So is, more likely than not, one that is longer than the work before it.
    """

    __slots__ = ("_at_last_look", "_ended", "busy", "since_looked")

    def __init__(self) -> None:
        self.busy = 0
        self.since_looked = 0
        """`busy` as it stood at the look before the last."""
        self._at_last_look = 0
        self._ended = 0

    def looked(self, now: int) -> None:
        """The loop has looked at its sockets and found something at `now`."""
        self.began(now)
        if self.busy != self._at_last_look:
            self.since_looked = self._at_last_look
            self._at_last_look = self.busy

    def began(self, now: int) -> None:
        """Work begins at `now`."""
        pause = now - self._ended
        if pause > _IDLE_NS or pause > self.busy - self.since_looked:
            self.since_looked = self._at_last_look = self.busy

    def ended(self, began: int, now: int) -> None:
        """Work that began at `began` ends at `now`."""
        self.busy += now - began
        self._ended = now


class Stopwatch:
    """One request's. It is created in the request's first step, `now`; `received` is when its first bytes came.

    Whoever waits for something says so by raising a count and lowering it again: `statements` in flight,
    `connections` waited for; calls to other services are entered in `calls`. Several tasks of the request may run in
    turn, never at once. All times in nanoseconds.
    """

    __slots__ = (
        "_busy_then",
        "_db",
        "_db_wait",
        "_mark",
        "_processing",
        "_queue",
        "_running",
        "_sched",
        "_step",
        "_waits",
        "_work",
        "calls",
        "calls_open",
        "connections",
        "received",
        "statements",
        "steps",
    )

    def __init__(self, received: int, now: int, work: LoopWork) -> None:
        self.received = received
        self.statements = 0
        self.connections = 0
        self.calls_open = 0
        self.calls: list[Call] = []
        self.steps = 0
        """How many have ended."""
        self._queue = now - received
        self._db_wait = self._db = self._processing = self._sched = 0
        self._waits: list[Wait] = []
        self._running = True
        self._mark = self._step = now
        self._work = work
        self._busy_then = work.busy
        work.began(now)

    def paused(self, now: int) -> None:
        """A step ends."""
        self._processing += now - self._mark
        self._mark = now
        self._running = False
        self.steps += 1
        work = self._work
        work.ended(self._step, now)
        self._busy_then = work.busy

    def resumed(self, now: int) -> None:
        """The next step begins."""
        self._work.began(now)
        self._waited(now)
        self._step = now
        self._running = True

    def lap(self, now: int) -> ServiceTerms:
        """The terms up to `now`, from within a step or without; their sum is `now` minus `received`."""
        if self._running:
            self._processing += now - self._mark
            self._mark = now
        else:
            self._waited(now)
        down = critical_path(self._waits, self.calls) if self._waits else _NO_CALLS
        own = (self._queue, self._db_wait, self._db, self._processing, self._sched)
        return ServiceTerms._make(own + down)

    def _waited(self, now: int) -> None:
        waited = now - self._mark
        work = self._work
        looked, then = work.since_looked, self._busy_then
        held = work.busy - (looked if looked > then else then)
        held = min(held, waited)
        if self.statements:
            self._db += waited - held
        elif self.connections:
            self._db_wait += waited - held
        elif self.calls_open:
            self._waits.append(Wait(self._mark, now - held))
        else:
            held = waited
        self._sched += held
        self._busy_then = work.busy
        self._mark = now
