"""Who may be chosen: health, drain, panic, zones, slow start; and that the dry run tells what will happen."""

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.gateway.balancing.balancer import Balancer, BalancerRules
from services.gateway.balancing.endpoint import Endpoint
from services.gateway.balancing.policies import POLICIES, make_policy
from tests.gateway.balancing.fleet import endpoints, equal

SECOND = 1_000_000_000


class Health:
    """A predicate that tests switch."""

    def __init__(self) -> None:
        self.down: set[Endpoint] = set()

    def usable(self, endpoint: Endpoint) -> bool:
        return endpoint not in self.down

    def why_not(self, endpoint: Endpoint) -> str:
        return "three checks failed" if endpoint in self.down else ""


def balancer(
    fleet: Sequence[Endpoint], health: Health, rules: BalancerRules | None = None, policy: str = "round_robin"
) -> Balancer:
    return Balancer(fleet, make_policy(policy), health.usable, 0, rules=rules, why_not=health.why_not)


def shares(subject: Balancer, count: int, now_ns: int = 0) -> dict[int, int]:
    picks = [subject.pick(now_ns) for _ in range(count)]
    return Counter(pick.replica.port for pick in picks if pick is not None)


def test_the_unhealthy_and_the_drained_get_nothing() -> None:
    health, fleet = Health(), equal(4)
    subject = balancer(fleet, health)
    health.down.add(fleet[0])
    fleet[1].live_weight = 0.0
    subject.refresh(0)
    assert shares(subject, 10) == {3: 5, 4: 5}
    assert subject.candidates == fleet[2:]


def test_another_attempt_goes_elsewhere_or_nowhere() -> None:
    fleet = equal(2)
    subject = balancer(fleet, Health())
    first = subject.pick(0)
    assert first is not None
    second = subject.pick(0, excluding=[first])
    assert {first, second} == set(fleet)
    assert subject.pick(0, excluding=fleet) is None


def test_nobody_healthy_and_no_panic_is_nobody() -> None:
    health, fleet = Health(), equal(2)
    health.down.update(fleet)
    assert balancer(fleet, health, BalancerRules(panic_below=0.0)).pick(0) is None
    assert balancer((), health).pick(0) is None


@settings(deadline=None)
@given(st.integers(1, 12), st.data(), st.sampled_from([0.0, 0.3, 0.5, 1.0]))
def test_panic_uses_all_but_the_drained(count: int, data: st.DataObject, threshold: float) -> None:
    health, fleet = Health(), equal(count)
    health.down.update(data.draw(st.sets(st.sampled_from(fleet))))
    drained = data.draw(st.sets(st.sampled_from(fleet)))
    for one in drained:
        one.live_weight = 0.0
    subject = balancer(fleet, health, BalancerRules(panic_below=threshold))
    serving = [one for one in fleet if one not in drained]
    healthy = [one for one in serving if one not in health.down]
    panic = len(healthy) < threshold * len(serving)
    assert subject.panic is panic
    assert list(subject.candidates) == (serving if panic else healthy)


# Zones


def zones(local: int, remote: int) -> tuple[Endpoint, ...]:
    return equal(local, zone="a") + equal(remote, zone="b", first_port=101)


@pytest.mark.parametrize(
    ("down", "leaving"),
    [(0, 0), (1, 0), (2, 30), (3, 65), (4, 100)],  # 1 - 1.4 x healthy share
)
def test_the_local_zone_first_and_what_it_cannot_carry_elsewhere(down: int, leaving: int) -> None:
    health, fleet = Health(), zones(4, 4)
    health.down.update(fleet[:down])
    subject = balancer(fleet, health, BalancerRules(zone="a", panic_below=0.0))
    remote = sum(count for port, count in shares(subject, 100).items() if port > 100)
    assert abs(remote - leaving) <= 1


def test_turns_are_taken_in_each_zone() -> None:
    health, fleet = Health(), zones(4, 3)
    health.down.update(fleet[:2])
    subject = balancer(fleet, health, BalancerRules(zone="a"), policy="weighted_round_robin")
    counts = shares(subject, 300)
    assert counts == {port: pytest.approx(105 if port < 100 else 30, abs=1) for port in (3, 4, 101, 102, 103)}


def test_further_attempts_leave_the_turns_of_first_ones_alone() -> None:
    fleet = equal(3)
    subject = balancer(fleet, Health(), policy="weighted_round_robin")
    first: Counter[Endpoint] = Counter()
    for _ in range(30):
        picked = subject.pick(0)
        assert picked is not None
        first[picked] += 1
        assert subject.pick(0, excluding=[picked]) is not picked
    assert first == dict.fromkeys(fleet, 10)


def test_without_a_local_replica_all_are_used() -> None:
    assert shares(balancer(zones(0, 2), Health(), BalancerRules(zone="a")), 4) == {101: 2, 102: 2}


def test_another_attempt_leaves_the_zone_when_nobody_is_left_there() -> None:
    fleet = zones(1, 1)
    subject = balancer(fleet, Health(), BalancerRules(zone="a"))
    assert subject.pick(0) is fleet[0]
    assert subject.pick(0, excluding=fleet[:1]) is fleet[1]


# Slow start

SLOWLY = BalancerRules(slow_start_ns=10 * SECOND)


def test_a_replica_that_comes_back_is_given_more_and_more() -> None:
    health, fleet = Health(), equal(3)
    subject = balancer(fleet, health, SLOWLY, policy="weighted_round_robin")
    health.down.add(fleet[2])
    subject.refresh(0)
    health.down.clear()
    subject.refresh(100 * SECOND)
    seen = []
    for second in range(100, 112):
        seen.append(shares(subject, 300, second * SECOND).get(3, 0))
    assert seen == sorted(seen)
    assert seen[0] == pytest.approx(300 * 0.1 / 2.1, abs=2)
    assert seen[5] == pytest.approx(300 * 0.5 / 2.5, abs=2)
    assert seen[10:] == [100, 100]


def test_at_the_start_nobody_is_slow() -> None:
    fleet = equal(3)
    balancer(fleet, Health(), SLOWLY)
    assert [one.weight for one in fleet] == [1.0] * 3


def test_a_newcomer_starts_slowly() -> None:
    fleet = equal(3)
    subject = balancer(fleet[:2], Health(), SLOWLY)
    subject.replace(fleet, 5 * SECOND)
    assert [one.weight for one in fleet] == [1.0, 1.0, 0.1]


def test_weights_are_configured_times_live() -> None:
    fleet = endpoints(4, 2)
    subject = balancer(fleet, Health())
    fleet[0].live_weight = 0.25
    subject.refresh(0)
    assert [one.weight for one in fleet] == [1.0, 2.0]


# The set


def test_requests_in_flight_survive_a_change_of_the_set() -> None:
    fleet = equal(3)
    subject = balancer(fleet, Health(), policy="least_requests")
    for _ in range(6):
        chosen = subject.pick(0)
        assert chosen is not None
        chosen.began(0)
    before = {one: one.active for one in fleet}
    subject.replace(fleet[1:], 0)
    subject.replace(fleet, 0)
    assert {one: one.active for one in subject.endpoints} == before


# The dry run


@pytest.mark.parametrize("name", sorted(POLICIES))
@settings(deadline=None)
@given(
    history=st.lists(
        st.tuples(st.binary(max_size=3), st.booleans(), st.integers(1, 90), st.integers(0, 8)), max_size=25
    ),
    down=st.sets(st.integers(0, 3), max_size=2),
    zone=st.sampled_from(["", "a"]),
)
def test_the_dry_run_tells_what_will_be_picked(
    name: str, history: list[tuple[bytes, bool, int, int]], down: set[int], zone: str
) -> None:
    health, fleet = Health(), endpoints(1, 1, 2, zone="a") + endpoints(1, zone="b", first_port=4)
    health.down.update(fleet[index] for index in down)
    subject = balancer(fleet, health, BalancerRules(zone=zone), policy=name)
    now = 0
    for key, ends, latency_ms, tried in history:
        now += 400_000_000
        excluding = fleet[tried : tried + 1]
        told = [subject.explain(now, key, excluding).chosen for _ in range(2)]
        picked = subject.pick(now, key, excluding)
        assert told == [picked, picked]
        assert picked is not None
        picked.began(now)
        if ends:
            picked.ended(now, latency_ms * 1_000_000, True)


def test_the_dry_run_says_why() -> None:
    health, fleet = Health(), zones(3, 2)
    health.down.add(fleet[0])
    fleet[1].live_weight = 0.0
    subject = balancer(fleet, health, BalancerRules(zone="a"), policy="least_requests")
    explanation = subject.explain(0, excluding=[fleet[4]])
    assert explanation.policy == "least_requests"
    assert [one.endpoint for one in explanation.candidates] == [fleet[2], fleet[3]]
    assert [(one.endpoint, one.reason) for one in explanation.excluded] == [
        (fleet[0], "three checks failed"),
        (fleet[1], "drained"),
        (fleet[4], "tried before"),
    ]
    assert explanation.chosen is fleet[2]
    assert explanation.reason.startswith("host:3 by least_requests: ")
    assert "in flight" in explanation.reason


def test_the_dry_run_tells_of_panic_and_of_nobody() -> None:
    health, fleet = Health(), equal(4)
    health.down.update(fleet[:3])
    subject = balancer(fleet, health)
    assert "too few are healthy" in subject.explain(0).reason
    empty = balancer((), health).explain(0)
    assert (empty.chosen, empty.reason) == (None, "Nobody is left to choose from.")


def test_those_in_another_zone_are_told_apart() -> None:
    fleet = zones(2, 1)
    explanation = balancer(fleet, Health(), BalancerRules(zone="a")).explain(0)
    assert [one.endpoint for one in explanation.candidates] == list(fleet[:2])
    assert [(one.endpoint, one.reason) for one in explanation.excluded] == [(fleet[2], "in another zone")]
