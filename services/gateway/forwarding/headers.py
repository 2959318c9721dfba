"""Which header fields pass the gateway, in both directions. Pure; names are lower-case bytes."""

from collections.abc import Iterable, Sequence

Header = tuple[bytes, bytes]

VIA = b"1.1 kontor"

# RFC 9110, 7.6.1, and the two older fields that still mean the connection, not the message.
_HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
# What we say ourselves, so that nobody outside can: where the request came from, who sent it, which
# span it belongs to. The key stays here, services have no use for it. `Expect` is answered by the server
# in front of us.
_OURS = frozenset(
    {
        b"authorization",
        b"x-api-key",
        b"host",
        b"via",
        b"expect",
        b"forwarded",
        b"x-real-ip",
        b"x-request-id",
        b"traceparent",
        b"tracestate",
    }
)
_OUR_PREFIXES = (b"x-forwarded-", b"x-kontor-")


def request_headers(headers: Sequence[Header]) -> list[Header]:
    """What of the caller's header goes on to a replica; the framing of the body is kept."""
    nominated = _named_in_connection(headers)
    chunked = any(name == b"transfer-encoding" for name, _ in headers)
    kept = [
        (name, value)
        for name, value in headers
        if name not in _HOP_BY_HOP
        and name not in _OURS
        and not name.startswith(_OUR_PREFIXES)
        # `Connection: content-length` would take the body's end away and smuggle a second request.
        and (name not in nominated or name == b"content-length")
        and not (chunked and name == b"content-length")
    ]
    if chunked:
        kept.append((b"transfer-encoding", b"chunked"))
    return kept


def forwarded_headers(
    headers: Sequence[Header], *, client: str, scheme: str, host: bytes, request_id: str
) -> list[Header]:
    """What we say of the request: from where, by which name, and the number under which it is known."""
    return [
        (b"x-forwarded-for", client.encode("ascii")),
        (b"x-forwarded-proto", scheme.encode("ascii")),
        (b"x-forwarded-host", host),
        (b"x-request-id", request_id.encode("ascii")),
        (b"via", _appended_via(headers)),
    ]


def answer_headers(status: int, headers: Iterable[Header]) -> list[Header]:
    """What of a replica's header goes back to the caller, names in lower case.

    204 and 304 lose their `Content-Length`: it describes a body that is not sent, and the server in front
    of us would wait for it.
    """
    received = [(name.lower(), value) for name, value in headers]
    nominated = _named_in_connection(received)
    bodiless = status in (204, 304)
    return [
        (name, value)
        for name, value in received
        if name not in _HOP_BY_HOP
        and name not in (b"via", b"x-request-id")
        and not name.startswith(b"x-kontor-")
        and (name not in nominated or name == b"content-length")
        and not (bodiless and name == b"content-length")
    ] + [(b"via", _appended_via(received))]


def _named_in_connection(headers: Iterable[Header]) -> set[bytes]:
    return {
        token.strip().lower()
        for name, value in headers
        if name == b"connection"
        for token in value.split(b",")
    }


def _appended_via(headers: Iterable[Header]) -> bytes:
    return b", ".join([value for name, value in headers if name == b"via"] + [VIA])
