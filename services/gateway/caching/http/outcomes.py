"""What the cache decides, as small objects that the data path acts on and `explain` tells of."""

from enum import Enum, StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from services.gateway.caching.http.stored import StoredAnswer


class Action(Enum):
    """What to do with a request."""

    SERVE = "serve"  # from the stored answer, which is fresh or stale by the caller's leave
    SERVE_STALE = "serve_stale"  # because the upstream failed and the answer allows for that
    SERVE_STALE_AND_REVALIDATE = "serve_stale_and_revalidate"
    VALIDATE = "validate"  # forward it with `Decision.conditions`
    FORWARD = "forward"
    UNAVAILABLE = "unavailable"  # 504, without asking anybody


# Names of the module: reading a member of an enum costs thirty times as much.
SERVE: Final = Action.SERVE
SERVE_STALE: Final = Action.SERVE_STALE
SERVE_STALE_AND_REVALIDATE: Final = Action.SERVE_STALE_AND_REVALIDATE
VALIDATE: Final = Action.VALIDATE
FORWARD: Final = Action.FORWARD
UNAVAILABLE: Final = Action.UNAVAILABLE


class Forwarded(StrEnum):
    """Why a request went forward (RFC 9211, 2.2)."""

    BYPASS = "bypass"
    METHOD = "method"
    URI_MISS = "uri-miss"
    VARY_MISS = "vary-miss"
    MISS = "miss"
    REQUEST = "request"
    STALE = "stale"
    PARTIAL = "partial"


class Form(Enum):
    """What of a stored answer the caller gets."""

    WHOLE = "whole"  # its own status and, but for HEAD, its whole body
    NOT_MODIFIED = "not_modified"  # 304
    PART = "part"  # 206
    UNSATISFIABLE = "unsatisfiable"  # 416


class Presentation:
    """What of a stored answer the caller gets; of a part, `first` and `last` are its bytes, both included.

    `by_if_range` says that the caller holds the rest of this very answer (RFC 9110, 13.1.5).
    """

    __slots__ = ("by_if_range", "first", "form", "last")

    def __init__(self, form: Form, first: int = 0, last: int = -1, *, by_if_range: bool = False) -> None:
        self.form = form
        self.first = first
        self.last = last
        self.by_if_range = by_if_range


WHOLE: Final = Presentation(Form.WHOLE)
NOT_MODIFIED: Final = Presentation(Form.NOT_MODIFIED)
UNSATISFIABLE: Final = Presentation(Form.UNSATISFIABLE)


class Decision:
    """What to do with a request, and why.

    `stored` is the answer that is served or validated; `forwarded` is None when nobody is asked; `conditions`
    are header lines that take the place of the caller's own preconditions and ranges; `reason` is a sentence.
    """

    __slots__ = ("action", "conditions", "forwarded", "presentation", "reason", "stored")

    def __init__(
        self,
        action: Action,
        reason: str,
        *,
        stored: "StoredAnswer | None" = None,
        presentation: Presentation = WHOLE,
        forwarded: Forwarded | None = None,
        conditions: tuple[bytes, ...] = (),
    ) -> None:
        self.action = action
        self.reason = reason
        self.stored = stored
        self.presentation = presentation
        self.forwarded = forwarded
        self.conditions = conditions


class Hit(Decision):
    """The commonest decision: to serve a fresh answer whole.

    All but the answer is the class's own, which makes it in a third of the time; an answer that held its own
    decision would do without, but such a cycle keeps what is evicted in memory until the collector comes by.
    """

    __slots__ = ()

    action = SERVE
    reason = "The stored answer is fresh."
    presentation = WHOLE
    forwarded = None
    conditions = ()

    def __init__(self, stored: "StoredAnswer") -> None:
        self.stored = stored


class Refusal:
    """Why an answer is not stored: a short name for counters and `Cache-Status`, and a sentence."""

    __slots__ = ("code", "reason")

    def __init__(self, code: str, reason: str) -> None:
        self.code = code
        self.reason = reason
