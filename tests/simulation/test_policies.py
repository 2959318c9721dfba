"""A fast part of the table of tests/bench/balancing.py: what the policies promise, in virtual time."""

from functools import cache

import pytest

from tests.simulation.contestants import EVERYONE
from tests.simulation.simulator import Result, simulate
from tests.simulation.world import Scenario

WITHIN = 1.05
RIVALS = ("least_requests", "peak_ewma", "nginx least_conn", "haproxy leastconn", "envoy peak_ewma")


@cache
def run(
    fleet: str, replicas: int, load: float, name: str, gateways: int = 1, requests: int = 12_000
) -> Result:
    return simulate(Scenario(fleet, replicas, load, requests=requests, gateways=gateways), EVERYONE[name])


@pytest.mark.parametrize(
    ("fleet", "replicas", "load", "gateways"),
    [
        ("equal", 4, 0.9, 1),
        ("equal", 16, 0.7, 4),
        ("slow_pair", 4, 0.7, 1),
        ("slow_pair", 16, 0.9, 4),
        ("degrading", 4, 0.5, 1),
        ("antagonists", 4, 0.5, 4),
        ("antagonists", 16, 0.7, 1),
    ],
)
def test_adaptive_is_within_five_percent_of_the_best(
    fleet: str, replicas: int, load: float, gateways: int
) -> None:
    best = min(run(fleet, replicas, load, rival, gateways).p99 for rival in RIVALS)
    assert run(fleet, replicas, load, "adaptive", gateways).p99 <= WITHIN * best


@pytest.mark.parametrize("replicas", [4, 16])
def test_with_a_slow_pair_adaptive_is_far_below_round_robin(replicas: int) -> None:
    slow = run("slow_pair", replicas, 0.7, "round_robin")
    assert slow.p99 >= 5 * run("slow_pair", replicas, 0.7, "adaptive").p99


def test_the_slow_pair_is_hardly_used_while_the_others_have_room() -> None:
    shares = run("slow_pair", 16, 0.5, "adaptive", 1, 20_000).shares
    assert sum(shares[:2]) < 0.005
    assert min(shares[2:]) > 0.5 / 14


def test_a_replica_that_fails_at_once_does_not_attract_everything() -> None:
    """Fewest requests in flight is where nothing is served: a sinkhole."""
    assert run("failing", 4, 0.5, "least_requests").errors > 0.2
    assert run("failing", 4, 0.5, "adaptive").errors < 0.02


def test_equal_replicas_get_equal_shares() -> None:
    for name in ("adaptive", "weighted_round_robin", "least_requests", "consistent_hash"):
        shares = run("equal", 4, 0.7, name).shares
        assert all(share == pytest.approx(0.25, abs=0.03) for share in shares)


def test_weights_by_reported_load_relieve_the_slow_pair() -> None:
    by_load = run("slow_pair", 16, 0.7, "weighted_round_robin", 1, 40_000)
    assert sum(by_load.shares[:2]) < 0.4 * 2 / 16
    assert by_load.errors < 0.4 * run("slow_pair", 16, 0.7, "round_robin", 1, 40_000).errors


def test_the_peers_are_what_they_are_called() -> None:
    """Round robin is round robin, and a scan of all is better than two choices, which are better than one."""
    assert run("equal", 16, 0.9, "nginx wrr") == run("equal", 16, 0.9, "round_robin")
    ordered = [run("equal", 16, 0.9, name).p99 for name in ("nginx least_conn", "nginx random two", "random")]
    assert ordered == sorted(ordered)
    assert run("equal", 16, 0.9, "haproxy leastconn").p99 <= WITHIN * ordered[0]


def test_only_prequal_probes() -> None:
    probes = {name: run("equal", 4, 0.5, name, 1, 2000).probes for name in EVERYONE}
    assert {name for name, count in probes.items() if count} == {"prequal"}
    assert probes["prequal"] == pytest.approx(3.0, abs=0.01)
