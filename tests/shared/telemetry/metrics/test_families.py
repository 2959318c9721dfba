import json

import pytest

from shared.telemetry.metrics.definitions import (
    ACTIVE_REQUESTS,
    LITTLES_LAW,
    LOOP_LAG,
    REQUEST_DURATION,
    SHARED_METRICS,
    SPANS,
)
from shared.telemetry.metrics.families import (
    Distribution,
    Exemplar,
    Family,
    Number,
    as_json,
    from_json,
    lasting,
    merged,
)

CATALOGUE = {metric.name: metric for metric in SHARED_METRICS}
LABELS = ("GET", "/v1/deals", "200", "", "gateway")


def distribution(
    first: int, sum_ns: int, *exemplars: Exemplar, labels: tuple[str, ...] = LABELS
) -> Distribution:
    return Distribution(labels, [first, *[0] * len(REQUEST_DURATION.bounds_ns)], sum_ns, list(exemplars))


def test_another_process_reads_what_was_told() -> None:
    told = [
        Family(
            REQUEST_DURATION, [distribution(2, 10**17 + 1, Exemplar(0, 2**127 + 1, 2**63 + 1, 10**6, 10**18))]
        ),
        Family(SPANS, [Number(("sent", "gateway"), 2**53 + 1)]),
        Family(LITTLES_LAW, [Number(("gateway",), 1.0000000000000002, 3.5)]),
    ]
    assert from_json(json.loads(json.dumps(as_json(told))), CATALOGUE) == told


def test_a_name_that_nobody_knows_is_an_error() -> None:
    with pytest.raises(KeyError, match=r"crm\.nothing"):
        from_json([["crm.nothing", []]], CATALOGUE)


def test_counts_and_histograms_are_added_up() -> None:
    other = ("POST", *LABELS[1:])
    one = [Family(REQUEST_DURATION, [distribution(2, 30)]), Family(SPANS, [Number(("sent", "x"), 4)])]
    two = [
        Family(REQUEST_DURATION, [distribution(3, 12), distribution(1, 1, labels=other)]),
        Family(SPANS, [Number(("sent", "x"), 5), Number(("dropped", "x"), 1)]),
    ]
    durations, spans = merged([one, two])
    assert durations.points == [distribution(5, 42), distribution(1, 1, labels=other)]
    assert spans.points == [Number(("sent", "x"), 9), Number(("dropped", "x"), 1)]


def test_of_two_exemplars_of_a_bucket_the_newer_one_stays() -> None:
    old, new, elsewhere = (Exemplar(0, 1, 1, 9, 100), Exemplar(0, 2, 2, 5, 200), Exemplar(3, 3, 3, 9, 50))
    (family,) = merged(
        [
            [Family(REQUEST_DURATION, [distribution(1, 1, new)])],
            [Family(REQUEST_DURATION, [distribution(1, 1, old, elsewhere)])],
        ]
    )
    (point,) = family.points
    assert isinstance(point, Distribution)
    assert sorted(point.exemplars) == [new, elsewhere]


def test_gauges_follow_their_rule() -> None:
    def told(active: int, lag_s: float, ratio: float, weight: float) -> list[Family]:
        return [
            Family(ACTIVE_REQUESTS, [Number(("x",), active)]),
            Family(LOOP_LAG, [Number(("x",), lag_s)]),
            Family(LITTLES_LAW, [Number(("x",), ratio, weight)]),
        ]

    active, lag, law = merged([told(3, 0.5, 1.0, 1.0), told(4, 0.2, 2.0, 3.0)])
    assert active.points == [Number(("x",), 7)]
    assert lag.points == [Number(("x",), 0.5)]
    assert law.points == [Number(("x",), 1.75, 4.0)]


def test_of_an_ended_process_only_counts_last() -> None:
    counts = [Family(REQUEST_DURATION, [distribution(1, 1)]), Family(SPANS, [Number(("sent", "x"), 1)])]
    assert lasting([*counts, Family(ACTIVE_REQUESTS, [Number(("x",), 9)])]) == counts


def test_a_name_with_two_meanings_is_an_error() -> None:
    told = [[Family(REQUEST_DURATION, [distribution(1, 1)])], [Family(REQUEST_DURATION, [Number(LABELS, 1)])]]
    with pytest.raises(TypeError, match="numbers and as distributions"):
        merged(told)
