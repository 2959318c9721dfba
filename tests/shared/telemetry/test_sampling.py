from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace.sampling import Decision, TraceIdRatioBased

from shared.telemetry.sampling import sampled

TRACE_IDS = st.integers(1, 2**128 - 1)


@given(TRACE_IDS, st.floats(0, 1))
def test_it_decides_as_the_sdk_does(trace_id: int, share: float) -> None:
    theirs = TraceIdRatioBased(share).should_sample(None, trace_id, "name").decision
    assert sampled(trace_id, share) is (theirs is Decision.RECORD_AND_SAMPLE)


@given(TRACE_IDS)
def test_all_and_none(trace_id: int) -> None:
    assert sampled(trace_id, 1.0)
    assert not sampled(trace_id, 0.0)


@given(TRACE_IDS, st.floats(0, 1), st.floats(0, 1))
def test_a_larger_share_holds_the_smaller_one(trace_id: int, one: float, other: float) -> None:
    assert sampled(trace_id, max(one, other)) or not sampled(trace_id, min(one, other))
