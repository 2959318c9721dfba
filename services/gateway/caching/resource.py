"""What is stored under one key."""

from sys import getsizeof
from typing import Final

from services.gateway.caching.http.stored import StoredAnswer
from services.gateway.caching.presentation import again, status_line

_PER_ANSWER: Final = 1_200
"""What a stored answer and its body's record occupy besides their bytes."""
_STALE_KEPT_NS: Final = 600_000_000_000
"""For so long an answer is kept that can be validated, or used when the upstream fails, after it is no longer fresh."""


class Body:
    """A stored answer's body, its head as a caller gets the whole, and what shows that it is out of date.

    None of `slots` may have been stamped since `asked_ns`, when the request went out that it answers.
    """

    __slots__ = ("asked_ns", "content", "head", "slots", "tags")

    def __init__(
        self,
        stored: StoredAnswer,
        content: bytes,
        tags: tuple[bytes, ...],
        slots: tuple[int, ...],
        asked_ns: int,
    ) -> None:
        self.content = content
        self.head = b"".join((status_line(stored.status), b"\r\n", again(stored.head)))
        self.tags = tags
        self.slots = slots
        self.asked_ns = asked_ns


class Resource:
    """One answer, or several that vary, the latest first; and the body of each."""

    __slots__ = ("bodies", "variants", "varies")

    def __init__(self, variants: tuple[StoredAnswer, ...], bodies: dict[StoredAnswer, Body]) -> None:
        self.variants = variants
        self.varies = any(stored.vary for stored in variants)
        self.bodies = bodies

    @property
    def size(self) -> int:
        """In memory, in bytes."""
        return sum(
            _PER_ANSWER + getsizeof(stored.head) + getsizeof(body.head) + getsizeof(body.content)
            for stored, body in self.bodies.items()
        )

    @property
    def useful_until_ns(self) -> int:
        """Until when any of it is of any use."""
        return max(map(_useful_until_ns, self.variants))


def _useful_until_ns(stored: StoredAnswer) -> int:
    useful = max(stored.usable_until_ns, stored.revalidate_until_ns, stored.error_until_ns)
    return useful + _STALE_KEPT_NS if stored.conditions else useful
