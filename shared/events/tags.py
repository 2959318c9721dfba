"""What an answer contains and what a write changed, in one vocabulary. Pure.

Tags are about one tenant of one service; whoever keeps answers adds both:

    contacts                    whatever shows any contact
    contacts/<id>               whatever shows this contact
    contacts/*                  the lists of contacts, and what is counted over them
    tickets/<id>/comments/*     the lists of one ticket's parts

An answer may be out of date as soon as one of its tags is among the tags of a change. Many changes at once are not
named one by one: then the kind alone is said, and that means all of it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

TAGS_HEADER = "x-kontor-tags"
"""On answers to reads: their tags, separated by spaces."""
CHANGED_HEADER = "x-kontor-changed"
"""On answers to writes: the tags of everything that they changed; empty when nothing did change."""
POSITION_HEADER = "x-kontor-position"
"""On answers to writes: the place in the event log up to which the change is told."""
VISIBILITY_HEADER = "x-kontor-visibility"
"""On answers to reads: `tenant` when everyone in the tenant who may ask gets the same."""
TENANT_WIDE = "tenant"

MOST_NAMED = 50
"""Records that are named one by one; of more, only the kind is said."""
MOST_TAGS = 64
"""Tags of one header: some 4 KiB at most."""


@dataclass(frozen=True, slots=True)
class Change:
    """What became of some records of one kind and one tenant in one statement.

    `action` is created, updated, deleted or restored. `ids`, and with them `versions` and `parents` (empty for records
    that are no parts), are empty when there are more than `MOST_NAMED`: then only `count` says how many.
    """

    kind: str
    action: str
    count: int
    ids: tuple[UUID, ...] = ()
    versions: tuple[int, ...] = ()
    parents: tuple[UUID, ...] = ()

    @property
    def tags(self) -> list[str]:
        """The tags of whatever may show one of the records, or may have to."""
        if not self.ids:
            return [self.kind]
        lists = dict.fromkeys(list_tag(self.kind, parent) for parent in (self.parents or (None,)))
        return [*(record_tag(self.kind, record_id) for record_id in self.ids), *lists]


def record_tag(kind: str, record_id: object) -> str:
    """The tag of one record."""
    return f"{kind}/{record_id}"


def list_tag(kind: str, parent_id: object = None) -> str:
    """The tag of a kind's lists; of parts (`tickets/comments`), the lists of one parent's."""
    if parent_id is None:
        return f"{kind}/*"
    parent_kind, _, name = kind.rpartition("/")
    return f"{parent_kind}/{parent_id}/{name}/*"


def changed_tags(changes: Iterable[Change]) -> list[str]:
    """The tags of several changes, each once. Beyond `MOST_TAGS` only the kinds."""
    changes = tuple(changes)
    tags = dict.fromkeys(tag for change in changes for tag in change.tags)
    if len(tags) > MOST_TAGS:
        tags = dict.fromkeys(change.kind for change in changes)
    return list(tags)


def write_tags(tags: Iterable[str]) -> str:
    """The header's value."""
    return " ".join(tags)
