"""What must hold within one contact: decisions about its addresses, its numbers and its name."""

from collections.abc import Hashable, Sequence
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel
from pydantic_core import PydanticCustomError

MAX_ENTRIES = 20


class Entry(Protocol):
    """An e-mail address or a telephone number: something of which a contact prefers one."""

    @property
    def primary(self) -> bool:
        """Whether this is the preferred one."""
        ...

    @property
    def identity(self) -> Hashable:
        """What two entries may not share."""
        ...


EntryT = TypeVar("EntryT", bound=BaseModel)


def with_one_primary(entries: list[EntryT]) -> list[EntryT]:
    """The entries with exactly one marked primary: the marked one, or the first. Raises for two or for twins."""
    _refuse_duplicates(entries)  # type: ignore[arg-type]  # a BaseModel that is an Entry: mypy has no intersections
    marked = [number for number, entry in enumerate(entries) if entry.primary]  # type: ignore[attr-defined]  # as above
    if len(marked) > 1:
        raise PydanticCustomError("several_primary", "must mark at most one entry as primary")
    if marked or not entries:
        return entries
    return [entries[0].model_copy(update={"primary": True}), *entries[1:]]


def _refuse_duplicates(entries: Sequence[Entry]) -> None:
    seen: set[Hashable] = set()
    for entry in entries:
        if entry.identity in seen:
            raise PydanticCustomError(
                "duplicate_entry", "must not hold {what} twice", {"what": entry.identity}
            )
        seen.add(entry.identity)


def require_some_name(given_name: str | None, family_name: str | None, emails: Sequence[Any]) -> None:
    """A person without any name and without an address could be neither found nor told apart."""
    if given_name is None and family_name is None and not emails:
        raise PydanticCustomError("nameless", "needs a given_name, a family_name or one of emails")
