import math
import random
from collections.abc import Sequence

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from shared.telemetry.capacity import FitError, Point, ScalabilityLaw, fit, needed_without_some

SIZES = (1, 2, 4, 6, 8, 12, 16, 24, 32, 48, 64)
# Two sets that the literature fits (Gunther 2007): SPEC SDM91 on a SPARCcenter 2000, a ray tracer on an Origin 2000.
SPEC_SDM91 = [
    Point(1, 64.9),
    Point(18, 995.9),
    Point(36, 1652.4),
    Point(72, 1853.2),
    Point(108, 1828.9),
    Point(144, 1775.0),
    Point(216, 1702.2),
]
RAY_TRACER = [
    Point(1, 20),
    Point(4, 78),
    Point(8, 130),
    Point(12, 170),
    Point(16, 190),
    Point(20, 200),
    Point(24, 210),
    Point(28, 230),
    Point(32, 260),
    Point(48, 280),
    Point(64, 310),
]
laws = st.builds(
    ScalabilityLaw, st.floats(1, 10_000), st.floats(0, 1), st.one_of(st.just(0.0), st.floats(1e-6, 0.1))
)


def measured(
    law: ScalabilityLaw, noise: float, chance: random.Random, sizes: Sequence[float] = SIZES
) -> list[Point]:
    return [Point(n, law.throughput(n) * (1 + chance.gauss(0, noise))) for n in sizes]


@given(laws)
def test_exact_points_give_the_law_back(law: ScalabilityLaw) -> None:
    found = fit(measured(law, 0, random.Random(0)))  # noqa: S311 (seeded noise)
    assert found.law.rate == pytest.approx(law.rate, rel=1e-6)
    assert found.law.contention == pytest.approx(law.contention, rel=1e-5, abs=1e-6)
    assert found.law.coherency == pytest.approx(law.coherency, rel=1e-5, abs=1e-8)


@pytest.mark.parametrize(
    ("noise", "rate", "contention", "coherency", "throughput"),
    [(0.01, 0.05, 0.015, 1.5e-4, 0.05), (0.03, 0.15, 0.04, 4.5e-4, 0.15)],
)
def test_noisy_points_give_the_law_within_bounds(
    noise: float, rate: float, contention: float, coherency: float, throughput: float
) -> None:
    chance = random.Random(20)  # noqa: S311 (seeded noise)
    for _ in range(100):
        law = ScalabilityLaw(
            10 ** chance.uniform(1, 4), chance.uniform(0.005, 0.2), 10 ** chance.uniform(-5, -3)
        )
        found = fit(measured(law, noise, chance)).law
        assert found.rate == pytest.approx(law.rate, rel=rate)
        assert found.contention == pytest.approx(law.contention, abs=contention)
        assert found.coherency == pytest.approx(law.coherency, abs=coherency)
        for n in range(1, 65):
            assert found.throughput(n) == pytest.approx(law.throughput(n), rel=throughput)


@given(st.lists(st.tuples(st.integers(1, 300), st.floats(0.1, 1e5)), min_size=3, max_size=12))
def test_whatever_the_points_the_law_is_one(pairs: list[tuple[int, float]]) -> None:
    points = [Point(n, throughput) for n, throughput in pairs]
    assume(len({point.n for point in points}) >= 3)
    found = fit(points)
    assert found.law.rate > 0
    assert 0 <= found.law.contention <= 1
    assert found.law.coherency >= 0
    assert found.r_squared <= 1
    assert found.points == sorted(points)


def test_published_fit_with_a_peak() -> None:
    found = fit(SPEC_SDM91, robust=False)
    assert found.law.rate == pytest.approx(89.99523, rel=1e-6)
    assert found.law.contention == pytest.approx(0.0277285, abs=5e-8)
    assert found.law.coherency == pytest.approx(0.0001044, abs=5e-8)
    assert found.law.peak_n == pytest.approx(96.52, abs=0.01)
    assert found.law.peak_throughput == pytest.approx(1884, abs=0.5)


def test_published_fit_at_a_bound() -> None:
    found = fit(RAY_TRACER, robust=False)
    assert found.law.rate == pytest.approx(21.848843, rel=1e-6)
    assert found.law.contention == pytest.approx(0.057771, abs=5e-7)
    assert found.law.coherency == 0
    assert found.law.peak_n == math.inf
    assert found.law.peak_throughput == pytest.approx(21.848843 / 0.057771, rel=1e-4)


def test_an_outlier_counts_for_less() -> None:
    law = ScalabilityLaw(100, 0.05, 0.0004)
    points = [Point(n, law.throughput(n) * (0.6 if n == 16 else 1)) for n in SIZES]
    robust, plain = fit(points).law, fit(points, robust=False).law
    worst = [
        max(abs(found.throughput(n) / law.throughput(n) - 1) for n in SIZES) for found in (robust, plain)
    ]
    assert worst[0] < 0.04 < worst[1]


def test_an_even_line_needs_no_contention() -> None:
    found = fit([Point(n, 250.0 * n) for n in (1, 2, 3, 4, 6, 8)])
    assert found.law == pytest.approx((250, 0, 0))
    assert found.law.needed(5_000) == found.law.needed_ideally(5_000) == 20
    assert found.law.peak_throughput == math.inf


def test_throughput_that_only_falls() -> None:
    found = fit([Point(n, 100.0 / n) for n in (1, 2, 4, 8)])
    assert found.law.contention == pytest.approx(1)
    assert found.law.peak_n == 1
    assert found.law.needed(100) == 1
    assert found.law.needed(101) is None


@given(laws, st.floats(0.01, 2))
def test_the_fewest_that_reach_the_target(law: ScalabilityLaw, share: float) -> None:
    best = max(law.throughput(n) for n in range(1, 200))
    target = share * best
    needed = law.needed(target)
    by_trying = next((n for n in range(1, 200) if law.throughput(n) >= target * (1 - 1e-9)), None)
    if by_trying is not None:
        assert needed == by_trying
    else:
        assert needed is None or needed >= 200
    if needed is not None:
        ideally = law.needed_ideally(target * (1 - 1e-6))
        assert ideally is not None
        assert ideally <= needed


def test_out_of_reach_beyond_the_peak_and_beyond_the_asymptote() -> None:
    peaked = ScalabilityLaw(100, 0.05, 0.001)
    assert peaked.peak_n == pytest.approx(math.sqrt(950))
    assert peaked.needed(peaked.throughput(31)) == 31
    assert peaked.needed(peaked.peak_throughput * 1.01) is None
    level = ScalabilityLaw(100, 0.05, 0)
    assert level.peak_throughput == 2_000
    assert level.needed(1_999) == pytest.approx(1_999 * 0.95 / 0.05, abs=1)
    assert level.needed(2_000) is None
    assert ScalabilityLaw(100, 1, 0).needed(101) is None


@pytest.mark.parametrize(
    ("points", "words"),
    [
        ([Point(1, 10), Point(2, 20), Point(2, 19)], "needs 3 different N; there are 2"),
        ([], "there are 0"),
        ([Point(0.5, 10), Point(2, 20), Point(3, 30)], "N = 0.5: it must be 1 or more"),
        ([Point(1, 10), Point(2, 0), Point(3, 30)], "throughput of 0 at N = 2"),
        ([Point(1, 10), Point(2, math.nan), Point(3, 30)], "throughput of nan"),
        ([Point(math.inf, 10), Point(2, 1), Point(3, 30)], "N = inf"),
    ],
)
def test_what_cannot_be_fitted(points: list[Point], words: str) -> None:
    with pytest.raises(FitError, match=words):
        fit(points)


def test_warnings() -> None:
    peaked = ScalabilityLaw(100, 0.02, 0.002)
    assert not fit([Point(n, peaked.throughput(n)) for n in SIZES]).warnings
    few, narrow, beyond = fit([Point(n, peaked.throughput(n)) for n in (10, 12, 14)]).warnings
    assert few.startswith("Only 3 points")
    assert narrow.startswith("N ranges only from 10 to 14: measure up to 40")
    assert beyond.startswith("The peak at N = 22.14 lies beyond the largest N measured, 14")
    (growing,) = fit([Point(n, 250.0 * n) for n in SIZES]).warnings
    assert growing.startswith("Throughput still grows at the largest N measured, 64")
    (poor,) = fit([Point(n, 100 if n % 3 else 400) for n in (1, 2, 3, 4, 5, 6, 7, 8)]).warnings[:1]
    assert poor.startswith("The law explains only ")


def test_how_far_the_answer_hangs_on_single_points() -> None:
    law = ScalabilityLaw(100, 0.02, 0.002)
    exact = [Point(n, law.throughput(n)) for n in SIZES]
    assert needed_without_some(exact, 900) == (law.needed(900), law.needed(900))
    assert needed_without_some(exact, 9_000) == (None, None)
    bent = [Point(n, x * (1.2 if n == 24 else 1)) for n, x in exact]
    near = law.peak_throughput * 1.005
    least, most = needed_without_some(bent, near) or (0, 0)
    assert least is not None
    assert most is None, "without the point that is too high, the target is out of reach"
    assert needed_without_some(exact[:3], 100) is None


def test_of_many_points_a_twentieth_is_left_out() -> None:
    chance = random.Random(4)  # noqa: S311 (seeded noise)
    law = ScalabilityLaw(100, 0.02, 0.002)
    points = measured(law, 0.02, chance, [1 + number / 4 for number in range(120)])
    least, most = needed_without_some(points, 900) or (None, None)
    assert least is not None
    assert most is not None
    wanted = law.needed(900)
    assert wanted is not None
    assert least - 1 <= wanted <= most + 1
