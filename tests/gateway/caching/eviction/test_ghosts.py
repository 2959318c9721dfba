"""Ghost caches see a sample, and tell of it what the whole would tell."""

import json
from collections.abc import Iterable, Sequence
from itertools import accumulate
from random import Random
from zlib import crc32

import pytest

from services.gateway.caching.eviction.adaptive import Adaptive
from services.gateway.caching.eviction.ghost_log import GhostLog
from services.gateway.caching.eviction.ghosts import (
    CANDIDATES,
    FINGERPRINTS,
    LOG,
    MOST_NODES,
    WINDOW,
    GhostCaches,
    favoured,
)
from services.gateway.caching.eviction.node import Node
from tests.gateway.caching.eviction.traces import replay, replay_adaptive

SECOND = 1_000_000_000


def zipf(keys: int, exponent: float, count: int, seed: int = 1) -> list[int]:
    """Requests of `keys` keys, the n-th of which weighs 1 / n ** exponent, as fingerprints."""
    weights = list(accumulate(1 / (n + 1) ** exponent for n in range(keys)))
    drawn = Random(seed).choices(range(keys), cum_weights=weights, k=count)  # noqa: S311
    return [crc32(b"%d" % key) for key in drawn]


def sessions(count: int, seed: int = 1) -> list[int]:
    """People who look at a few things of their own for a while, and never again: what LRU is best at."""
    rng = Random(seed)  # noqa: S311
    requests: list[int] = []
    people: list[list[int]] = []
    while len(requests) < count:
        if len(people) < 40:
            first = len(requests) * 20
            people.append([rng.randint(10, 80), *range(first, first + rng.randint(3, 15))])
        person = rng.choice(people)
        requests.append(crc32(b"%d" % rng.choice(person[1:])))
        person[0] -= 1
        if not person[0]:
            people.remove(person)
    return requests


def observe(ghosts: GhostCaches, requests: Iterable[int]) -> None:
    for key in requests:
        if key < ghosts.threshold:
            ghosts.request(key, 1, 0, 1, 0)


def test_the_sample_tells_what_the_whole_would() -> None:
    requests = zipf(40_000, 0.8, 200_000)
    ghosts = GhostCaches(4000)
    observe(ghosts, requests)
    told = ghosts.describe()
    assert told["requests"] == LOG // 2
    for name, make in CANDIDATES.items():
        recent = replay(requests, make(4000), 4000) - replay(requests[:100_000], make(4000), 4000)
        assert told["hit_ratios"][name] == pytest.approx(recent / 100_000, abs=0.08)
    assert told["optimum"] >= max(told["hit_ratios"].values())


def test_samples_fewer_keys_of_a_large_cache() -> None:
    ghosts = GhostCaches(200_000)
    first = ghosts.threshold
    observe(ghosts, zipf(400_000, 0.3, 200_000))
    assert ghosts.threshold < first
    assert ghosts.describe()["nodes"] <= MOST_NODES + WINDOW
    assert ghosts.memory_bytes < 3_000_000


def test_another_bound_begins_anew() -> None:
    ghosts = GhostCaches(200_000)
    fresh = ghosts.describe()
    observe(ghosts, zipf(400_000, 0.3, 200_000))
    ghosts.resize(200_000)
    assert ghosts.describe() == fresh


def requested(versions: Sequence[tuple[int, int, int]]) -> dict[str, float]:
    """Hit ratios when one key is asked for: (version, expiry, time)."""
    ghosts = GhostCaches(FINGERPRINTS)
    for version, expires_at, now in versions:
        ghosts.request(7, 10, version, expires_at, now)
    told = ghosts.describe()
    return {**told["hit_ratios"], "optimum": told["optimum"]}


def test_what_was_invalidated_is_no_hit() -> None:
    """The older half warms the cache: the other two requests are what is scored."""
    assert set(requested([(0, 9, 0)] * 4).values()) == {1.0}
    assert set(requested([(0, 9, 0), (0, 9, 0), (1, 9, 0), (1, 9, 0)]).values()) == {0.5}


def test_what_expired_is_no_hit() -> None:
    assert set(requested([(0, 5, 0), (0, 5, 1), (0, 9, 5), (0, 9, 6)]).values()) == {0.5}


def test_what_was_renewed_is_a_hit() -> None:
    ghosts = GhostCaches(FINGERPRINTS)
    ghosts.request(7, 10, 0, 5, 0)
    ghosts.request(7, 10, 0, 5, 1)
    ghosts.renew(7, 0, 9)
    ghosts.request(7, 10, 0, 9, 6)
    ghosts.request(7, 10, 0, 9, 7)
    assert set(requested([(0, 5, 0), (0, 5, 1), (0, 9, 6), (0, 9, 7)]).values()) == {0.5}
    assert set(ghosts.describe()["hit_ratios"].values()) == {1.0}


def test_what_is_larger_than_the_ghost_is_passed_by() -> None:
    ghosts = GhostCaches(100)
    for _ in range(4):
        ghosts.request(7, 90, 0, 9, 0)
    told = ghosts.describe()
    assert set(told["hit_ratios"].values()) == {0.0}
    assert told["nodes"] == 0


@pytest.mark.parametrize(
    ("scores", "total", "expected"),
    [
        ([500.0, 900.0, 100.0], 4 * WINDOW, 1),
        ([890.0, 900.0, 100.0], 4 * WINDOW, 0),  # not far enough ahead
        ([500.0, 900.0, 100.0], 1.5 * WINDOW, 0),  # too early
        ([900.0, 100.0, 100.0], 4 * WINDOW, 0),
    ],
)
def test_a_favourite_must_be_ahead_by_a_margin(scores: list[float], total: float, expected: int) -> None:
    assert favoured(0, scores, total) == expected


def test_adaptive_changes_over_to_what_suits_the_traffic() -> None:
    requests = sessions(120_000)
    limit = 500
    hits, ghosts = replay_adaptive(requests, limit)
    best = max(replay(requests, make(limit), limit) for make in CANDIDATES.values())
    assert ghosts.favourite == "lru"
    assert hits / len(requests) >= best / len(requests) - 0.02


@pytest.mark.parametrize("exponent", [0.7, 1.0])
def test_adaptive_is_never_far_behind(exponent: float) -> None:
    requests = zipf(10_000, exponent, 100_000)
    for limit in (100, 1000):
        hits, _ = replay_adaptive(requests, limit)
        best = max(replay(requests, make(limit), limit) for make in CANDIDATES.values())
        assert hits / len(requests) >= best / len(requests) - 0.02


def test_adaptive_keeps_everything_when_it_changes() -> None:
    ghosts = GhostCaches(100)
    policy = Adaptive(100, ghosts)
    for key in range(100):
        policy.add(Node(key, 1))
    assert policy.acting == next(iter(CANDIDATES))
    ghosts.favourite = "lru"
    victim = policy.evict()
    assert policy.acting == "lru"
    assert {node.fingerprint for node in policy.nodes()} == set(range(100)) - {victim.fingerprint}


def test_a_log_is_the_same_in_another_process() -> None:
    ghosts = GhostCaches(400)
    observe(ghosts, zipf(4_000, 0.8, 20_000))
    log = ghosts.log()
    told = log.describe()
    assert GhostLog.from_json(json.loads(json.dumps(log.as_json()))).describe() == told == ghosts.describe()
    observe(ghosts, zipf(4_000, 0.8, 20_000, seed=2))
    assert log.describe() == told  # a copy
    assert ghosts.describe() != told
