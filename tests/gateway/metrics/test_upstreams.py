from services.gateway.metrics.upstreams import upstream_families
from services.gateway.resilience.ledger import BROKEN, OK, TurnedAway
from shared.telemetry.metrics.families import merged
from tests.gateway.metrics.describing import Described
from tests.shared.telemetry.metrics.recording import Samples, scraped, value


def samples_of(*described: Described) -> Samples:
    return scraped(merged([upstream_families(one()["upstreams"]) for one in described]))


def test_what_the_ledger_has_booked() -> None:
    described = Described()
    described.attempts([OK] * 5 + [BROKEN])
    described.upstream.ledger.retry()
    described.upstream.ledger.ended(OK)
    described.upstream.ledger.turned_away(TurnedAway.OVERLOADED)
    samples = samples_of(described)
    attempts, outcomes = "crm_gateway_attempts_total", "crm_gateway_attempt_outcomes_total"
    assert value(samples, attempts, crm_upstream_name="web", kind="first") == 6
    assert value(samples, attempts, kind="retry") == 1
    assert value(samples, attempts, kind="hedge") == 0
    assert value(samples, outcomes, outcome="ok") == 6
    assert value(samples, outcomes, outcome="broken") == 1
    assert value(samples, attempts) == value(samples, outcomes)
    assert value(samples, "crm_gateway_turned_away_total", reason="overloaded") == 1


def test_replicas() -> None:
    described = Described()
    described.attempt(None, replica=1)
    samples = samples_of(described)
    first = {"crm_upstream_name": "web", "server_address": "a", "server_port": "1"}
    second = {"crm_upstream_name": "web", "server_address": "::1", "server_port": "2"}
    for labels, active, weight in ((first, 0, 1), (second, 1, 3)):
        assert value(samples, "crm_gateway_replica_up", **labels) == 1
        assert value(samples, "crm_gateway_replica_active_requests", **labels) == active
        assert value(samples, "crm_gateway_replica_weight", **labels) == weight
        assert value(samples, "crm_gateway_replica_circuit_open", **labels) == 0


def test_a_replica_of_several_workers() -> None:
    one, other = Described(), Described()
    one.attempt(None)
    other.attempt(None)
    assert other.upstream.health[other.upstream.endpoints[0]].mark_down()
    samples = samples_of(one, other)
    assert value(samples, "crm_gateway_replica_active_requests", server_address="a") == 2
    # One worker that finds it unhealthy is reason enough to look.
    assert value(samples, "crm_gateway_replica_up", server_address="a") == 0
    assert value(samples, "crm_gateway_replica_up", server_address="::1") == 1


def test_an_open_circuit() -> None:
    described = Described()
    described.attempts([BROKEN] * 200)
    assert value(samples_of(described), "crm_gateway_replica_circuit_open", server_address="a") == 1
