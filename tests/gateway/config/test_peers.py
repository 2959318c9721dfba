"""The section `peers`."""

import pytest

from services.gateway.caching.peers.plan import PeersPlan
from services.gateway.caching.peers.rule import PeersRule
from services.gateway.caching.second.rule import ServersRule
from tests.gateway.config.test_document import complaints, snapshot

SHARED = {"servers": [{"host": "127.0.0.1"}], "prefix": "crm"}


def test_without_the_section_a_gateway_is_alone() -> None:
    assert snapshot(shared_cache=SHARED).peers is None


def test_they_meet_where_the_second_level_is() -> None:
    servers = ServersRule((("127.0.0.1", 6379),), timeout_s=0.25)
    assert snapshot(shared_cache=SHARED, peers={}).peers == PeersPlan(PeersRule(), servers, "crm")


def test_they_are_not_less_patient_than_the_second_level() -> None:
    plan = snapshot(shared_cache={**SHARED, "timeout_s": 2}, peers={}).peers
    assert plan is not None
    assert plan.servers is not None
    assert plan.servers.timeout_s == 2


def test_without_a_second_level_they_only_wait() -> None:
    plan = snapshot(peers={"freshness_s": 0.5, "lease_s": 3}).peers
    assert plan == PeersPlan(PeersRule(500_000_000, 3_000_000_000), None, "")


@pytest.mark.parametrize(
    ("section", "complaint"),
    [
        ({"freshness_s": 0}, "peers.freshness_s: must be greater"),
        ({"lease_s": 61}, "peers.lease_s: must be less"),
        ({"freshness_s": 3}, "peers: lease_s must not be shorter"),
        ({"leases": 1}, "peers.leases: "),
    ],
)
def test_mistakes_are_named(section: object, complaint: str) -> None:
    [told] = complaints({"peers": section})
    assert told.startswith(complaint)
