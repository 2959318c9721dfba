"""What an event says of a change, without a database."""

import json
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.tickets.events.rules import changes_between, kind_of_change, next_instant

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SOMEONE = UUID("0191b1a0-0000-7000-8000-000000000001")


@given(clocks=st.lists(st.integers(-5_000_000, 5_000_000), min_size=2, max_size=20))
def test_instants_grow_whatever_the_clocks_say(clocks: list[int]) -> None:
    last: datetime | None = None
    for offset in clocks:
        instant = next_instant(NOON + timedelta(microseconds=offset), last)
        assert last is None or instant > last
        assert instant >= NOON + timedelta(microseconds=offset)
        last = instant


def test_only_what_differs_is_told_and_as_json_has_it() -> None:
    before = {"subject": "a", "opened_at": NOON, "requester_contact_id": None, "tags": ["x"]}
    after = {
        "subject": "a",
        "opened_at": NOON + timedelta(seconds=1.5),
        "requester_contact_id": SOMEONE,
        "tags": [],
    }
    assert changes_between(before, after) == {
        "opened_at": {"from": "2026-01-01T12:00:00Z", "to": "2026-01-01T12:00:01.5Z"},
        "requester_contact_id": {"from": None, "to": str(SOMEONE)},
        "tags": {"from": ["x"], "to": []},
    }


@pytest.mark.parametrize(("old", "new"), [(True, 1), (0, False), ([True], [1]), (1, 1.0)])
def test_values_that_only_python_takes_for_equal_differ(old: object, new: object) -> None:
    changes = changes_between({"attributes": {"x": old}}, {"attributes": {"x": new}})
    assert json.dumps(changes) == json.dumps({"attributes": {"from": {"x": old}, "to": {"x": new}}})


def test_the_order_of_members_is_no_difference() -> None:
    assert changes_between({"attributes": {"a": 1, "b": 2}}, {"attributes": {"b": 2, "a": 1}}) == {}


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (("subject",), "changed"),
        (("subject", "queue"), "assigned"),
        (("assignee",), "assigned"),
        (("queue", "status"), "status_changed"),
    ],
)
def test_an_event_is_called_by_the_most_telling_field(names: tuple[str, ...], kind: str) -> None:
    assert kind_of_change({name: {"from": None, "to": 1} for name in names}) == kind
