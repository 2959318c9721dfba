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


@pytest.mark.parametrize(
    ("prefix", "rewrite", "path", "target"),
    [
        ("/crm", "/", b"/crm/v1/a", b"/v1/a"),
        ("/crm", "/", b"/crm", b"/"),
        ("/crm", "/", b"/crm/", b"/"),
        ("/", "/crm", b"/v1/a", b"/crm/v1/a"),
        ("/", "/crm", b"/", b"/crm/"),
        ("/", "/", b"/v1", b"/v1"),
    ],
)
def test_the_root_as_prefix_or_rewrite(prefix: str, rewrite: str, path: bytes, target: bytes) -> None:
    assert Route("r", prefix, "u", rewrite=rewrite).target(path, b"") == target


@pytest.mark.parametrize("path", [b"/a/../b", b"/..", b"/a/%2e%2E/b", b"/.%2e/", b"/a/.", b"/%2E/b"])
def test_dot_segments(path: bytes) -> None:
    assert has_dot_segment(path)


@pytest.mark.parametrize("path", [b"/a.b/c", b"/...", b"/a..", b"/.well-known/x", b"/%2e%2ex"])
def test_dots_that_are_no_segments(path: bytes) -> None:
    assert not has_dot_segment(path)


def named(*routes: tuple[str, str, tuple[str, ...], tuple[str, ...]]) -> RouteTable:
    """Of `(name, prefix, hosts, methods)`."""
    return RouteTable(
        Route(name, prefix, "upstream", hosts=hosts, methods=methods)
        for name, prefix, hosts, methods in routes
    )


def name_of(route: Route | None) -> str | None:
    return route.name if route else None


HOSTS = named(
    ("all", "/", (), ()),
    ("all-v1", "/v1", (), ()),
    ("shop", "/", ("shop.example.org", "example.net"), ()),
    ("wild", "/v1", ("*.example.org",), ()),
    ("wilder", "/", ("*.eu.example.org",), ()),
)


@pytest.mark.parametrize(
    ("host", "path", "name"),
    [
        (b"shop.example.org", b"/v1/a", "shop"),
        (b"SHOP.example.ORG.:8443", b"/v1/a", "shop"),
        (b"example.net", b"/", "shop"),
        (b"api.example.org", b"/v1/a", "wild"),
        (b"api.example.org", b"/v2", "all"),
        (b"a.b.example.org", b"/v1", "wild"),
        (b"api.eu.example.org", b"/v1", "wilder"),
        (b"example.org", b"/v1", "all-v1"),
        (b"xexample.org", b"/v1", "all-v1"),
        (b"[::1]:80", b"/v1", "all-v1"),
        (b"[::1]", b"/v1", "all-v1"),
        (b"", b"/v1", "all-v1"),
        (b".", b"/", "all"),
    ],
)
def test_the_most_specific_host_first(host: bytes, path: bytes, name: str) -> None:
    for _ in range(2):  # found out, and remembered
        assert name_of(HOSTS.match(path, b"GET", host)) == name


def test_what_is_remembered_of_hosts_is_bounded() -> None:
    for number in range(3_000):
        assert name_of(HOSTS.match(b"/v1", b"GET", b"h%d.example.org" % number)) == "wild"
    assert len(HOSTS._remembered) <= 1024
    long = b"x" * 300 + b".example.org"
    assert name_of(HOSTS.match(b"/v1", b"GET", long)) == "wild"
    assert long not in HOSTS._remembered


METHODS = named(
    ("all", "/v1", (), ()),
    ("reading", "/v1/reports", (), ("GET",)),
    ("writing", "/v1/reports", (), ("POST", "PATCH")),
    ("odd", "/other", (), ("DELETE",)),
    ("head", "/heads", (), ("HEAD",)),
    ("get", "/heads", (), ("GET",)),
    ("odd-there", "/other", ("there",), ("PUT",)),
)


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        (b"GET", b"/v1/reports/1", "reading"),
        (b"HEAD", b"/v1/reports/1", "reading"),
        (b"PATCH", b"/v1/reports/1", "writing"),
        (b"DELETE", b"/v1/reports/1", "all"),
        (b"BREW", b"/v1/reports/1", "all"),
        (b"get", b"/v1/reports/1", "all"),
        (b"DELETE", b"/other", "odd"),
        (b"HEAD", b"/heads", "head"),
        (b"GET", b"/heads", "get"),
        (b"PUT", b"/other", None),
        (b"HEAD", b"/other", None),
    ],
)
def test_methods(method: bytes, path: bytes, name: str | None) -> None:
    assert name_of(METHODS.match(path, method)) == name


def test_what_a_path_allows() -> None:
    assert METHODS.allowed(b"/other/1") == ("DELETE",)
    assert METHODS.allowed(b"/other/1", b"There:80") == ("DELETE", "PUT")
    assert METHODS.allowed(b"/nowhere") == ()
    assert named(("r", "/a", (), ("GET", "POST"))).allowed(b"/a") == ("GET", "HEAD", "POST")


hosts = st.sampled_from(["a.org", "b.a.org", "*.a.org", "*.b.a.org", "*.org"])
routes = st.builds(
    Route,
    name=st.uuids().map(str),
    prefix=paths,
    upstream=st.just("u"),
    hosts=st.lists(hosts, max_size=2).map(tuple),
    methods=st.lists(st.sampled_from(["GET", "POST", "HEAD"]), max_size=2).map(tuple),
)


@given(
    st.lists(routes, max_size=8),
    paths,
    st.sampled_from(["GET", "POST", "HEAD", "PUT"]),
    st.sampled_from(["a.org", "b.a.org", "c.b.a.org", "org", "x"]),
)
def test_hosts_and_methods_agree_with_the_rule_said_naively(
    routes: list[Route], path: str, method: str, host: str
) -> None:
    def host_rank(route: Route) -> int:
        """0: for all hosts; otherwise the longer the more specific; -1: for others only."""
        lengths = [
            len(one) + (host == one) * 100
            for one in route.hosts
            if host == one or (one.startswith("*") and host.endswith(one[1:]))
        ]
        return max(lengths, default=-1 if route.hosts else 0)

    def rank(route: Route) -> tuple[int, int, bool]:
        return host_rank(route), len(route.prefix), bool(route.methods)

    fitting = [
        route
        for route in routes
        if (path == route.prefix or path.startswith(route.prefix + "/"))
        and route.takes(method)
        and host_rank(route) >= 0
    ]
    found = RouteTable(routes).match(path.encode(), method.encode(), host.encode())
    assert (rank(found) if found else None) == max(map(rank, fitting), default=None)
    if found is None:
        others = {
            one
            for one in ("GET", "POST", "HEAD")
            if RouteTable(routes).match(path.encode(), one.encode(), host.encode())
        }
        assert set(RouteTable(routes).allowed(path.encode(), host.encode())) == others
