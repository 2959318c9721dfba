"""The learned limit, against a model of an upstream in virtual time: exact, seeded, quick."""

import heapq
import random
from collections import deque
from collections.abc import Callable

import pytest

from services.gateway.resilience.adaptive_limit import AdaptiveLimit, LimitRule
from services.gateway.resilience.concurrency import (
    ADMITTED,
    ConcurrencyLimiter,
    Priority,
    QueueRule,
    Rejected,
)
from services.gateway.resilience.ledger import OK, UNAVAILABLE

MS = 1_000_000
SECOND = 1_000_000_000

ServiceTime = Callable[[random.Random], float]  # in units of its mean
SERVICE_TIMES: dict[str, ServiceTime] = {
    "constant": lambda rng: 1.0,
    "exponential": lambda rng: rng.expovariate(1),
    "log-normal": lambda rng: rng.lognormvariate(-0.5, 1),
}


class Upstream:
    """`workers` and one queue in front of them, as many servers are inside, fed through the limiters.

    Poisson arrivals of `load` times the capacity of the first moment, spread evenly over the limiters.
    """

    def __init__(
        self, limiters: list[ConcurrencyLimiter], service_time: ServiceTime, load: float, seed: int = 1
    ) -> None:
        self.limiters = limiters
        self.workers = 32
        self.mean_ns = 10 * MS
        self.load = load
        self.now = 0
        self.answers: list[tuple[int, int]] = []  # when, and how long after arriving at the gateway
        self._service_time = service_time
        self._arrivals = random.Random(seed)  # noqa: S311  # a model must be reproducible
        self._services = random.Random(seed + 1)  # noqa: S311
        self._interval_ns = self.mean_ns / self.workers
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0
        self._busy = 0
        self._backlog: deque[Callable[[], None]] = deque()
        self._arrive()
        self._expire()

    def run(self, until_s: float) -> None:
        while self._events[0][0] < until_s * SECOND:
            self.now, _, event = heapq.heappop(self._events)
            event()

    def goodput(self, since_s: float, until_s: float) -> float:
        """The share of the present capacity that was used."""
        capacity = self.workers / self.mean_ns * SECOND * (until_s - since_s)
        return len(self._between(since_s, until_s)) / capacity

    def percentile_ms(self, share: float, since_s: float, until_s: float) -> float:
        latencies = sorted(self._between(since_s, until_s))
        return latencies[int(share * len(latencies))] / MS

    def _between(self, since_s: float, until_s: float) -> list[int]:
        return [took for at, took in self.answers if since_s * SECOND <= at < until_s * SECOND]

    def _after(self, delay_ns: float, event: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._events, (self.now + int(delay_ns), self._count, event))

    def _arrive(self) -> None:
        self._after(self._arrivals.expovariate(1) * self._interval_ns / self.load, self._arrive)
        limiter = self.limiters[self._count % len(self.limiters)]
        arrived = self.now

        def notify(granted: bool) -> None:
            if granted:
                self._send(limiter, arrived)

        if limiter.try_acquire(arrived, Priority.NORMAL, notify) is ADMITTED:
            self._send(limiter, arrived)

    def _send(self, limiter: ConcurrencyLimiter, arrived: int) -> None:
        sent = self.now

        def finish() -> None:
            self._busy -= 1
            self.answers.append((self.now, self.now - arrived))
            self._work()
            limiter.release(self.now, self.now - sent, OK)

        self._backlog.append(finish)
        self._work()

    def _work(self) -> None:
        while self._backlog and self._busy < self.workers:
            self._busy += 1
            self._after(self._service_time(self._services) * self.mean_ns, self._backlog.popleft())

    def _expire(self) -> None:
        self._after(10 * MS, self._expire)
        for limiter in self.limiters:
            limiter.expire(self.now)


def upstream(
    service_time: str, load: float, *, initial_limit: int = 32, gateways: int = 1, max_limit: int = 1000
) -> Upstream:
    rule = LimitRule(initial_limit=initial_limit, max_limit=max_limit)
    limiters = [ConcurrencyLimiter(QueueRule(), AdaptiveLimit(rule, 0), 0) for _ in range(gateways)]
    return Upstream(limiters, SERVICE_TIMES[service_time], load)


@pytest.mark.parametrize("service_time", SERVICE_TIMES)
def test_at_twice_the_capacity_all_of_it_is_used_and_answers_stay_quick(service_time: str) -> None:
    unloaded, overloaded = upstream(service_time, 0.5), upstream(service_time, 2.0)
    for model in (unloaded, overloaded):
        model.run(until_s=8)
    assert overloaded.goodput(2, 8) >= 0.9
    # Constant times have no tail of their own: what is added shows in full.
    bound = 3.0 if service_time == "constant" else 1.5
    assert overloaded.percentile_ms(0.99, 2, 8) <= bound * unloaded.percentile_ms(0.99, 2, 8)


@pytest.mark.parametrize("service_time", SERVICE_TIMES)
def test_a_limit_far_too_high_comes_down_in_the_midst_of_overload(service_time: str) -> None:
    model = upstream(service_time, 2.0, initial_limit=300)
    model.run(until_s=12)
    assert model.limiters[0].limit <= 64
    assert model.goodput(2, 12) >= 0.9


@pytest.mark.parametrize("service_time", SERVICE_TIMES)
def test_when_the_upstream_becomes_slower_the_limit_stays_and_recovers_after(service_time: str) -> None:
    model = upstream(service_time, 1.5)
    model.run(until_s=6.3)
    model.mean_ns *= 5
    model.run(until_s=16.3)
    assert model.goodput(10, 16.3) >= 0.8
    model.mean_ns //= 5
    model.run(until_s=22)
    assert model.goodput(18, 22) >= 0.9
    assert model.limiters[0].limit <= 64


@pytest.mark.parametrize("service_time", SERVICE_TIMES)
def test_when_workers_are_lost_the_limit_follows_down_and_up_again(service_time: str) -> None:
    model = upstream(service_time, 1.5)
    model.run(until_s=6.3)
    model.workers = 8
    model.run(until_s=16.3)
    assert model.limiters[0].limit <= 16
    assert model.goodput(10, 16.3) >= 0.9
    model.workers = 32
    model.run(until_s=22)
    assert model.goodput(18, 22) >= 0.9


def test_gateways_that_share_an_upstream_do_not_drive_one_another_up() -> None:
    model = upstream("exponential", 2.0, gateways=4, initial_limit=8)
    model.run(until_s=30)
    assert model.goodput(5, 30) >= 0.9
    assert sum(limiter.limit for limiter in model.limiters) <= 200
    assert model.percentile_ms(0.5, 5, 30) <= 40


def test_below_the_capacity_hardly_anybody_is_turned_away() -> None:
    model = upstream("exponential", 0.8)
    model.run(until_s=10)
    assert model.limiters[0].rejected_count <= 0.01 * len(model.answers)


def window(limit: AdaptiveLimit, start_ms: int, latency_ms: int, in_flight: int) -> None:
    for number in range(100):
        limit.on_result((start_ms + 2 * number) * MS, latency_ms * MS, OK, in_flight)


def test_unused_room_is_no_reason_to_grow() -> None:
    limit = AdaptiveLimit(LimitRule(), 0)
    for number in range(4):
        window(limit, 300 * number, latency_ms=5, in_flight=31)
    assert limit.limit == 32
    for number in range(4, 6):
        window(limit, 300 * number, latency_ms=5, in_flight=32)
    assert limit.limit > 32


def test_an_upstream_that_says_it_is_too_much_is_believed() -> None:
    limit = AdaptiveLimit(LimitRule(), 0)
    for number in range(2):
        window(limit, 300 * number, latency_ms=5, in_flight=10)
    for number in range(20):
        limit.on_result(700 * MS + number, 0, UNAVAILABLE, 10)
    window(limit, 700, latency_ms=5, in_flight=10)
    assert limit.limit == 25


def test_the_limit_keeps_its_bounds() -> None:
    model = upstream("constant", 3.0, initial_limit=20, max_limit=20)
    model.run(until_s=3)
    assert model.limiters[0].limit <= 20
    assert isinstance(model.limiters[0].try_acquire(model.now, Priority.LOW, lambda granted: None), Rejected)
    strict = AdaptiveLimit(LimitRule(min_limit=4, initial_limit=6), 0)
    window(strict, 0, latency_ms=5, in_flight=6)
    for number in range(1, 20):
        window(strict, 4000 * number, latency_ms=5 * number, in_flight=6)
        assert strict.limit >= 4
