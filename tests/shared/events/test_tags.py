"""The vocabulary of tags: names, bounds, and the way on the wire."""

from uuid import UUID

from shared.events.tags import (
    MOST_NAMED,
    MOST_TAGS,
    Change,
    changed_tags,
    list_tag,
    write_tags,
)

A, B, PARENT = UUID(int=1), UUID(int=2), UUID(int=3)


def created(kind: str, *ids: UUID, parents: tuple[UUID, ...] = ()) -> Change:
    return Change(kind, "created", len(ids), ids, (1,) * len(ids), parents)


def test_a_change_names_its_records_and_their_list() -> None:
    assert created("contacts", A, B).tags == [f"contacts/{A}", f"contacts/{B}", "contacts/*"]


def test_parts_are_listed_under_their_parent() -> None:
    assert created("tickets/comments", A, parents=(PARENT,)).tags == [
        f"tickets/comments/{A}",
        f"tickets/{PARENT}/comments/*",
    ]
    assert list_tag("tickets/comments", PARENT) == f"tickets/{PARENT}/comments/*"


def test_a_kind_of_two_words_has_a_list_of_its_own() -> None:
    assert list_tag("sales/imports") == "sales/imports/*"


def test_too_many_records_are_said_as_their_kind() -> None:
    assert Change("contacts", "created", MOST_NAMED + 1).tags == ["contacts"]


def test_several_changes_name_everything_once() -> None:
    changes = [created("contacts", A), created("contacts", B), created("accounts", A)]
    assert changed_tags(changes) == [
        f"contacts/{A}",
        "contacts/*",
        f"contacts/{B}",
        f"accounts/{A}",
        "accounts/*",
    ]


def test_too_many_tags_become_their_kinds() -> None:
    changes = [created("contacts", UUID(int=n)) for n in range(MOST_TAGS)] + [created("accounts", A)]
    assert changed_tags(changes) == ["contacts", "accounts"]


def test_a_header_is_bounded() -> None:
    ids = tuple(UUID(int=n) for n in range(MOST_NAMED))
    longest = changed_tags([created("deals/stage-changes", *ids, parents=ids)])
    assert len(write_tags(longest)) < 8_000
