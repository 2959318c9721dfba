"""`Cache-Status`: what became of a request in this cache, for the caller to read (RFC 9211). Pure."""

from services.gateway.caching.http.outcomes import Forwarded
from services.gateway.caching.http.structured import token_or_string


class CacheStatus:
    """Writes the members of one cache. `name` is how it is called: a token, or else written as a string.

    Each goes into a line of its own, behind those of the caches nearer to the origin (RFC 9211, 2).
    """

    __slots__ = ("_hit", "_name")

    def __init__(self, name: str) -> None:
        self._name = token_or_string(name)
        self._hit = self._name.replace(b"%", b"%%") + b"; hit; ttl=%d"

    def hit(self, ttl_s: int, *, detail: str | None = None) -> bytes:
        """The member for a stored answer that was served, stale ones with a `ttl_s` below 0 (RFC 9211, 2.1)."""
        return self._hit % ttl_s + _detail(detail)

    def forwarded(
        self,
        why: Forwarded,
        *,
        fwd_status: int | None = None,
        ttl_s: int | None = None,
        stored: bool = False,
        collapsed: bool | None = None,
        detail: str | None = None,
    ) -> bytes:
        """The member for a request that went forward (RFC 9211, 2.2 to 2.6, and 2.8).

        `fwd_status` is what the upstream answered, worth saying where the caller gets another. `collapsed` is
        None for a request that waited for no other, False for one that did in vain.
        """
        parts = [self._name, b"; fwd=", why.value.encode("ascii")]
        if fwd_status is not None:
            parts.append(b"; fwd-status=%d" % fwd_status)
        if ttl_s is not None:
            parts.append(b"; ttl=%d" % ttl_s)
        if stored:
            parts.append(b"; stored")
        if collapsed is not None:
            parts.append(b"; collapsed" if collapsed else b"; collapsed=?0")
        return b"".join((*parts, _detail(detail)))

    def unasked(self, *, detail: str) -> bytes:
        """The member for what is answered without a stored answer and without asking: `only-if-cached` (504)."""
        return self._name + _detail(detail)


def _detail(detail: str | None) -> bytes:
    return b"" if detail is None else b"; detail=" + token_or_string(detail)
