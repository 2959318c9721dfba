"""Longest prefix, by example and against a naive statement of the rule."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.routing.policy import Route, RouteTable, has_dot_segment


def table(*prefixes: str) -> RouteTable:
    return RouteTable(Route(prefix, prefix, "upstream") for prefix in prefixes)


@pytest.mark.parametrize(
    ("path", "prefix"),
    [
        (b"/v1/accounts", "/v1/accounts"),
        (b"/v1/accounts/", "/v1/accounts"),
        (b"/v1/accounts/1/contacts", "/v1/accounts"),
        (b"/v1/accounts/merges/1", "/v1/accounts/merges"),
        (b"/v1/accountsx", "/v1"),
        (b"/v1/%61ccounts", "/v1"),
        (b"/V1/accounts", None),
        (b"/", None),
        (b"", None),
        (b"*", None),
        (b"//v1/accounts", None),
    ],
)
def test_the_longest_prefix_of_whole_segments(path: bytes, prefix: str | None) -> None:
    route = table("/v1", "/v1/accounts", "/v1/accounts/merges").match(path)
    assert (route.prefix if route else None) == prefix


def test_a_route_for_everything() -> None:
    route = table("/", "/v1").match(b"/other")
    assert route is not None
    assert route.prefix == "/"


segments = st.lists(st.sampled_from(["a", "b", "ab"]), min_size=1, max_size=4)
paths = segments.map(lambda parts: "/" + "/".join(parts))


@given(st.sets(paths, max_size=8), paths)
def test_agrees_with_the_rule_said_naively(prefixes: set[str], path: str) -> None:
    fitting = [prefix for prefix in prefixes if path == prefix or path.startswith(prefix + "/")]
    route = table(*prefixes).match(path.encode())
    assert (route.prefix if route else None) == max(fitting, key=len, default=None)


def test_the_target_is_the_callers_bytes_but_for_the_rewritten_prefix() -> None:
    plain = Route("a", "/v1/a", "u")
    assert plain.target(b"/v1/a/%2F", b"q=%20") == b"/v1/a/%2F?q=%20"
    assert plain.target(b"/v1/a", b"") == b"/v1/a"
    rewritten = Route("d", "/docs/sales", "sales", rewrite="/docs")
    assert rewritten.target(b"/docs/sales", b"") == b"/docs"
    assert rewritten.target(b"/docs/sales/x", b"y=1") == b"/docs/x?y=1"


@pytest.mark.parametrize("path", [b"/a/../b", b"/..", b"/a/%2e%2E/b", b"/.%2e/", b"/a/.", b"/%2E/b"])
def test_dot_segments(path: bytes) -> None:
    assert has_dot_segment(path)


@pytest.mark.parametrize("path", [b"/a.b/c", b"/...", b"/a..", b"/.well-known/x", b"/%2e%2ex"])
def test_dots_that_are_no_segments(path: bytes) -> None:
    assert not has_dot_segment(path)
