"""Request heads for hypothesis: valid ones, and such as are nearly so."""

from typing import TypeVar

from hypothesis import strategies as st

T = TypeVar("T")

# Those llhttp knows of: it refuses the others, which a replica may do.
METHODS = [b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"QUERY", b"PROPFIND"]
_PATH = b"abcXYZ019/-._~%;:@!$&'()*+,=[]{}|\\^`\"<>"
_VALUE = bytes(range(0x21, 0x7F)) + b"  \t\x80\xe9\xff"
_TOKEN = b"abcXYZ019!#$%&'*+-.^_`|~"


def some(alphabet: bytes, least: int = 0, most: int = 12) -> st.SearchStrategy[bytes]:
    return st.lists(st.sampled_from(alphabet), min_size=least, max_size=most).map(bytes)


targets = st.builds(
    lambda path, query: b"/" + path + query,
    some(_PATH),
    st.just(b"") | some(_PATH + b"?").map(lambda query: b"?" + query),
)
valid_lines = st.sampled_from(
    [
        *(b"Accept: */*", b"accept:x", b"Accept:", b"User-Agent: t/1 (x; y)", b"Cookie: a=b", b"Cookie: c=d"),
        *(
            b"X-Request-Id: 1",
            b"x-request-id:\t2 ",
            b"Traceparent: 00-1",
            b"tracestate: a=1",
            b"X-Api-Key: k",
        ),
        *(
            b"X-Forwarded-For: 6.6.6.6",
            b"X-Kontor-Identity: forged",
            b"TE: trailers",
            b"Via: 1.0 a",
            b"DNT: 1",
        ),
        *(
            b"Keep-Alive: 5",
            b"Connection: keep-alive",
            b"Connection: x-a, x-b",
            b"X-A: 1",
            b"x-b: 2",
            b"X-C: 3",
        ),
        *(
            b"Content-Type: text/plain",
            b"Idempotency-Key: 1",
            b"Accept-Encoding: gzip\t",
            b"X_A: 1",
            b"Trailer: x",
        ),
        *(
            b"Proxy-Connection: x",
            b"Forwarded: for=x",
            b"X-Real-IP: x",
            b"Upgrade: h2c",
            b"Expect: 100-continue",
        ),
        b"traceparent: 00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01",
    ]
) | st.builds(lambda name, value: b"X-" + name + b": " + value, some(_TOKEN), some(_VALUE, most=20))
odd_lines = st.sampled_from(
    [
        *(
            b"Content-Length: 5",
            b"Content-Length: 05",
            b"content-length:3",
            b"Content-Length: +5",
            b"Content-Length",
        ),
        *(
            b"Content-Length: 5, 5",
            b"Content-Length: 0",
            b"Content-Length: 5 ",
            b"Content-Length : 5",
            b"Host",
        ),
        *(b"Transfer-Encoding: chunked", b"Transfer-Encoding:Chunked\t", b"Transfer-Encoding: xchunked"),
        *(
            b"Transfer-Encoding : chunked",
            b"Transfer-Encoding:\x0bchunked",
            b"Transfer-Encoding: gzip, chunked",
        ),
        *(
            b"Transfer-Encoding\x00: chunked",
            b" chunked",
            b"\tx: y",
            b"Accept",
            b"X-Request-Id",
            b": x",
            b"",
            b"X: \x00",
        ),
        *(
            b"Host: b",
            b"host: a",
            b"Host:",
            b"Host: a b",
            b"Host: [::1]:80",
            b"Connection: close",
            b"Connection: host",
        ),
        *(
            b"Connection: content-length",
            b"Connection: transfer-encoding",
            b"A: b\nC: d",
            b"A: b\rC: d",
            b"A: b\r",
        ),
        *(
            b"Connection: Upgrade",
            b"Upgrade: websocket",
            b"Expect: x",
            b"X-A : 1",
            b"X A: 1",
            b"(x): 1",
            b"\xe9: 1",
        ),
    ]
)
valid_first_lines = st.builds(
    lambda method, target, minor: method + b" " + target + b" HTTP/1." + minor,
    st.sampled_from(METHODS),
    targets | st.just(b"http://a/x?y"),
    st.sampled_from([b"1", b"1", b"1", b"0"]),
)
odd_first_lines = st.builds(
    lambda method, target, version: method + b" " + target + b" " + version,
    st.sampled_from([*METHODS, b"get", b"CONNECT", b"FOO", b"M-SEARCH", b"G(T", b""]),
    targets
    | st.sampled_from(
        [b"*", b"http://a/x?y", b"HTTP://A:80/", b"http://b/", b"/x y", b"/\x00", b"x", b"/#a", b""]
    ),
    st.sampled_from(
        [b"HTTP/1.1"] * 6 + [b"HTTP/1.0", b"HTTP/2.0", b"HTTP/1.2", b"http/1.1", b"HTTP/1.1 ", b""]
    ),
)


def _mutate(block: bytes, changes: list[tuple[int, bytes, bool]]) -> bytes:
    for where, what, replaces in changes:
        at = where % (len(block) + 1)
        block = block[:at] + what + block[at + replaces :]
    return block


_changes = st.lists(
    st.tuples(
        st.integers(0, 400),
        st.sampled_from(
            [b"\r", b"\n", b"\r\n", b" ", b"\t", b":", b"\x00", b"\x0b", b"\xff", b"", b"5", b","]
        ),
        st.booleans(),
    ),
    min_size=1,
    max_size=2,
)


def mostly(usual: st.SearchStrategy[T], odd: st.SearchStrategy[T]) -> st.SearchStrategy[T]:
    return st.integers(0, 3).flatmap(lambda number: usual if number else odd)


nearly = st.builds(
    lambda first, host, lines, changes: _mutate(b"\r\n".join([first, *host, *lines]), changes),
    mostly(valid_first_lines, odd_first_lines),
    st.sampled_from([[b"Host: a"]] * 8 + [[b"Host: A:80"], []]),
    mostly(st.lists(valid_lines, max_size=6), st.lists(valid_lines | odd_lines, max_size=6)),
    mostly(st.just([]), _changes),
)
