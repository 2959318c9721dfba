"""A request's head, read strictly (RFC 9112). Pure.

What two readers could understand differently is refused: the first mistake of a gateway is to let a request
through whose end the service sees elsewhere. Everything accepted here is accepted, with the same meaning, by
the parser the services use; a test compares the two.
"""

import re
from collections.abc import Iterable
from typing import Final

from services.gateway.protocol.fields import (
    DROP,
    HOP_BY_HOP,
    PASS,
    BadFieldError,
    LineReader,
    tokens,
    without,
)
from shared.alphabets import alphabet
from shared.problems import Problem

# Origin form with any visible character but `#`: what clients really send in a query is not always RFC 3986.
_REQUEST_LINE: Final = re.compile(
    rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}) (/[\x21\x22\x24-\x7e]*) HTTP/1\.([01])"
)
# The same in fewer steps for the methods that nearly all requests have.
_COMMON_METHODS: Final = frozenset({b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS"})
_IN_TARGETS: Final = alphabet(bytes(range(0x21, 0x7F)).replace(b"#", b""))
_ABSOLUTE_LINE: Final = re.compile(
    rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}) (?i:https?)://([^/?#\s]+)(/?[\x21\x22\x24-\x7e]*) HTTP/1\.([01])"
)
_HOST: Final = re.compile(rb"(?:[A-Za-z0-9._~!$&'()*+,;=%-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
VIA: Final = b"1.1 kontor"
VIA_LINE: Final = b"via: " + VIA + b"\r\n"
_VIA_END: Final = b"\r\nVia: " + VIA + b"\r\n"
_LENGTH: Final = re.compile(rb"[0-9]{1,15}")
_VERSION: Final = re.compile(rb".* HTTP/[0-9](?:\.[0-9])?")

CACHE_FIELDS: Final = frozenset(
    {
        *(b"cache-control", b"pragma", b"range", b"if-range"),
        *(b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since"),
        *(
            b"x-http-method",
            b"x-http-method-override",
            b"x-method-override",
            b"x-original-url",
            b"x-rewrite-url",
        ),
    }
)
# The fields the gateway reads itself, and whether they are passed on as they came.
_NOTED: Final = {
    b"host": False,
    b"authorization": False,
    b"x-api-key": False,
    b"x-request-id": False,
    b"traceparent": False,
    b"tracestate": False,
    b"idempotency-key": True,
    b"connection": False,
    b"content-length": False,
    b"transfer-encoding": False,
    b"expect": False,
    b"upgrade": False,
    b"via": False,
    b"forwarded": False,
    b"x-forwarded-for": False,
    b"x-forwarded-proto": False,
    b"x-forwarded-host": False,
    b"x-kontor-timeout-ms": False,
    b"x-envoy-expected-rq-timeout-ms": False,
    # What a cache goes by (`caching.http.decision.REQUEST_FIELDS`, which a test holds this to).
    **dict.fromkeys(CACHE_FIELDS, True),
}
# Of those, what ordinary requests carry; anything else makes the head `unusual` and is looked at more closely.
_USUAL: Final = CACHE_FIELDS | frozenset(
    {b"host", b"authorization", b"x-api-key", b"x-request-id", b"traceparent", b"idempotency-key"}
)
_ONCE: Final = frozenset({b"host", b"content-length", b"transfer-encoding"})


def _check_host(value: bytes) -> None:
    if _HOST.fullmatch(value) is None:
        raise BadFieldError("the Host header names no host")


READER: Final = LineReader(
    _NOTED,
    dropped=HOP_BY_HOP | {b"x-real-ip"},
    # What a service believes because we say it, nobody outside may say.
    dropped_prefixes=(b"x-forwarded-", b"x-kontor-"),
    unique={
        b"traceparent",
        b"tracestate",
        b"x-request-id",
        b"idempotency-key",
        b"if-none-match",
        b"if-match",
        b"cookie",
    },
    silent={b"connection:keep-alive"},
    checks={b"host": _check_host},
)


class RequestFields:
    """The header lines of a request, read.

    `found` are the fields the gateway reads itself, by lower-case name; `lines` those to pass on, and `onward`
    is all of it that a replica gets, whoever sent it: those lines, the framing and `Via`. `credentials` are the
    bytes a caller is recognised by. `scheme` and `host` are those of the caller's request, also where a trusted proxy
    tells them. `body_length` is -1 for a chunked body. `upgrade` names the protocol the
    connection shall be switched to.
    """

    __slots__ = (
        "body_length",
        "close",
        "credentials",
        "expects_continue",
        "found",
        "host",
        "lines",
        "onward",
        "scheme",
        "upgrade",
    )

    def __init__(self, lines: list[bytes], found: dict[bytes, bytes]) -> None:
        self.lines = lines
        self.found = found
        self.host = found.get(b"host", b"")
        self.scheme = b"http"
        self.credentials = found.get(b"authorization", b"")
        if b"x-api-key" in found:
            self.credentials += b"\n" + found[b"x-api-key"]  # which no single value contains
        self.close = False
        self.body_length = 0
        self.expects_continue = False
        self.upgrade: bytes | None = None
        self.onward = b""

    def replace(self, names: frozenset[bytes], lines: Iterable[bytes]) -> None:
        """Pass these lines on in place of the fields of these names (lower case)."""
        self.lines = [*without(self.lines, names), *lines]
        self.onward = _onward(self)


class RequestHead:
    """The head of one request. `target` is in origin form, as sent; `path` is the target without its query."""

    __slots__ = ("fields", "http10", "method", "path", "target")

    def __init__(self, method: bytes, target: bytes, http10: bool, fields: RequestFields) -> None:
        self.method = method
        self.target = target
        self.path = target.partition(b"?")[0]
        self.http10 = http10
        self.fields = fields

    @property
    def query(self) -> bytes:
        """What follows the first question mark."""
        return self.target.partition(b"?")[2]

    @property
    def close(self) -> bool:
        """Whether the connection ends with the answer."""
        return self.http10 or self.fields.close


def parse_request_head(block: bytes) -> RequestHead:
    """The head in `block`, which is everything before the empty line. Raises the `Problem` it is refused with."""
    lines = block.split(b"\r\n")
    first = lines[0]
    parts = first.split(b" ")
    if (
        len(parts) == 3
        and parts[2] == b"HTTP/1.1"
        and parts[0] in _COMMON_METHODS
        and parts[1].startswith(b"/")
        and parts[1].translate(_IN_TARGETS) == parts[1]
    ):
        method, target, minor = parts
        http10 = False
    else:
        match = _REQUEST_LINE.fullmatch(first)
        if match is None:
            return _parse_unusual_line(first, block[len(first) + 2 :])
        method, target, minor = match.groups()
        http10 = minor == b"0"
    try:
        fields = _parse_fields(lines)
    except BadFieldError as error:
        raise malformed(str(error)) from error
    if http10:
        _check_http10(fields)
    elif not fields.host:
        raise malformed("a Host header is needed")
    return RequestHead(method, target, http10, fields)


def _parse_fields(lines: list[bytes]) -> RequestFields:
    """The fields of a head whose first line is the request line."""
    passed: list[bytes] = []
    found: dict[bytes, bytes] = {}
    reader = READER
    known = reader.known
    usual = True
    del lines[0]
    for line in lines:
        verdict = known.get(line) or reader.learn(line)
        if verdict is PASS:
            passed.append(line)
            continue
        if verdict is DROP:
            continue
        name, value, passed_on = verdict
        if name in found:
            if name in _ONCE:
                raise malformed(f"{name.decode()} appears more than once")
            value = found[name] + b", " + value
        found[name] = value
        if passed_on:
            passed.append(line)
        if name not in _USUAL:
            usual = False
    fields = RequestFields(passed, found)
    if usual:
        fields.onward = b"\r\n".join(passed) + _VIA_END if passed else _VIA_END[2:]
    else:
        _note_unusual(fields)
        fields.onward = _onward(fields)
    return fields


def _onward(fields: RequestFields) -> bytes:
    found = fields.found
    lines = list(fields.lines)
    lines.append(b"Via: " + found[b"via"] + b", " + VIA if b"via" in found else b"Via: " + VIA)
    if fields.body_length < 0:
        lines.append(b"Transfer-Encoding: chunked")
    elif b"content-length" in found:
        lines.append(b"Content-Length: " + found[b"content-length"])
    if fields.upgrade is not None:
        lines += (b"Connection: Upgrade", b"Upgrade: " + fields.upgrade)
    return b"\r\n".join(lines) + b"\r\n"


def _check_http10(fields: RequestFields) -> None:
    if b"transfer-encoding" in fields.found:
        raise malformed("HTTP/1.0 knows no Transfer-Encoding")
    if fields.upgrade is not None:
        raise malformed("HTTP/1.0 knows no Upgrade")


def _note_unusual(fields: RequestFields) -> None:
    found = fields.found
    _note_framing(fields)
    if b"connection" in found:
        _note_connection(fields)
    expect = found.get(b"expect")
    if expect is not None:
        if expect.lower() != b"100-continue":
            raise Problem(417, "unknown_expectation", "Expectation failed", "Only 100-continue is known.")
        fields.expects_continue = fields.body_length != 0


def _note_framing(fields: RequestFields) -> None:
    length = fields.found.get(b"content-length")
    coding = fields.found.get(b"transfer-encoding")
    if coding is not None:
        if length is not None:
            raise malformed("Content-Length and Transfer-Encoding contradict each other")
        if coding.lower() != b"chunked":
            raise Problem(
                501, "unknown_coding", "Not implemented", "Only the chunked transfer coding is known."
            )
        fields.body_length = -1
    elif length is not None:
        if _LENGTH.fullmatch(length) is None:
            raise malformed("Content-Length is not a plain number")
        fields.body_length = int(length)


def _note_connection(fields: RequestFields) -> None:
    found = fields.found
    options = set(tokens(found[b"connection"]))
    if b"close" in options:
        fields.close = True
    # Inside another protocol, h2c above all, requests would pass by routing, keys and limits.
    if b"upgrade" in options and found.get(b"upgrade", b"").lower() == b"websocket":
        if fields.body_length:
            raise malformed("an upgrade request has no body")
        fields.upgrade = found[b"upgrade"]
    # The length is not the connection's, whatever a header says: without it the body would be a new request.
    nominated = frozenset(options - {b"close", b"keep-alive", b"upgrade", b"content-length", b"host"})
    if nominated:
        fields.lines = without(fields.lines, nominated)
    if b"idempotency-key" in nominated:
        found.pop(b"idempotency-key", None)  # a replica that does not see it does the work twice


def _parse_unusual_line(first: bytes, header: bytes) -> RequestHead:
    """Absolute form, or a refusal that says what is wrong."""
    match = _ABSOLUTE_LINE.fullmatch(first)
    if match is not None:
        method, authority, path, minor = match.groups()
        target = path if path[:1] == b"/" else b"/" + path
        head = parse_request_head(b"%b %b HTTP/1.%b\r\n%b" % (method, target, minor, header))
        if authority.lower() != head.fields.found.get(b"host", b"").lower():
            # RFC 9112, 3.2.2 has the target win; a service that looks at Host would see another name.
            raise malformed("the request's target and its Host header disagree")
        return head
    if _VERSION.fullmatch(first) is not None and not first.endswith((b"HTTP/1.1", b"HTTP/1.0")):
        raise Problem(505, "unknown_version", "HTTP version not supported", "HTTP/1.1 is spoken here.")
    if first.startswith(b"CONNECT ") or first.startswith(b"OPTIONS * "):
        raise Problem(501, "not_a_resource", "Not implemented", "Only resources are served here.")
    raise malformed("the request line is not one")


def malformed(detail: str) -> Problem:
    """400 for what is no HTTP, or could be taken for two different requests."""
    return Problem(400, "malformed_request", "Malformed request", f"Invalid HTTP: {detail}.")
