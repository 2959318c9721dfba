"""One write, and whom it waits for."""

from collections.abc import Iterable


class Notice:
    """Pure. It is through when everybody has acknowledged it who is in a registry that can be relied on.

    Acknowledgements may come before the answer that says whose are needed.
    """

    __slots__ = ("_acknowledged", "_missing")

    def __init__(self) -> None:
        self._missing: set[str] | None = None
        self._acknowledged: set[str] = set()

    def told(self, members: Iterable[str] | None) -> bool:
        """It was published, while these were in the registry (`None`: nobody knows who is); whether it is through."""
        if members is not None:
            self._missing = set(members) - self._acknowledged
        return self.through

    def acknowledged(self, member: str) -> bool:
        """This one has stamped what was changed; whether it is through."""
        self._acknowledged.add(member)
        if self._missing is not None:
            self._missing.discard(member)
        return self.through

    @property
    def through(self) -> bool:
        """Whether nobody has to be waited for any more."""
        return self._missing is not None and not self._missing

    @property
    def missing(self) -> frozenset[str] | None:
        """Whose acknowledgement has not come; `None`: nobody knows who all are."""
        return None if self._missing is None else frozenset(self._missing)
