from services.gateway.caching.telling import HIT, MISS, OUTCOMES
from services.gateway.metrics.caches import cache_families
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


def test_there_need_not_be_any() -> None:
    assert cache_families([]) == []
