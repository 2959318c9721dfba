"""Whom callers may share answers with, worked out once for each. Pure."""

from typing import TYPE_CHECKING, Final

from services.gateway.caching.http.keys import Audience, Visibility

if TYPE_CHECKING:
    from services.gateway.auth.keys import Caller

_MOST_KNOWN: Final = 10_000


class Audiences:
    """The audiences of callers by one visibility.

    What is known of a key's id holds for that very caller only: after a reload of the keys the id may stand for
    somebody else, with other scopes or of another tenant.
    """

    __slots__ = ("_known", "visibility")

    def __init__(self, visibility: Visibility) -> None:
        self.visibility = visibility
        self._known: dict[str, tuple[Caller, Audience]] = {}

    def of(self, caller: "Caller | None") -> Audience:
        """The audience of a verified caller. Raises `ValueError` without one, except for everyone."""
        if caller is None:
            return Audience(self.visibility, None)
        known = self._known.get(caller.key_id)
        if known is not None and known[0] is caller:
            return known[1]
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        audience = Audience(self.visibility, caller.identity)
        self._known[caller.key_id] = caller, audience
        return audience
