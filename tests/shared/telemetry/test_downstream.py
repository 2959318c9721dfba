from hypothesis import given
from hypothesis import strategies as st

from shared.telemetry.downstream import Call, Wait, critical_path
from shared.telemetry.terms import Latency


def call(start: int, end: int | None, latency: Latency | None = None) -> Call:
    made = Call(start)
    made.end, made.latency = end, latency
    return made


def test_what_the_service_did_not_have_is_network() -> None:
    told = Latency(processing_ns=500, network_ns=100, system_ns=200)
    assert critical_path([Wait(0, 1_000)], [call(0, 1_000, told)]) == Latency(500, 300, 200)


def test_a_call_that_told_nothing_or_is_not_over_is_network() -> None:
    assert critical_path([Wait(0, 10)], [call(0, 10)]) == Latency(0, 10, 0)
    assert critical_path([Wait(0, 10)], [call(0, None, Latency(5, 0, 0))]) == Latency(0, 10, 0)


def test_before_any_call_has_begun_nothing_was_on_the_wire() -> None:
    assert critical_path([Wait(0, 10)], [call(4, 10)]) == Latency(0, 6, 4)


def test_a_service_whose_clock_runs_fast_cannot_make_a_term_negative() -> None:
    assert critical_path([Wait(0, 10)], [call(0, 10, Latency(8, 0, 8))]) == Latency(5, 0, 5)


def test_of_calls_side_by_side_the_last_to_end_has_its_whole_time() -> None:
    quick = call(0, 400, Latency(400, 0, 0))
    last = call(100, 1_000, Latency(0, 0, 900))
    assert critical_path([Wait(0, 1_000)], [quick, last]) == Latency(100, 0, 900)


def test_one_call_after_the_other() -> None:
    first, second = call(0, 400, Latency(400, 0, 0)), call(500, 1_000, Latency(0, 0, 500))
    assert critical_path([Wait(0, 400), Wait(500, 1_000)], [first, second]) == Latency(400, 0, 500)


INSTANTS = st.integers(0, 10**10)


@given(
    st.lists(st.tuples(INSTANTS, INSTANTS).map(lambda pair: Wait(min(pair), max(pair)))),
    st.lists(
        st.builds(
            call,
            INSTANTS,
            st.none() | INSTANTS,
            st.none() | st.builds(Latency, INSTANTS, INSTANTS, INSTANTS),
        ),
        max_size=6,
    ),
)
def test_no_instant_is_lost_or_counted_twice(waits: list[Wait], calls: list[Call]) -> None:
    latency = critical_path(waits, calls)
    assert latency.total_ns == sum(wait.end - wait.start for wait in waits)
    assert min(latency) >= 0
