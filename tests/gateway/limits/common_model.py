"""Gateways that hold a limit together, in virtual time: real limiters, and a model of the server they tell."""

import heapq
import itertools
import random
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial

from services.gateway.limits.rate_limiter import RateLimiter
from services.gateway.limits.reckoning import Reckoning, Spending
from services.gateway.limits.shared_table import SharedTable
from services.gateway.limits.token_bucket import Rate
from tests.gateway.limits.workers import workers

SECOND = 1_000_000_000
INTERVAL = 100_000_000
CALLER = "somebody"


class ModelBuckets:
    """What the script does, and its server keeps: what is owed, and since when, in microseconds."""

    def __init__(self) -> None:
        self.kept: dict[str, tuple[int, int]] = {}

    def spend(self, callers: Sequence[str], spent_us: Sequence[int], lag_us: int, now_us: int) -> list[int]:
        """What is owed afterwards."""
        told = []
        for caller, spent in zip(callers, spent_us, strict=True):
            before, since = self.kept.get(caller, (-lag_us, now_us))
            owed = max(before - max(now_us - since, 0), -lag_us) + spent
            if spent:
                self.kept[caller] = owed, now_us
            told.append(owed)
        return told


class Worker:
    """One process of a gateway, whose clock is so far ahead."""

    def __init__(self, world: "World", table: SharedTable, ahead_ns: int) -> None:
        self.table = table
        self.ahead_ns = ahead_ns
        self.limiter = RateLimiter(world.rate, table, lambda: world.now + ahead_ns)
        self.reckoning = Reckoning(self.limiter, INTERVAL)
        self.alive = True

    def hear(self, told: Spending, owed_us: Sequence[int], sent_ns: int) -> None:
        if self.alive:
            self.reckoning.hear(told, [us * 1000 for us in owed_us], sent_ns)


class World:
    """Gateways with workers, each of which takes its turn once in an interval. What was given to `CALLER` is held
    against one bucket which everybody would have taken from: `owed_ns`.

    An answer takes up to `slowest_ns`, half of it each way. `reaches` says whether the server is reached, `answers`
    whether what it says arrives.
    """

    def __init__(
        self,
        rate: Rate,
        gateways: int,
        workers_each: int,
        seed: int,
        slowest_ns: int = INTERVAL // 2,
    ) -> None:
        self.rate = rate
        self.random = random.Random(seed)  # noqa: S311 - the same each time
        self.slowest_ns = slowest_ns
        self.now = 1000 * SECOND
        self.server = ModelBuckets()
        self.server_ahead_us = self.random.randrange(10**12)
        self.reaches = self.answers = True
        self.full_at = 0
        self.given: Counter[int] = Counter()
        self.refused: Counter[int] = Counter()
        self.unfair = 0
        """Refusals of what one bucket would have given."""
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._stack = ExitStack()
        self.gateways: list[list[Worker]] = []
        for _ in range(gateways):
            house = self._stack.enter_context(workers(workers_each))
            ahead_ns = self.random.randrange(10**15)  # no two machines' clocks agree
            self.gateways.append([self._start(table, ahead_ns) for table in house.tables.values()])

    def close(self) -> None:
        self._stack.close()

    @property
    def owed_ns(self) -> int:
        """To all gateways together, at this instant."""
        return max(self.full_at - self.now, 0)

    def after(self, delay_ns: int, event: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now + delay_ns, next(self._numbers), event))

    def run(self, duration_ns: int) -> None:
        end = self.now + duration_ns
        while self._events and self._events[0][0] <= end:
            self.now, _, event = heapq.heappop(self._events)
            event()
        self.now = end

    def ask(self, gateway: int) -> bool:
        """One request, to any of a gateway's workers."""
        if not self.random.choice(self.gateways[gateway]).limiter.take(CALLER).allowed:
            self.refused[gateway] += 1
            self.unfair += self.owed_ns + self.rate.token_ns <= self.rate.full_ns
            return False
        self.given[gateway] += 1
        self.full_at = max(self.full_at, self.now) + self.rate.token_ns
        return True

    def demand(self, gateway: int, per_second: int, duration_ns: int) -> None:
        """Requests to a gateway from now on, at random intervals."""
        end = self.now + duration_ns

        def arrive() -> None:
            self.ask(gateway)
            step = int(self.random.expovariate(per_second) * SECOND)
            if self.now + step < end:
                self.after(step, arrive)

        self.after(int(self.random.expovariate(per_second) * SECOND), arrive)

    def kill(self, gateway: int) -> None:
        """One of its workers, which has a successor at once."""
        house = self.gateways[gateway]
        place = self.random.randrange(len(house))
        house[place].alive = False
        house[place] = self._start(house[place].table, house[place].ahead_ns)

    def _start(self, table: SharedTable, ahead_ns: int) -> Worker:
        worker = Worker(self, table, ahead_ns)
        self.after(self.random.randrange(INTERVAL), partial(self._turn, worker))
        return worker

    def _turn(self, worker: Worker) -> None:
        if not worker.alive:
            return
        self.after(INTERVAL, partial(self._turn, worker))
        if not self.reaches:
            worker.reckoning.forget()
            return
        sent_ns = self.now + worker.ahead_ns
        for told in worker.reckoning.turn(sent_ns):
            self.after(self._transit(), partial(self._arrive, worker, told, sent_ns))

    def _arrive(self, worker: Worker, told: Spending, sent_ns: int) -> None:
        if not self.reaches:
            return
        now_us = self.now // 1000 + self.server_ahead_us
        owed = self.server.spend(told.callers, told.spent_us, told.lag_us, now_us)
        if self.answers:
            self.after(self._transit(), partial(worker.hear, told, owed, sent_ns))

    def _transit(self) -> int:
        return self.random.randrange(self.slowest_ns // 2)
