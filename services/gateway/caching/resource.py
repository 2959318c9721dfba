"""What is stored under one key."""

from typing import Final

from services.gateway.caching.http.stored import StoredAnswer
from services.gateway.caching.memory import occupied
from services.gateway.caching.presentation import again, status_line

_INT_BYTES: Final = occupied(1 << 40)
_NUMBERS: Final = 9
"""Of a stored answer: instants, dates and lengths."""
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
        """In memory, in bytes, with all that is its own."""
        return (
            occupied(self)
            + occupied(self.variants)
            + occupied(self.bodies)
            + sum(_answer_bytes(stored) + _body_bytes(body) for stored, body in self.bodies.items())
        )

    @property
    def useful_until_ns(self) -> int:
        """Until when any of it is of any use."""
        return max(map(_useful_until_ns, self.variants))


def _answer_bytes(stored: StoredAnswer) -> int:
    """Directives, and the names in `Vary`, are the same objects in most answers."""
    own = (
        stored,
        stored.freshness,
        stored.head,
        stored.etag,
        stored.conditions,
        *stored.conditions,
        stored.selecting,
        *stored.selecting,
    )
    return _NUMBERS * _INT_BYTES + sum([occupied(one) for one in own if one is not None])


def _body_bytes(body: Body) -> int:
    own = (body, body.head, body.content, body.tags, *body.tags, body.slots)
    return (1 + len(body.slots)) * _INT_BYTES + sum([occupied(one) for one in own])


def _useful_until_ns(stored: StoredAnswer) -> int:
    useful = max(stored.usable_until_ns, stored.revalidate_until_ns, stored.error_until_ns)
    return useful + _STALE_KEPT_NS if stored.conditions else useful
