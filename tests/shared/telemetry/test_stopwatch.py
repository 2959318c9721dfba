"""Clocks are handed in: one unit is one nanosecond unless it is called MS."""

from hypothesis import given
from hypothesis import strategies as st

from shared.telemetry.downstream import Call
from shared.telemetry.stopwatch import LoopWork, Stopwatch
from shared.telemetry.terms import Latency, ServiceTerms

MS = 1_000_000


def started(received: int = 0, now: int = 0, work: LoopWork | None = None) -> Stopwatch:
    return Stopwatch(received, now, work or LoopWork())


def test_a_request_that_never_waits_is_queue_and_processing() -> None:
    watch = started(received=100, now=130)
    assert watch.lap(200) == ServiceTerms(queue=30, db_wait=0, db=0, processing=70, sched=0)


def test_each_wait_goes_to_what_is_waited_for() -> None:
    watch = started()
    watch.connections += 1
    watch.paused(1 * MS)
    watch.resumed(3 * MS)
    watch.connections -= 1
    watch.statements += 1
    watch.paused(4 * MS)
    watch.resumed(9 * MS)
    watch.statements -= 1
    watch.paused(10 * MS)
    watch.resumed(16 * MS)
    terms = watch.lap(17 * MS)
    assert terms == ServiceTerms(0, db_wait=2 * MS, db=5 * MS, processing=4 * MS, sched=6 * MS)


def test_a_statement_comes_before_the_wait_for_another_connection_and_that_before_a_call() -> None:
    watch = started()
    watch.calls_open = watch.connections = watch.statements = 1
    watch.paused(0)
    watch.resumed(2 * MS)
    watch.statements = 0
    watch.paused(2 * MS)
    watch.resumed(5 * MS)
    assert watch.lap(5 * MS) == ServiceTerms(0, db_wait=3 * MS, db=2 * MS, processing=0, sched=0)


def test_a_calls_terms_are_the_requests_downstream() -> None:
    watch = started()
    call = Call(0)
    watch.calls.append(call)
    watch.calls_open += 1
    watch.paused(0)
    watch.resumed(10 * MS)
    watch.calls_open -= 1
    call.end, call.latency = 10 * MS, Latency(processing_ns=6 * MS, network_ns=0, system_ns=1 * MS)
    terms = watch.lap(10 * MS)
    assert terms[5:] == (6 * MS, 3 * MS, 1 * MS)


def test_a_victim_of_anothers_blocking_was_scheduled_late_and_its_statement_was_not_slow() -> None:
    work = LoopWork()
    victim = started(work=work)
    victim.statements += 1
    victim.paused(50_000)
    culprit = started(received=50_000, now=60_000, work=work)
    culprit.paused(60_000 + 20 * MS)
    work.looked(20 * MS + 70_000)  # the statement has long been answered
    victim.resumed(20 * MS + 90_000)
    terms = victim.lap(20 * MS + 90_000)
    assert terms.sched == 20 * MS
    assert terms.db == 40_000
    assert culprit.lap(20 * MS + 90_000).processing == 20 * MS


def test_a_statement_that_outlasts_the_blocking_was_slow() -> None:
    work = LoopWork()
    victim = started(work=work)
    victim.statements += 1
    victim.paused(50_000)
    started(received=50_000, now=60_000, work=work).paused(60_000 + 20 * MS)
    victim.resumed(40 * MS)  # the loop was idle in between: it would have seen the answer
    assert victim.lap(40 * MS).sched == 0
    assert victim.lap(40 * MS).db == 40 * MS - 50_000


def test_a_pause_longer_than_the_work_before_it_was_for_the_statement() -> None:
    for pause, late in ((90_000, 100_000), (110_000, 0)):
        work = LoopWork()
        watch = started(work=work)
        watch.statements += 1
        watch.paused(0)
        started(work=work).paused(100_000)
        watch.resumed(100_000 + pause)
        assert watch.lap(100_000 + pause).sched == late


def test_a_slow_statement_on_a_busy_loop_is_slow_all_the_same() -> None:
    work = LoopWork()
    watch = started(work=work)
    watch.statements += 1
    watch.paused(0)
    now = 0
    for _ in range(40):  # others come and go, half a millisecond each
        work.looked(now)
        other = started(received=now, now=now, work=work)
        now += MS // 2
        other.paused(now)
    watch.resumed(now)
    terms = watch.lap(now)
    assert terms.db >= 18 * MS  # of the 20 at most the two last steps might have been waited for
    assert terms.sched <= 1 * MS


def test_what_the_request_does_itself_meanwhile_is_not_late_scheduling() -> None:
    watch = started()
    watch.statements += 1
    watch.paused(1 * MS)
    watch.resumed(1 * MS)  # another of its tasks
    watch.paused(6 * MS)
    watch.resumed(6 * MS + 100)
    terms = watch.lap(6 * MS + 100)
    assert (terms.processing, terms.db, terms.sched) == (6 * MS, 100, 0)


def test_a_lap_between_two_steps_changes_nothing_later() -> None:
    watch = started()
    watch.statements += 1
    watch.paused(1 * MS)
    assert watch.lap(2 * MS) == ServiceTerms(0, 0, db=1 * MS, processing=1 * MS, sched=0)
    watch.resumed(4 * MS)
    assert watch.lap(5 * MS) == ServiceTerms(0, 0, db=3 * MS, processing=2 * MS, sched=0)


ACTIONS = st.lists(
    st.tuples(
        st.integers(0, 1),  # whose
        st.sampled_from(["step", "statement", "connection", "call", "answer", "lap", "look"]),
        st.integers(0, 2 * MS),
    ),
    max_size=60,
)


@given(st.integers(0, MS), ACTIONS)
def test_whatever_happens_the_terms_add_up_and_none_is_negative(
    queue: int, actions: list[tuple[int, str, int]]
) -> None:
    work = LoopWork()
    now = queue
    watches = [started(0, now, work)]
    watches[0].paused(now)
    watches.append(started(0, now, work))
    watches[1].paused(now)
    for whose, action, passed in actions:
        watch = watches[whose]
        now += passed
        if action == "look":
            work.looked(now)
        elif action == "lap":
            assert sum(watch.lap(now)) == now
        else:
            watch.resumed(now)
            _within_a_step(watch, action, now)
            now += passed // 2
            watch.paused(now)
    for watch in watches:
        terms = watch.lap(now)
        assert sum(terms) == now
        assert min(terms) >= 0


def _within_a_step(watch: Stopwatch, action: str, now: int) -> None:
    if action == "statement":
        watch.statements = 1 - watch.statements
    elif action == "connection":
        watch.connections = 1 - watch.connections
    elif action == "call":
        watch.calls.append(Call(now))
        watch.calls_open += 1
    elif action == "answer" and watch.calls_open:
        watch.calls_open -= 1
        call = watch.calls[watch.calls_open]
        call.end, call.latency = now, Latency(now // 3, now // 5, now // 7)
