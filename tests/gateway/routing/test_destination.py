"""What a route makes of a request: its target there, and the key it is balanced by."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.balancing.endpoint import EndpointRegistry
from services.gateway.config import parse
from services.gateway.protocol.request_head import RequestHead, parse_request_head
from services.gateway.resilience.upstream import Upstream
from services.gateway.routing.destination import Destination
from services.gateway.routing.policy import HashOn, Route

PLAN = parse("{routes: [], upstreams: {u: {replicas: [{host: 127.0.0.1, port: 1}]}}}").upstreams["u"]
UPSTREAM = Upstream(PLAN, EndpointRegistry())


def destination(prefix: str = "/", rewrite: str | None = None, hash_on: HashOn | None = None) -> Destination:
    route = Route("r", prefix, "u", rewrite=rewrite, hash_on=hash_on)
    return Destination(route, UPSTREAM)


def request(target: bytes, *lines: bytes) -> RequestHead:
    return parse_request_head(b"\r\n".join([b"GET %b HTTP/1.1" % target, b"Host: a", *lines]))


@pytest.mark.parametrize(
    ("prefix", "rewrite", "target", "asked"),
    [
        ("/", None, b"/x//y?&", b"/x//y?&"),
        ("/docs/echo", "/documentation", b"/docs/echo", b"/documentation"),
        (
            "/docs/echo",
            "/documentation",
            b"/docs/echo/more?x=/docs/echo",
            b"/documentation/more?x=/docs/echo",
        ),
        ("/docs/echo", "/documentation", b"/docs/echo?x", b"/documentation?x"),
        ("/a", "/", b"/a/b", b"/b"),
        ("/a", "/", b"/a", b"/"),
        ("/a", "/", b"/a?x", b"/?x"),
        ("/", "/b", b"/a", b"/b/a"),
        ("/", "/b", b"/", b"/b/"),
        ("/", "/", b"/a", b"/a"),
    ],
)
def test_the_target_there(prefix: str, rewrite: str | None, target: bytes, asked: bytes) -> None:
    assert destination(prefix, rewrite).target(request(target)) == asked


prefixes = st.sampled_from(["/", "/a", "/a/b"])


@given(prefixes, prefixes, st.text("ab/", max_size=6), st.sampled_from([b"", b"?x", b"?a=/a?"]))
def test_only_the_prefix_changes(prefix: str, rewrite: str, rest: str, query: bytes) -> None:
    path = (prefix.rstrip("/") + "/" + rest).encode()
    asked = destination(prefix, rewrite).target(request(path + query))
    assert asked == (rewrite.rstrip("/") + "/" + rest).encode() + query


@pytest.mark.parametrize(
    ("hash_on", "key"),
    [
        (None, b""),
        (HashOn("client"), b"10.0.0.1"),
        (HashOn("path"), b"/p"),
        (HashOn("header", "x-tenant"), b"t 1"),
        (HashOn("header", "x-api-key"), b"k"),
        (HashOn("header", "x-other"), b""),
        (HashOn("query", "id"), b"7"),
        (HashOn("query", "none"), b""),
        (HashOn("query", "empty"), b""),
    ],
)
def test_what_balancing_goes_by(hash_on: HashOn | None, key: bytes) -> None:
    asked = request(b"/p?empty=&id=7&id=8", b"X-Tenant:  t 1\t", b"X-Tenant: t 2", b"X-Api-Key: k")
    assert destination(hash_on=hash_on).key(asked, "10.0.0.1") == key
