from typing import Any

import pytest

from services.gateway.admin import sums
from services.gateway.admin.schemas import Ledger, Upstream
from services.gateway.balancing.endpoint import EndpointRegistry
from services.gateway.config import parse
from services.gateway.control.steering import Order, Steering
from services.gateway.resilience.ledger import OK, REFUSED
from services.gateway.resilience.upstream import Upstream as LiveUpstream

NOW = 1_000_000_000
DOCUMENT = """
routes: [{name: all, prefix: /, upstream: web}]
upstreams: {web: {replicas: [{host: a, port: 1}, {host: b, port: 2}]}}
"""


def told(requests: int, drained: str = "") -> dict[str, Any]:
    """What a worker would tell after so many requests, the last of which is still under way."""
    upstream = LiveUpstream(parse(DOCUMENT).upstreams["web"], EndpointRegistry())
    for number in range(requests):
        endpoint = upstream.endpoints[number % 2]
        pool = upstream.pools[endpoint]
        upstream.ledger.first()
        endpoint.began(NOW)
        token = pool.breaker.on_start(NOW)
        if number < requests - 1:
            upstream.ended(pool, token, NOW, 1_000_000, OK)
    for endpoint in upstream.endpoints:
        endpoint.live_weight = float(endpoint.replica.address != drained)
    upstream.refresh(NOW)
    return {"upstreams": {"web": {**upstream.describe(NOW), "mistakes": upstream.ledger.check(1)}}}


def test_counts_of_all_workers_are_added_up() -> None:
    summed = Upstream.model_validate(sums.upstream("web", {1: told(5), 2: told(2)}, Steering().of))
    assert (summed.account.requests, summed.account.in_flight, summed.account.outcomes["ok"]) == (7, 2, 5)
    assert [(one.address, one.requests, one.active) for one in summed.replicas] == [
        ("a:1", 4, 1),
        ("b:2", 3, 1),
    ]
    assert set(summed.workers) == {"1", "2"}


def test_a_replica_is_as_usable_as_for_the_best_of_the_workers() -> None:
    steering = Steering([Order("web", "a:1", drained=True, weight=0.5)])
    states = {1: told(1, drained="a:1"), 2: told(1)}
    first, _ = Upstream.model_validate(sums.upstream("web", states, steering.of)).replicas
    assert (first.drained, first.live_weight) == (True, 0.5)
    assert "drained" in first.why_not


def test_an_upstream_that_nobody_has() -> None:
    with pytest.raises(KeyError):
        sums.upstream("api", {1: told(1)}, Steering().of)


def test_books_that_balance() -> None:
    ledger = Ledger.model_validate(sums.ledger({1: told(3), 2: told(1)}))
    assert (ledger.balances, ledger.mistakes, ledger.workers) == (True, [], [1, 2])
    assert ledger.total is not None
    assert ledger.total.attempts == 4


def test_books_that_do_not_balance_name_worker_and_upstream() -> None:
    upstream = LiveUpstream(parse(DOCUMENT).upstreams["web"], EndpointRegistry())
    upstream.ledger.ended(REFUSED)  # which never began
    state = {"upstreams": {"web": {**upstream.describe(NOW), "mistakes": upstream.ledger.check(0)}}}
    ledger = Ledger.model_validate(sums.ledger({1: told(1), 2: state}))
    assert not ledger.balances
    assert all(mistake.startswith("worker 2: web: ") for mistake in ledger.mistakes)


def test_nested_counts() -> None:
    assert sums.total([{"a": 1, "b": {"c": 2}}, {"a": 3, "b": {"c": 4, "d": 5}}]) == {
        "a": 4,
        "b": {"c": 6, "d": 5},
    }
