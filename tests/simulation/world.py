"""What is simulated: replicas with workers and a queue, how fast each is at which time, and the load on them."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from heapq import heapreplace
from random import Random
from typing import Final

MS: Final = 1_000_000
SECOND: Final = 1000 * MS
MEAN_SERVICE_NS: Final = 10 * MS
"""Mean service time of a request on an undisturbed worker."""

Slowness = Callable[[int], float]
"""At a time in virtual nanoseconds, by how much a request that is started then takes longer."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One cell of the table, but for the policy.

    fleet         equal, slow_pair (two are 16 times slower), degrading (one becomes up to 16 times slower and
                  recovers at once), antagonists (every second one loses 60 % of its CPU half of the time),
                  failing (one answers 500 at once in the middle of the time)
    replicas      how many; each has `workers` and room for `queue` waiting requests, and refuses more at once
    load          arrival rate as a share of what the fleet can serve: slow members count as slow and disturbed
                  ones as on average, but the one that degrades or fails as sound
    requests      how many arrive; the first 40 %, in which averages settle and queues fill, are not measured
    backlog       how many more arrive all at once before them. Above capacity queues are full sooner or later, and
                  until they are, who fills them last seems to serve more
    limits        what each gateway lets through: none (everything), upstream (the limit that is learnt for all
                  replicas together, and its queue), replica (a limit for each replica, and one queue)
    gateways      among which arrivals are spread at random; each knows only its own requests
    service       lognormal (sigma 1) or exponential
    timeout_ns    after which a client goes away; what has not been started by then is not started any more
    network_ns    one way
    reports       whether answers carry the load header
    """

    fleet: str
    replicas: int
    load: float
    requests: int = 40_000
    gateways: int = 1
    workers: int = 4
    queue: int = 50
    service: str = "lognormal"
    timeout_ns: int = SECOND
    network_ns: int = MS // 4
    reports: bool = True
    seed: int = 1
    backlog: int = 0
    limits: str = "none"

    def begun(self) -> "Scenario":
        """The same, with full queues at the beginning where they would be full sooner or later."""
        if self.load <= 1.0 or self.limits != "none":
            return self
        return replace(self, backlog=self.replicas * (self.workers + self.queue))

    @property
    def arriving(self) -> int:
        """How many requests there are."""
        return self.backlog + self.requests

    @property
    def first_measured(self) -> int:
        """The number of the first request that is measured."""
        return self.backlog + self.requests * 2 // 5


class ReplicaModel:
    """A server: `workers` take requests in order of arrival.

    With constant network delays requests are seen in the order in which they arrive, so that the start and
    the end of each is known as soon as it comes in.
    """

    __slots__ = ("_latencies", "busy_ns", "failing", "free_at", "inflight", "limit", "served", "slowness")

    def __init__(
        self, workers: int, queue: int, slowness: Slowness, failing: tuple[int, int] = (0, 0)
    ) -> None:
        self.free_at = [0] * workers  # a heap: when each worker has finished what it was given
        self.limit = workers + queue
        self.slowness = slowness
        self.failing = failing
        self.inflight = 0
        self.served = 0
        self.busy_ns = 0
        self._latencies: dict[int, deque[int]] = {}

    def observe(self, inflight: int, latency_ns: int) -> None:
        """Remembers how long a request took that found `inflight` others."""
        known = self._latencies.get(inflight)
        if known is None:
            known = self._latencies[inflight] = deque(maxlen=9)
        known.append(latency_ns)

    def expected_latency(self) -> int:
        """What a request may expect as of now: the median of the last ones that found about as many others.

        This is how Prequal's servers answer probes (section 4.1). 0 before the first request.
        """
        if not self._latencies:
            return 0
        nearest = min(self._latencies, key=lambda inflight: (abs(inflight - self.inflight), inflight))
        ordered = sorted(self._latencies[nearest])
        return ordered[len(ordered) // 2]

    def refuses(self, now_ns: int) -> bool:
        """Whether a request that arrives now is answered with an error at once."""
        begin, end = self.failing
        return self.inflight >= self.limit or begin <= now_ns < end

    def start_of_next(self, now_ns: int) -> int:
        """When a request that arrives now is started."""
        return max(now_ns, self.free_at[0])

    def serve(self, start_ns: int, demand_ns: float) -> int:
        """Gives a request to the worker that is free at `start_ns`; when it will be done."""
        took = int(demand_ns * self.slowness(start_ns))
        heapreplace(self.free_at, start_ns + took)
        self.served += 1
        self.busy_ns += took
        return start_ns + took


@dataclass(frozen=True, slots=True)
class World:
    """A scenario made concrete: the same for every policy."""

    replicas: tuple[ReplicaModel, ...]
    arrivals_ns: list[int]
    demands_ns: list[float]
    gateways: list[int]


def build(scenario: Scenario) -> World:
    """The world of a scenario. Arrivals and service times are drawn per request, not per replica."""
    rng = Random(f"{scenario.seed} {scenario.fleet} {scenario.replicas}")  # noqa: S311
    rate = scenario.load * _capacity(scenario) * scenario.workers / MEAN_SERVICE_NS  # per nanosecond
    span_ns = int(scenario.requests / rate)
    arrivals = [0] * scenario.backlog
    now = 0.0
    for _ in range(scenario.requests):
        now += rng.expovariate(rate)
        arrivals.append(int(now))
    draw = _SERVICES[scenario.service]
    return World(
        replicas=tuple(
            ReplicaModel(
                scenario.workers,
                scenario.queue,
                _slowness(scenario, index, span_ns, rng),
                _sick_time(span_ns) if scenario.fleet == "failing" and index == 0 else (0, 0),
            )
            for index in range(scenario.replicas)
        ),
        arrivals_ns=arrivals,
        demands_ns=[draw(rng) for _ in range(scenario.arriving)],
        gateways=[int(rng.random() * scenario.gateways) for _ in range(scenario.arriving)],
    )


def _lognormal(rng: Random) -> float:
    return MEAN_SERVICE_NS * rng.lognormvariate(-0.5, 1.0)


def _exponential(rng: Random) -> float:
    return rng.expovariate(1 / MEAN_SERVICE_NS)


_SERVICES: Final = {"lognormal": _lognormal, "exponential": _exponential}

SLOW: Final = 16.0
_STOLEN: Final = 0.6
_DEGRADES_FROM, _DEGRADED_AT, _RECOVERS_AT = 0.45, 0.65, 0.85  # shares of the time


def _capacity(scenario: Scenario) -> float:
    """How many undisturbed replicas the fleet is worth on average."""
    count = scenario.replicas
    if scenario.fleet == "slow_pair":
        return count - 2 + 2 / SLOW
    if scenario.fleet == "antagonists":
        return count - (count // 2) * _STOLEN / 2
    return float(count)


def _slowness(scenario: Scenario, index: int, span_ns: int, rng: Random) -> Slowness:
    if scenario.fleet == "slow_pair" and index < 2:
        return lambda _: SLOW
    if scenario.fleet == "degrading" and index == 0:
        return _degrading(span_ns)
    if scenario.fleet == "antagonists" and index % 2 == 0:
        return _antagonist(span_ns, rng)
    return lambda _: 1.0


def _sick_time(span_ns: int) -> tuple[int, int]:
    return int(span_ns * _DEGRADES_FROM), int(span_ns * _RECOVERS_AT)


def _degrading(span_ns: int) -> Slowness:
    begin, end = _sick_time(span_ns)
    worst = int(span_ns * _DEGRADED_AT)

    def slowness(now_ns: int) -> float:
        if now_ns < begin or now_ns >= end:
            return 1.0
        return 1.0 + (SLOW - 1.0) * min(1.0, (now_ns - begin) / (worst - begin))

    return slowness


def _antagonist(span_ns: int, rng: Random) -> Slowness:
    """Phases of half a second on average in which the CPU is shared, and of the same length in which it is not."""
    changes = [0]
    while changes[-1] < 2 * span_ns:
        changes.append(changes[-1] + int(rng.expovariate(1 / (SECOND / 2))))
    position = 0
    disturbed = rng.random() < 0.5

    def slowness(now_ns: int) -> float:
        nonlocal position
        while position + 1 < len(changes) and changes[position + 1] <= now_ns:
            position += 1
        return 1.0 / (1.0 - _STOLEN) if (position % 2 == 0) == disturbed else 1.0

    return slowness
