"""Limits of open connections per client."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from services.gateway.resilience.client_connections import (
    Admission,
    ClientConnectionRule,
    ClientConnections,
)

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
