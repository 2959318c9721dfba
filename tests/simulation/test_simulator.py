"""The simulator is right where theory knows the answer, repeats itself to the bit, and loses nothing."""

from collections.abc import Sequence
from dataclasses import replace
from math import log

import pytest

from services.gateway.balancing.endpoint import Endpoint
from services.gateway.balancing.policy import Replica
from services.gateway.balancing.round_robin import RoundRobin
from services.gateway.resilience.adaptive_limit import LimitRule
from services.gateway.resilience.concurrency import ADMITTED, Priority
from tests.simulation.contestants import EVERYONE
from tests.simulation.limits import ReplicaLimits
from tests.simulation.simulator import Result, simulate
from tests.simulation.world import MEAN_SERVICE_NS, MS, SECOND, ReplicaModel, Scenario, build

SINGLE = Scenario(
    "equal", 1, 0.5, workers=1, queue=10_000, service="exponential", network_ns=0, timeout_ns=60 * SECOND
)


def run(scenario: Scenario, name: str) -> Result:
    return simulate(scenario, EVERYONE[name])


@pytest.mark.parametrize("load", [0.4, 0.7])
def test_one_worker_is_an_m_m_1_queue(load: float) -> None:
    """The time in the system is exponential with rate mu - lambda."""
    result = run(replace(SINGLE, load=load), "round_robin")
    for measured, share in ((result.p50, 0.5), (result.p99, 0.99)):
        assert measured == pytest.approx(-log(1 - share) * MEAN_SERVICE_NS / (1 - load), rel=0.08)


def test_random_choice_makes_independent_queues_of_the_same_kind() -> None:
    many = run(replace(SINGLE, replicas=4, load=0.5), "random")
    assert many.p99 == pytest.approx(log(100) * MEAN_SERVICE_NS / 0.5, rel=0.08)
    assert all(share == pytest.approx(0.25, abs=0.01) for share in many.shares)


@pytest.mark.parametrize("load", [1.3, 1.7])
def test_above_capacity_what_cannot_be_served_fails(load: float) -> None:
    result = run(Scenario("equal", 4, load, requests=12_000), "least_requests")
    assert result.errors == pytest.approx(1 - 1 / load, abs=0.03)
    assert result.p99 == SECOND


@pytest.mark.parametrize("name", sorted(EVERYONE))
@pytest.mark.parametrize("fleet", ["slow_pair", "antagonists"])
def test_the_same_seed_is_the_same_to_the_bit(name: str, fleet: str) -> None:
    scenario = Scenario(fleet, 4, 0.9, requests=800, gateways=2)
    assert run(scenario, name) == run(scenario, name)
    assert run(replace(scenario, seed=2), name) != run(scenario, name)


class _Counting(RoundRobin):
    """Keeps the endpoints in sight."""

    def __init__(self, seen: list[Sequence[Endpoint]]) -> None:
        super().__init__()
        self.seen = seen

    def choose(self, candidates: Sequence[Endpoint], now_ns: int, key: bytes = b"") -> Endpoint:
        if not any(candidates is one for one in self.seen):
            self.seen.append(candidates)
        return super().choose(candidates, now_ns, key)


@pytest.mark.parametrize("fleet", ["slow_pair", "failing"])
def test_every_request_ends_once(fleet: str) -> None:
    seen: list[Sequence[Endpoint]] = []
    simulate(Scenario(fleet, 4, 1.3, requests=5000, gateways=3), lambda _: _Counting(seen))
    endpoints = [one for fleet in seen for one in fleet]
    assert len(endpoints) == 12
    assert sum(one.requests for one in endpoints) == 5000
    assert sum(one.answers + one.failures for one in endpoints) == 5000
    assert all(one.active == 0 for one in endpoints)


def test_answers_tell_what_the_others_run() -> None:
    seen: list[Sequence[Endpoint]] = []
    scenario = Scenario("equal", 2, 0.9, requests=4000, gateways=4)
    simulate(scenario, lambda _: _Counting(seen))
    assert all(one.report is not None and one.report.rps_fractional > 0 for fleet in seen for one in fleet)
    seen.clear()
    simulate(replace(scenario, reports=False), lambda _: _Counting(seen))
    assert all(one.report is None and one.others == 0 for fleet in seen for one in fleet)


def test_the_world_is_the_same_for_everyone() -> None:
    first, second = (build(Scenario("antagonists", 4, 0.7, requests=2000)) for _ in range(2))
    assert first.arrivals_ns == second.arrivals_ns
    assert first.demands_ns == second.demands_ns
    assert sum(first.demands_ns) / 2000 == pytest.approx(MEAN_SERVICE_NS, rel=0.1)


def test_disturbed_replicas_are_slow_half_of_the_time_and_degrading_ones_recover() -> None:
    world = build(Scenario("antagonists", 4, 0.7, requests=50_000))
    span = world.arrivals_ns[-1]
    seen = [world.replicas[0].slowness(span * step // 5000) for step in range(5000)]
    assert set(seen) == {1.0, 2.5}
    assert 0.35 < seen.count(2.5) / 5000 < 0.65
    assert world.replicas[1].slowness(0) == 1.0
    world = build(Scenario("degrading", 4, 0.7, requests=2000))
    span = world.arrivals_ns[-1]
    seen = [world.replicas[0].slowness(span * percent // 100) for percent in (40, 55, 75, 95)]
    assert seen == [1.0, pytest.approx(8.5, abs=1.5), 16.0, 1.0]


def test_workers_take_requests_in_order_and_a_full_queue_refuses() -> None:
    model = ReplicaModel(workers=2, queue=1, slowness=lambda _: 1.0)
    starts = []
    for _ in range(3):
        starts.append(model.start_of_next(0))
        model.serve(starts[-1], 10 * MS)
        model.inflight += 1
    assert starts == [0, 0, 10 * MS]
    assert model.refuses(0)


def test_a_replica_expects_the_median_latency_at_its_load() -> None:
    model = ReplicaModel(workers=1, queue=9, slowness=lambda _: 1.0)
    assert model.expected_latency() == 0
    for inflight, latency in ((0, 10), (0, 12), (0, 90), (4, 50)):
        model.observe(inflight, latency)
    assert model.expected_latency() == 12
    model.inflight = 3
    assert model.expected_latency() == 50


def test_above_capacity_all_begin_with_full_queues() -> None:
    """Else nothing fails until they are full, and whoever fills them last seems to serve more."""
    scenario = Scenario("equal", 16, 1.1, requests=8_000)
    assert scenario.begun().backlog == 16 * 54
    assert replace(scenario, load=0.9).begun().backlog == 0
    assert replace(scenario, limits="upstream").begun().backlog == 0, "they never fill"
    late, full = (run(one, "haproxy leastconn") for one in (scenario, scenario.begun()))
    assert late.errors < 0.01
    assert full.errors > 0.05
    assert late.lost == pytest.approx(full.lost, abs=0.01)


def test_the_work_that_is_lost_does_not_depend_on_which_requests_are_served() -> None:
    scenario = Scenario("equal", 4, 1.7, requests=12_000).begun()
    results = [run(scenario, name) for name in ("adaptive", "round_robin", "least_requests", "peak_ewma")]
    lost, errors = ([getattr(one, what) for one in results] for what in ("lost", "errors"))
    assert max(lost) - min(lost) < 0.005 < max(errors) - min(errors)
    assert min(lost) == pytest.approx(1 - 1 / 1.7, abs=0.03)


@pytest.mark.parametrize("limits", ["upstream", "replica"])
def test_a_limit_keeps_those_short_who_are_answered(limits: str) -> None:
    scenario = Scenario("equal", 4, 1.3, requests=12_000)
    unlimited, limited = (run(replace(scenario, limits=one), "adaptive") for one in ("none", limits))
    assert limited.answered_p50 < unlimited.answered_p50 / 2
    assert limited.lost < unlimited.lost + 0.06


@pytest.mark.parametrize("limits", ["upstream", "replica"])
@pytest.mark.parametrize("load", [0.5, 1.3])
def test_whatever_the_limit_every_request_ends_once(limits: str, load: float) -> None:
    seen: list[Sequence[Endpoint]] = []
    scenario = Scenario("slow_pair", 4, load, requests=5000, gateways=2, limits=limits)
    result = simulate(scenario, lambda _: _Counting(seen))
    endpoints = {one for fleet in seen for one in fleet}
    assert all(one.active == 0 for one in endpoints)
    assert sum(one.requests for one in endpoints) == sum(one.answers + one.failures for one in endpoints)
    assert sum(one.requests for one in endpoints) <= 5000
    assert simulate(scenario, lambda _: RoundRobin()) == result


def test_a_replica_with_a_limit_of_its_own_gets_no_more_than_that() -> None:
    endpoints = tuple(Endpoint(Replica("simulated", f"10.0.0.{n}", 80)) for n in range(2))
    limits = ReplicaLimits(endpoints, LimitRule(min_limit=2, initial_limit=2))
    for count in range(4):
        assert limits.try_acquire(0, Priority.NORMAL, print) is ADMITTED
        one = limits.candidates()[0]
        one.began(0)
        assert one.active <= 2, count
    assert limits.try_acquire(0, Priority.NORMAL, print) is not ADMITTED
