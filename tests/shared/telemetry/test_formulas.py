import math
import subprocess
from collections.abc import Mapping
from pathlib import Path
from shutil import which

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.telemetry import formulas
from shared.telemetry.formulas import histogram_quantile
from shared.telemetry.terms import Latency

NS = st.integers(0, 10**12)
BUCKETS = {0.005: 2.0, 0.01: 12.0, 0.1: 92.0, 1.0: 99.0, math.inf: 100.0}
CASES: list[tuple[float, Mapping[float, float]]] = [
    (0.0, BUCKETS),
    (0.01, BUCKETS),
    (0.5, BUCKETS),
    (0.95, BUCKETS),
    (0.995, BUCKETS),
    (1.0, BUCKETS),
    (0.5, {-1.0: 3, 0.0: 4, 2.0: 4, math.inf: 4}),
    (0.9, {-1.0: 1, 1.0: 4, math.inf: 4}),
    (0.5, {1.0: 0, 2.0: 0, 4.0: 10, math.inf: 10}),
    (0.5, {1.0: 10, 2.0: 9, math.inf: 20}),
    (0.9, {0.25: 0.3, 0.5: 0.4, math.inf: 0.4}),
]


def test_response_time_is_a_duration() -> None:
    assert formulas.response_time(1_000, 1_250) == 250
    assert formulas.response_time(7, 7) == 0
    with pytest.raises(ValueError, match="is before the start"):
        formulas.response_time(8, 7)


@given(NS, NS, NS)
def test_the_terms_add_up(processing: int, network: int, system: int) -> None:
    total = formulas.sum_of_terms(processing, network, system)
    assert total == Latency(processing, network, system).total_ns
    assert total - processing - network == system


def test_quotients() -> None:
    assert formulas.throughput(300, 60) == 5
    assert formulas.error_rate(3, 200) == 0.015
    assert formulas.availability(86_313.6, 86_400) == pytest.approx(0.999)
    assert formulas.security_event_rate(30, 60) == 0.5


def test_nothing_measured_is_no_figure() -> None:
    assert formulas.throughput(0, 0) is None
    assert formulas.error_rate(0, 0) is None
    assert formulas.availability(0, 0) is None
    assert formulas.security_event_rate(0, 0) is None
    assert formulas.customer_satisfaction([]) is None
    assert formulas.apdex([], 0.5) is None
    assert formulas.apdex_of_counts(0, 0, 0) is None
    assert formulas.littles_law_ratio(3, 0, 0.1) is None
    assert formulas.throughput_of_places(4, 0) is None
    assert formulas.count_on_ideal_line(100, 0) is None
    assert histogram_quantile(0.5, {}) is None


def test_security_events_of_all_kinds() -> None:
    assert formulas.security_events({"forbidden": 2, "rate_limited": 40}) == 42
    assert formulas.security_events({}) == 0


def test_customer_satisfaction_is_the_mean_score() -> None:
    assert formulas.customer_satisfaction([5, 4, 4, 2]) == 3.75


def test_apdex_counts_who_waited_up_to_the_target_and_four_times_it() -> None:
    # Satisfied: both up to 0.5 s. Tolerating: the three up to 2 s. Frustrated: later, or an error.
    durations = [0.1, 0.5, 0.500_001, 1.0, 2.0, 2.000_001, math.inf, 9.0]
    assert formulas.apdex(durations, 0.5) == (2 + 3 / 2) / 8
    assert formulas.apdex_of_counts(2, 3, 8) == (2 + 3 / 2) / 8
    for target in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match="must be positive"):
            formulas.apdex(durations, target)


@given(st.lists(st.floats(0, 100), min_size=1), st.floats(0.001, 10))
def test_apdex_is_a_share_that_grows_with_patience(durations: list[float], target: float) -> None:
    strict, patient = formulas.apdex(durations, target), formulas.apdex(durations, 2 * target)
    assert strict is not None
    assert patient is not None
    assert 0 <= strict <= patient <= 1


def test_littles_law_holds_in_a_schedule() -> None:
    # 10 requests a second for 6 s, each 0.3 s long: 3 are under way at any time, counted as integrated.
    spans = [(number / 10, number / 10 + 0.3) for number in range(60)]
    under_way = sum(end - start for start, end in spans) / 6
    rate = formulas.throughput(len(spans), 6)
    assert rate is not None
    assert formulas.littles_law(rate, 0.3) == pytest.approx(under_way)
    assert formulas.littles_law_ratio(under_way, rate, 0.3) == pytest.approx(1)
    assert formulas.littles_law_ratio(2 * under_way, rate, 0.3) == pytest.approx(2)


def test_capacity() -> None:
    assert formulas.throughput_of_places(8, 0.02) == 400
    assert formulas.places_needed(400, 0.02) == 8
    assert formulas.ideal_capacity(3, 250.0) == 750


@given(st.integers(1, 1_000), st.floats(0.01, 1e6))
def test_the_ideal_line_gives_the_fewest(count: int, each: float) -> None:
    target = formulas.ideal_capacity(count, each)
    assert formulas.count_on_ideal_line(target, each) == count
    assert formulas.count_on_ideal_line(target * 1.0001, each) == count + 1


def test_a_target_of_nothing_needs_one() -> None:
    assert formulas.count_on_ideal_line(0, 10) == 1


def test_quantiles_lie_within_their_bucket() -> None:
    assert histogram_quantile(0.5, BUCKETS) == pytest.approx(0.01 + 0.09 * 38 / 80)
    assert histogram_quantile(0.01, BUCKETS) == pytest.approx(0.0025)
    assert histogram_quantile(1.0, BUCKETS) == 1.0, "the highest bound there is"
    assert histogram_quantile(0.0, {1.0: 0, math.inf: 5}) == 0.0


def test_no_quantile_without_observations_or_the_last_bucket() -> None:
    assert histogram_quantile(0.5, {0.1: 0, math.inf: 0}) is None
    assert histogram_quantile(0.5, {0.1: 3, 0.2: 4}) is None
    assert histogram_quantile(0.5, {math.inf: 4}) is None
    for quantile in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match="between 0 and 1"):
            histogram_quantile(quantile, BUCKETS)


@given(
    st.dictionaries(st.floats(0.001, 100), st.integers(0, 1000), min_size=1),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_quantiles_do_not_fall(counts: dict[float, int], one: float, other: float) -> None:
    buckets = {**counts, math.inf: max(counts.values()) + 1}
    low = histogram_quantile(min(one, other), buckets)
    high = histogram_quantile(max(one, other), buckets)
    assert low is not None
    assert high is not None
    assert low <= high * (1 + 1e-9)


@pytest.mark.process
@pytest.mark.skipif(which("promtool") is None, reason="promtool is not installed")
def test_quantiles_are_prometheuss_own(tmp_path: Path) -> None:
    series, tests = [], []
    for number, (quantile, buckets) in enumerate(CASES):
        for bound, count in buckets.items():
            le = "+Inf" if bound == math.inf else bound
            series.append(
                f"""      - {{series: 'h_bucket{{case="{number}",le="{le}"}}', values: '{count}'}}"""
            )
        # Rounded on both sides, as promtool compares floats to the last bit.
        expr = f'round(histogram_quantile({quantile}, h_bucket{{case="{number}"}}) * 1e9)'
        wanted = histogram_quantile(quantile, buckets)
        assert wanted is not None
        labelled = f"""{{labels: '{{case="{number}"}}', value: {round(wanted * 1e9)}}}"""
        tests.append(f"      - {{expr: '{expr}', eval_time: 0m, exp_samples: [{labelled}]}}")
    lines = ["tests:", "  - interval: 1m", "    input_series:", *series, "    promql_expr_test:", *tests]
    file = tmp_path / "quantiles.yaml"
    file.write_text("\n".join(lines) + "\n")
    ran = subprocess.run(
        ["promtool", "test", "rules", str(file)], capture_output=True, text=True, check=False, timeout=60
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
