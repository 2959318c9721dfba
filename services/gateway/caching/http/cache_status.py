"""`Cache-Status`: what became of a request in this cache, for the caller to read (RFC 9211). Pure."""

from functools import lru_cache
from typing import Final

from services.gateway.caching.http.outcomes import Forwarded
from services.gateway.caching.http.structured import is_list, string, token_or_string

_LONGEST_KEY: Final = 512
_MOST_EXISTING: Final = 1024


class CacheStatus:
    """Writes the members of one cache. `name` is how it is called: a token, or else written as a string."""

    __slots__ = ("_hit", "_name")

    def __init__(self, name: str) -> None:
        self._name = token_or_string(name)
        self._hit = self._name.replace(b"%", b"%%") + b"; hit; ttl=%d"

    def hit(self, ttl_s: int, *, key: str | None = None, detail: str | None = None) -> bytes:
        """The member for a stored answer that was served, stale ones with a `ttl_s` below 0 (RFC 9211, 2.1)."""
        if key is None and detail is None:
            return self._hit % ttl_s
        return self._hit % ttl_s + _key(key) + _detail(detail)

    def forwarded(
        self,
        why: Forwarded,
        *,
        fwd_status: int | None = None,
        ttl_s: int | None = None,
        stored: bool = False,
        collapsed: bool | None = None,
        key: str | None = None,
        detail: str | None = None,
    ) -> bytes:
        """The member for a request that went forward (RFC 9211, 2.2 to 2.8).

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
        return b"".join((*parts, _key(key), _detail(detail)))

    def unasked(self, *, detail: str) -> bytes:
        """The member for what is answered without a stored answer and without asking: `only-if-cached` (504)."""
        return self._name + _detail(detail)


def append(existing: bytes | None, member: bytes) -> bytes:
    """The whole value: what caches nearer to the origin said, then ours (RFC 9211, 2).

    What they said is left out when it is no structured list: ours could not be read behind it.
    """
    return existing + b", " + member if existing and _is_readable(existing) else member


def shown_key(scheme: bytes, host: bytes, target: bytes) -> str:
    """What of a key the caller may see: what he asked for, and nothing of who he is (RFC 9211, 2.7)."""
    return (b"%b://%b%b" % (scheme, host, target))[:_LONGEST_KEY].decode("latin-1")


def _key(key: str | None) -> bytes:
    return b"" if key is None else b"; key=" + string(key)


def _detail(detail: str | None) -> bytes:
    return b"" if detail is None else b"; detail=" + token_or_string(detail)


@lru_cache(maxsize=256)
def _remembered(value: bytes) -> bool:
    return is_list(value)


def _is_readable(value: bytes) -> bool:
    return len(value) <= _MOST_EXISTING and _remembered(value)
