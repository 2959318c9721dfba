from services.gateway.caching.second.level import SecondLevel
from services.gateway.caching.second.rule import SecondLevelRule, ServersRule
from services.gateway.caching.telling import HIT, MISS, OUTCOMES
from services.gateway.metrics.caches import cache_families, peers_families, second_families
from shared.telemetry.metrics.families import merged
from tests.gateway.metrics.describing import NOW, Described
from tests.shared.telemetry.metrics.recording import Samples, scraped, value


def samples_of(*described: Described) -> Samples:
    return scraped(merged([cache_families(one()["caches"].values()) for one in described]))


def test_requests_by_what_became_of_them() -> None:
    described = Described()
    described.caches["all"].requests[HIT] += 3
    described.caches["reads"].requests[HIT] += 2
    described.caches["reads"].requests[MISS] += 1
    samples = samples_of(described)
    name = "crm_gateway_cache_requests_total"
    assert value(samples, name, http_route="/", outcome="hit") == 5  # both have this prefix
    assert value(samples, name, outcome="miss") == 1
    assert [value(samples, name, outcome=one) for one in OUTCOMES[2:]] == [0, 0, 0, 0]
    assert value(samples_of(described, described), name) == 12


def test_what_is_held_and_dropped() -> None:
    described = Described()
    described.caches["reads"].unproven = 7
    assert value(samples_of(described), "crm_gateway_cache_unproven_total", http_route="/") == 7
    store = described.caches["all"].store
    empty = value(samples_of(described), "crm_gateway_cache_bytes", http_route="/")
    for key in (b"a", b"b", b"c"):
        store.put(key, None, 1_000, began=store.begin(), now_ns=NOW, expires_at_ns=2 * NOW)  # type: ignore[arg-type]
    store.remove(b"a")
    store.change_bound(store.used_bytes - 1, NOW)
    samples = samples_of(described)
    assert value(samples, "crm_gateway_cache_entries", http_route="/") == len(store)
    assert value(samples, "crm_gateway_cache_invalidations_total") == 1
    assert value(samples, "crm_gateway_cache_evictions_total") == 2 - len(store)
    assert value(samples, "crm_gateway_cache_bytes") != empty


def test_what_the_second_level_does_and_fails_to_do() -> None:
    level = SecondLevel(SecondLevelRule(ServersRule((("127.0.0.1", 1),))))
    level.used("")
    level.changed(b"web/-", [b"contacts"])
    samples = scraped(second_families(level.describe()))
    operations = "crm_gateway_cache_second_operations_total"
    assert value(samples, operations, outcome="hits") == 1
    assert value(samples, operations, outcome="failed_changes") == 1
    assert value(samples, "crm_gateway_cache_second_failures_total", error_type="unavailable") == 1
    assert value(samples, "crm_gateway_cache_second_missing") == 1


def test_what_other_gateways_cost() -> None:
    peers = {
        "writes": {"under_way": 1, "waited_s": 1.5, "counts": {"acknowledged": 3, "silent": 1}},
        "upstreams": {"customers": True},
        "speaker": {"lapses": 4, "others": 5},
    }
    samples = scraped(peers_families(peers))
    name = "crm_gateway_cache_peers"
    assert value(samples, f"{name}_writes_total", outcome="silent") == 1
    assert value(samples, f"{name}_wait_time_seconds_total") == 1.5
    assert (value(samples, f"{name}_lapses_total"), value(samples, f"{name}_others")) == (4, 5)


def test_there_need_not_be_any() -> None:
    assert cache_families([]) == second_families(None) == peers_families(None) == []
