"""One write, and whom it waits for."""

from collections.abc import Iterable
from typing import Final

ACKNOWLEDGED: Final = "acknowledged"
UNREACHABLE: Final = "unreachable"
UNSETTLED: Final = "unsettled"
SILENT: Final = "silent"


class Notice:
    """Pure. It is through when everybody has acknowledged it who is in a registry that can be relied on.

    Acknowledgements may come before the answer that says whose are needed. `state` says what is waited for:
    `unreachable` the registry, `unsettled` nobody in particular, since nobody knows who all are, `silent` somebody's
    acknowledgement; `acknowledged` nothing any more.
    """

    __slots__ = ("_acknowledged", "_missing", "state")

    def __init__(self) -> None:
        self._missing: frozenset[str] = frozenset()
        self._acknowledged: set[str] = set()
        self.state = UNREACHABLE

    def told(self, members: Iterable[str] | None) -> bool:
        """It was published, while these were in the registry (`None`: nobody knows who is); whether it is through."""
        if members is None:
            self.state = UNSETTLED
        else:
            self._missing = frozenset(members) - self._acknowledged
            self.state = SILENT if self._missing else ACKNOWLEDGED
        return self.through

    def acknowledged(self, member: str) -> bool:
        """This one has stamped what was changed; whether it is through."""
        self._acknowledged.add(member)
        if self.state == SILENT:
            self._missing -= {member}
            if not self._missing:
                self.state = ACKNOWLEDGED
        return self.through

    @property
    def through(self) -> bool:
        """Whether nobody has to be waited for any more."""
        return self.state == ACKNOWLEDGED
