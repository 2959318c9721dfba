"""How a deal's end follows its stage: pure decisions."""

from datetime import UTC, date, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.sales.deals.rules import Ending, ending_faults, next_instant, settled_ending

TODAY = date(2026, 11, 21)
_endings = st.builds(
    Ending,
    st.sampled_from(["open", "won", "lost"]),
    st.none() | st.dates(date(2026, 1, 1), date(2027, 1, 1)),
    st.none() | st.sampled_from(["price", "timing"]),
)


def test_a_deal_closes_today_unless_told_otherwise() -> None:
    assert settled_ending(Ending("won"), Ending("open"), TODAY) == Ending("won", TODAY)
    assert settled_ending(Ending("lost", date(2026, 1, 1)), None, TODAY).closed_on == date(2026, 1, 1)


def test_a_closed_deal_keeps_its_day() -> None:
    earlier = date(2026, 1, 1)
    assert settled_ending(Ending("won"), Ending("won", earlier), TODAY).closed_on == earlier
    assert settled_ending(Ending("lost"), Ending("won", earlier), TODAY).closed_on == earlier


def test_reopening_clears_what_was_carried_over() -> None:
    lost = Ending("lost", date(2026, 1, 1), "price")
    assert settled_ending(Ending("open", lost.closed_on, "price"), lost, TODAY) == Ending("open")
    assert settled_ending(Ending("won", None, "price"), lost, TODAY) == Ending("won", lost.closed_on)


def test_faults_name_the_field() -> None:
    faults = ending_faults(Ending("open", TODAY, "price"), None)
    assert [(fault.pointer, fault.code) for fault in faults] == [
        ("/closed_on", "deal_is_open"),
        ("/loss_reason", "deal_is_not_lost"),
    ]
    early = ending_faults(Ending("won", TODAY), TODAY + timedelta(days=1))
    assert [fault.code for fault in early] == ["before_engagement"]
    assert ending_faults(Ending("won", TODAY), TODAY) == []


@given(_endings, st.none() | _endings)
def test_an_ending_without_faults_is_sound_and_stays(wanted: Ending, before: Ending | None) -> None:
    settled = settled_ending(wanted, before, TODAY)
    assert settled.status == wanted.status
    assert (settled.closed_on is not None) >= (settled.status != "open")
    if not ending_faults(settled, None):
        assert (settled.closed_on is None) == (settled.status == "open")
        assert settled_ending(settled, settled, TODAY + timedelta(days=9)) == settled


@given(
    st.datetimes(timezones=st.just(UTC)), st.datetimes(max_value=datetime(9999, 1, 1), timezones=st.just(UTC))
)
def test_instants_of_a_history_grow(now: datetime, last: datetime) -> None:
    assert next_instant(now, last) > last
    assert next_instant(now, None) == now
