"""Which stored answers a write makes worthless (RFC 9111, 4.4). Pure."""

from typing import Final
from urllib.parse import SplitResult, urldefrag, urljoin, urlsplit

from services.gateway.caching.http.fields import Fields

SAFE: Final = frozenset({b"GET", b"HEAD", b"OPTIONS", b"TRACE"})
"""Methods that change nothing (RFC 9110, 9.2.1); all others, unknown ones included, may."""

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


def invalidated(
    method: bytes, status: int, answer: Fields, *, scheme: bytes, host: bytes, target: bytes
) -> tuple[bytes, ...]:
    """The targets to invalidate after an answer; none when the method is safe or the answer an error.

    The request's own target always; those in `Location` and `Content-Location` only if they are of the same
    origin, else anybody could empty anybody's cache. All are therefore of the request's own scheme and host.
    """
    if method in SAFE or not 200 <= status < 400:
        return ()
    own = _text(b"%b://%b%b" % (scheme, host, target))
    found = {target: None}
    for name in (b"location", b"content-location"):
        other = _same_origin(own, answer[name]) if name in answer else None
        if other is not None:
            found[other] = None
    return tuple(found)


def _same_origin(own: str, reference: bytes) -> bytes | None:
    """Path and query of a URI reference (RFC 3986, 5) if its origin is that of `own` (RFC 9110, 4.3.1)."""
    try:
        split = urlsplit(urldefrag(urljoin(own, _text(reference))).url)
        if _origin(split) != _origin(urlsplit(own)):
            return None
    except ValueError:  # no URI, or no port
        return None
    query = f"?{split.query}" if split.query else ""
    return ((split.path or "/") + query).encode("latin-1")


def _origin(split: SplitResult) -> tuple[str, str | None, int | None]:
    return split.scheme, split.hostname, split.port or _DEFAULT_PORTS.get(split.scheme)


def _text(raw: bytes) -> str:
    return raw.decode("latin-1")
