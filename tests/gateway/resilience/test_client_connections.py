"""Limits of open connections per client."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from services.gateway.limits.shared_table import WAYS
from services.gateway.resilience.client_connections import (
    Admission,
    ClientConnectionRule,
    ClientConnections,
)
from tests.gateway.limits.workers import workers

ADMITTED, CLIENT_FULL, GATEWAY_FULL = Admission


def test_each_client_has_its_own_limit_and_all_share_the_total() -> None:
    connections = ClientConnections(ClientConnectionRule(max_per_client=2, max_total=3))
    assert [connections.opened("a") for _ in range(3)] == [ADMITTED, ADMITTED, CLIENT_FULL]
    assert [connections.opened("b") for _ in range(2)] == [ADMITTED, GATEWAY_FULL]
    connections.closed("a")
    assert connections.opened("b") is ADMITTED
    assert connections.refused_count == 2


@pytest.mark.parametrize("proxy", ["10.0.0.1", "2001:db8::1"])
def test_trusted_proxies_are_only_bound_by_the_total(proxy: str) -> None:
    rule = ClientConnectionRule(max_per_client=1, max_total=3, exempt=frozenset({proxy}))
    connections = ClientConnections(rule)
    client = connections.client_of(proxy)
    assert [connections.opened(client) for _ in range(4)] == [*[ADMITTED] * 3, GATEWAY_FULL]


def test_the_neighbours_of_a_trusted_proxy_are_not_trusted() -> None:
    rule = ClientConnectionRule(max_per_client=1, exempt=frozenset({"2001:db8::1"}))
    connections = ClientConnections(rule)
    neighbours = [connections.client_of(address) for address in ("2001:db8::2", "2001:db8::3")]
    assert [connections.opened(client) for client in neighbours] == [ADMITTED, CLIENT_FULL]


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("fe80::1%eth0", "fe80::/64"),
        ("/run/kontor.sock", "/run/kontor.sock"),
        ("", ""),
    ],
)
def test_who_counts_as_one_client(address: str, client: str) -> None:
    assert ClientConnections(ClientConnectionRule()).client_of(address) == client


def test_a_new_rule_holds_for_those_who_come() -> None:
    connections = ClientConnections(ClientConnectionRule())
    for _ in range(3):
        connections.opened("a")
    connections.rule = ClientConnectionRule(max_per_client=2)
    assert connections.opened("a") is CLIENT_FULL
    assert connections.held_by("a") == 3


def test_closing_what_was_never_open_is_an_error() -> None:
    connections = ClientConnections(ClientConnectionRule())
    with pytest.raises(KeyError):
        connections.closed("a")
    assert connections.total == 0


def test_workers_count_together() -> None:
    rule = ClientConnectionRule(max_per_client=3, max_total=5)
    with workers(2) as house:
        one, two = (ClientConnections(rule, table) for table in house.tables.values())
        assert [worker.opened("a") for worker in (one, two, one, two)] == [*[ADMITTED] * 3, CLIENT_FULL]
        assert [worker.opened("b") for worker in (two, two, one)] == [ADMITTED, ADMITTED, GATEWAY_FULL]
        two.closed("a")
        assert [worker.opened("a") for worker in (one, two)] == [ADMITTED, GATEWAY_FULL]
        assert (one.total, two.total) == (3, 2)
        assert (one.refused_count, two.refused_count) == (1, 2)


def test_the_connections_of_a_killed_worker_are_gone() -> None:
    rule = ClientConnectionRule(max_per_client=2, max_total=3)
    with workers(2) as house:
        one, two = (ClientConnections(rule, table) for table in house.tables.values())
        assert [one.opened("a") for _ in range(2)] == [ADMITTED, ADMITTED]
        assert two.opened("a") is CLIENT_FULL
        house.file.forget(0)
        successor = ClientConnections(rule, house.start(0))
        assert [successor.opened("a"), two.opened("a"), one.opened("a")] == [ADMITTED, ADMITTED, CLIENT_FULL]


def test_for_whom_there_is_no_room_in_the_table_counts_where_it_is() -> None:
    rule = ClientConnectionRule(max_per_client=2)
    with workers(2, slots=WAYS) as house:
        one, two = (ClientConnections(rule, table) for table in house.tables.values())
        for number in range(WAYS - 1):  # and one is everyone's
            assert one.opened(f"client-{number}") is ADMITTED
        assert [one.opened("late") for _ in range(3)] == [ADMITTED, ADMITTED, CLIENT_FULL]
        assert two.opened("late") is ADMITTED
        for worker, times in ((one, 2), (two, 1)):
            for _ in range(times):
                worker.closed("late")
            assert worker.held_by("late") == 0


class AnyOrder(RuleBasedStateMachine):
    """Connections come and go; the counts are exact and nothing of the departed is kept."""

    def __init__(self) -> None:
        super().__init__()
        self.connections = ClientConnections(ClientConnectionRule(max_per_client=3, max_total=7))
        self.open: list[str] = []

    @rule(client=st.sampled_from("abcd"))
    def opens(self, client: str) -> None:
        admission = self.connections.opened(client)
        assert (admission is ADMITTED) == (len(self.open) < 7 and self.open.count(client) < 3)
        if admission is ADMITTED:
            self.open.append(client)

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def closes(self, data: st.DataObject) -> None:
        self.connections.closed(self.open.pop(data.draw(st.integers(0, len(self.open) - 1))))

    @invariant()
    def counts(self) -> None:
        assert self.connections.total == len(self.open)
        held = {client: self.open.count(client) for client in set(self.open)}
        assert dict(self.connections.largest()) == held


TestAnyOrder = AnyOrder.TestCase
