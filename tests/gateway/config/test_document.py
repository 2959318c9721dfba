"""The document: what it comes to, and that each mistake is named by its line and field."""

from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from services.gateway import config
from services.gateway.balancing.balancer import BalancerRules
from services.gateway.balancing.policies import DEFAULT_POLICY, POLICIES
from services.gateway.balancing.policy import Replica
from services.gateway.config.document import LimitsSection, TracesSection
from services.gateway.config.routes import Failure, HedgingSection, PolicyName, RetriesSection
from services.gateway.config.upstreams import (
    BreakerSection,
    ConcurrencySection,
    ConnectionsSection,
    EjectionSection,
    HealthSection,
    QueueSection,
    RetryBudgetSection,
    UpstreamSection,
)
from services.gateway.discovery.rules import DnsRule, FileRule, StaticRule
from services.gateway.documents import DocumentError
from services.gateway.forwarding.pool import ConnectionsRule
from services.gateway.limits.sizes import SizeLimits
from services.gateway.limits.timeouts import Timeouts
from services.gateway.limits.token_bucket import Rate
from services.gateway.resilience.adaptive_limit import LimitRule
from services.gateway.resilience.breaker import BreakerRule
from services.gateway.resilience.client_connections import ClientConnectionRule
from services.gateway.resilience.concurrency import Priority, QueueRule
from services.gateway.resilience.ejection import EjectionRule
from services.gateway.resilience.health import HealthRule
from services.gateway.resilience.hedging import HedgingRule
from services.gateway.resilience.ledger import Outcome
from services.gateway.resilience.retry_budget import BudgetRule, RetryRule
from services.gateway.routing.policy import HashOn, Route
from services.gateway.timing.keeping import KeepingRule

PLAIN: dict[str, Any] = {
    "routes": [
        {"name": "accounts", "prefix": "/v1/accounts", "upstream": "customers"},
        {"name": "deals", "prefix": "/v1/deals", "upstream": "sales"},
    ],
    "upstreams": {
        "customers": {"replicas": [{"host": "a", "port": 1}, {"host": "b", "port": 1}]},
        "sales": {"replicas": [{"host": "c", "port": 1}]},
    },
}


def changed(changes: dict[str, Any]) -> str:
    """The plain document with some values set; paths are dotted, numbers index lists."""
    document = yaml.safe_load(yaml.safe_dump(PLAIN))
    for path, value in changes.items():
        *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
        place = document
        for part in parents:
            place = place[part]
        place[last] = value
    return yaml.safe_dump(document, sort_keys=False)


def snapshot(**changes: Any) -> config.Snapshot:
    return config.parse(changed({path.replace("__", "."): value for path, value in changes.items()}))


def complaints(changes: dict[str, Any]) -> list[str]:
    with pytest.raises(DocumentError) as caught:
        config.parse(changed(changes))
    return [f"{one.field}: {one.text}" for one in caught.value.complaints]


def test_what_is_not_said() -> None:
    made = snapshot()
    route = made.routes.match(b"/v1/accounts")
    assert route == Route(
        "accounts", "/v1/accounts", "customers", policy=DEFAULT_POLICY, hedging=HedgingRule()
    )
    plan = made.upstreams["customers"]
    assert plan.source == StaticRule((Replica("customers", "a", 1), Replica("customers", "b", 1)))
    assert plan.replicas == plan.source.replicas
    assert (plan.name, plan.audience, plan.policy) == ("customers", "customers", DEFAULT_POLICY)
    assert (plan.health, plan.breaker) == (HealthRule(), BreakerRule())
    assert (plan.retry, plan.budget, plan.balancer) == (RetryRule(), BudgetRule(), BalancerRules())
    assert plan.connections == ConnectionsRule()
    assert (made.limits, made.rate, made.rate_limited) == (SizeLimits(), Rate(), True)
    assert (made.workers, made.auth, made.trusted_proxies) == (None, "keys", ())


def test_sections_default_to_what_the_rules_default_to() -> None:
    assert HealthSection().rule() == HealthRule()
    assert EjectionSection().rule() == EjectionRule()
    assert BreakerSection().rule() == BreakerRule()
    assert ConnectionsSection().rule() == ConnectionsRule()
    assert HedgingSection().rule() == HedgingRule()
    assert ConcurrencySection().rule() == LimitRule()
    assert QueueSection().rule() == QueueRule()
    assert RetriesSection().rule() == RetryRule()
    assert RetryBudgetSection().rule() == BudgetRule()
    assert LimitsSection().sizes() == SizeLimits()
    assert LimitsSection().clients(()) == ClientConnectionRule()
    assert LimitsSection().timeouts() == Timeouts()
    assert TracesSection().rule(()) == KeepingRule()
    replica = {"host": "a", "port": 1}
    assert UpstreamSection.model_validate({"replicas": (replica,)}).balancer_rules() == BalancerRules()
    found = UpstreamSection.model_validate({"replicas": {"dns": {"name": "x", "port": 1}}})
    assert found.source("u", Path()) == DnsRule("x", port=1)


def test_names_of_policies_and_failures_are_the_codes_own() -> None:
    assert sorted(POLICIES) == sorted(PolicyName.__args__)  # type: ignore[attr-defined]
    assert {Outcome[name.upper()] for name in Failure.__args__} == RetryRule().retry_on  # type: ignore[attr-defined]


def test_the_whole() -> None:
    made = snapshot(
        workers=3,
        trusted_proxies=["10.0.0.0/8", "::1"],
        auth={"mode": "none"},
        limits={"max_header_bytes": 2048, "idle_timeout_s": 5},
        rate_limit={"enabled": False},
    )
    assert (made.workers, made.auth, made.rate_limited) == (3, "none", False)
    assert made.trusted_proxies == (ip_network("10.0.0.0/8"), ip_network("::1/128"))
    assert made.limits == SizeLimits(max_header_bytes=2048)
    assert made.clients == ClientConnectionRule(exempt=frozenset({"::1"}))
    assert made.timeouts == Timeouts(idle_ns=5_000_000_000)
    assert snapshot(workers="auto").workers is None


def test_a_route() -> None:
    section = {
        "hosts": ["*.example.org"],
        "methods": ["GET"],
        "timeout_s": 5,
        "priority": "high",
        "attempt_timeout_s": 1.5,
        "retries": {"max_retries": 1, "retry_on": ["refused"]},
        "upstream": "customers",
        "name": "r",
        "prefix": "/r",
    }
    route = snapshot(routes__0=section).routes.match(b"/r", b"GET", b"x.example.org")
    assert route is not None
    assert (route.hosts, route.methods) == (("*.example.org",), ("GET",))
    assert route.priority is Priority.HIGH
    assert (route.timeout_s, route.attempt_timeout_s) == (5, 1.5)
    assert route.retry == RetryRule(max_retries=1, retry_on=frozenset({Outcome.REFUSED}))


def test_a_route_has_its_upstreams_retries_and_policy_unless_it_says_otherwise() -> None:
    text = changed(
        {
            "upstreams.customers.retries": {"max_retries": 7},
            "upstreams.customers.policy": "random",
            "routes.1.upstream": "customers",
            "routes.1.retries": {},
            "routes.1.policy": "round_robin",
        }
    )
    first, second = config.parse(text).routes
    assert (first.retry.max_retries, first.policy) == (7, "random")
    assert (second.retry.max_retries, second.policy) == (2, "round_robin")


@pytest.mark.parametrize(
    ("upstream", "route", "meant"),
    [
        ({}, None, HedgingRule()),
        ({}, False, None),
        (False, None, None),
        (False, {}, HedgingRule()),
        ({"percentile": 90}, None, HedgingRule(percentile=90)),
        ({"percentile": 90}, {"min_delay_s": 0}, HedgingRule(min_delay_s=0)),
    ],
)
def test_hedging_or_not(upstream: Any, route: Any, meant: HedgingRule | None) -> None:
    text = changed({"upstreams.customers.hedging": upstream, "routes.0.hedging": route})
    assert next(iter(config.parse(text).routes)).hedging == meant


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (None, HashOn("client")),
        ("client", HashOn("client")),
        ("path", HashOn("path")),
        ({"header": "X-Tenant"}, HashOn("header", "x-tenant")),
        ({"query": "Id"}, HashOn("query", "Id")),
    ],
)
def test_what_is_hashed(said: Any, meant: HashOn) -> None:
    text = changed({"upstreams.customers.policy": "consistent_hash", "routes.0.hash_on": said})
    first, second = config.parse(text).routes
    assert (first.hash_on, second.hash_on) == (meant, None)


def test_what_is_slow() -> None:
    assert snapshot().keeping == KeepingRule()
    assert snapshot(routes__0__slow_s=0.2).keeping == KeepingRule(slow_s={"accounts": 0.2})
    made = snapshot(
        routes__0__slow_s=0.2, traces={"slow_s": 1.5, "slow_percentile": 90, "slow_min_s": 0}
    ).keeping
    assert made == KeepingRule(slow_s={"accounts": 0.2, "deals": 1.5}, slow_percentile=90, slow_min_s=0)


def test_where_replicas_come_from(tmp_path: Path) -> None:
    dns = {"name": "sales.internal", "type": "SRV", "every_s": 9, "nameserver": "[::1]:8600"}
    text = changed(
        {"upstreams.sales.replicas": {"dns": dns}, "upstreams.customers.replicas": {"file": "a/b.yaml"}}
    )
    file = tmp_path / "gateway.yaml"
    file.write_text(text)
    plans = config.load(file).upstreams
    assert plans["sales"].source == DnsRule("sales.internal", "SRV", None, 9, ("::1", 8600))
    assert plans["customers"].source == FileRule(tmp_path / "a" / "b.yaml")
    assert plans["customers"].replicas == ()


def test_a_limit_of_concurrency_is_asked_for() -> None:
    text = changed({"upstreams.customers.concurrency": {}, "upstreams.sales.concurrency": False})
    plans = config.parse(text).upstreams
    assert (plans["sales"].limit, plans["customers"].limit) == (None, LimitRule())
    assert plans["sales"].queue == plans["customers"].queue == QueueRule()


def test_zones_panic_and_slow_start() -> None:
    replica = {"host": "a", "port": 1, "zone": "east", "weight": 3}
    section = {"replicas": [replica], "zone": "east", "panic_percent": 0, "slow_start_s": 1.5}
    plan = snapshot(upstreams__sales=section).upstreams["sales"]
    assert plan.balancer == BalancerRules(zone="east", panic_below=0, slow_start_ns=1_500_000_000)
    assert plan.replicas == (Replica("sales", "a", 1, 3, "east"),)


@pytest.mark.parametrize(
    ("path", "value", "complaint"),
    [
        ("workers", 0, "workers: must be auto or a whole number from 1 to 256"),
        ("workers", True, "workers: must be auto or a whole number from 1 to 256"),
        ("trusted_proxies", ["10.0.0.1/8"], "trusted_proxies[0]: must be an address or a network"),
        ("auth", {"mode": "key"}, "auth.mode: must be one of keys, none; did you mean keys?"),
        ("limits", {"max_header_bytes": 1}, "limits.max_header_bytes: must be greater than or equal to 1024"),
        ("rate_limit", {"burst": 0}, "rate_limit.burst: must be greater than or equal to 1"),
        ("rate_limit", {"enabled": 0}, "rate_limit.enabled: must be true or false"),
        ("traces", {"slow_s": 0}, "traces.slow_s: must be greater than 0"),
        ("traces", {"slow_percentile": 100}, "traces.slow_percentile: must be less than 100"),
        ("traces", {"slow": 1}, "traces.slow: unknown field; did you mean slow_s?"),
        ("routes", None, "routes: must be a list"),
        ("routes.0.slow_s", "1s", "routes[0].slow_s: must be a number"),
        ("routes.0.prefix", "v1", "routes[0].prefix: must be a path of whole segments"),
        ("routes.0.prefix", "/v1/", "routes[0].prefix: must be a path of whole segments"),
        ("routes.0.name", "A B", "routes[0].name: must be a name: lower-case letters"),
        ("routes.1.timeout_s", 0, "routes[1].timeout_s: must be greater than 0"),
        ("routes.1.timeout_s", "5", "routes[1].timeout_s: must be a number"),
        ("routes.1.upsteam", "red", "routes[1].upsteam: unknown field; did you mean upstream?"),
        ("routes.0.hosts", ["Example.org"], "routes[0].hosts[0]: must be a host name in lower case"),
        ("routes.0.hosts", ["a.org:80"], "routes[0].hosts[0]: must be a host name in lower case"),
        ("routes.0.hosts", ["*"], "routes[0].hosts[0]: must be a host name in lower case"),
        ("routes.0.methods", ["get"], "routes[0].methods[0]: must be a method in capitals"),
        ("routes.0.hash_on", 3, "routes[0].hash_on: must be client, path, {header: name} or {query: name}"),
        ("routes.0.hash_on", "ip", "routes[0].hash_on: must be one of client, path"),
        ("routes.0.hash_on", {"header": "a b"}, "routes[0].hash_on.header: must be the name of a header"),
        (
            "routes.0.hash_on",
            {"headers": "a"},
            "routes[0].hash_on.headers: unknown field; did you mean header?",
        ),
        (
            "routes.0.retries",
            {"retry_on": ["ok"]},
            "routes[0].retries.retry_on[0]: must be one of refused, busy",
        ),
        (
            "routes.0.priority",
            "hihg",
            "routes[0].priority: must be one of high, normal, low; did you mean high?",
        ),
        (
            "upstreams.sales.concurrency",
            {"max_limit": 8},
            "upstreams.sales.concurrency: initial_limit must lie between min_limit and max_limit",
        ),
        ("upstreams.sales.concurrency", True, "sales.concurrency: must be a mapping, or false for none"),
        ("routes.0.hedging", True, "routes[0].hedging: must be a mapping, or false for none"),
        ("routes.0.hedging", {"percentil": 9}, "hedging.percentil: unknown field; did you mean percentile?"),
        ("upstreams.sales.hedging", {"percentile": 100}, "sales.hedging.percentile: must be less than 100"),
        ("routes.0.policy", "round-robin", "did you mean round_robin?"),
        ("upstreams", {"A": {}}, "upstreams.A: must be a name"),
        ("upstreams.sales.replicas", [], "upstreams.sales.replicas: must have at least one replica"),
        ("upstreams.sales.replicas", "c:1", "upstreams.sales.replicas: must be a list of replicas, {dns: …}"),
        ("upstreams.sales.replicas", {}, "upstreams.sales.replicas: must be a list of replicas, {dns: …}"),
        ("upstreams.sales.replicas.0.port", 70000, "replicas[0].port: must be less than or equal to 65535"),
        ("upstreams.sales.replicas.0.host", "a b", "upstreams.sales.replicas[0].host: must be a host name"),
        ("upstreams.sales.replicas.0.weight", 0, "replicas[0].weight: must be greater than or equal to 1"),
        ("upstreams.sales.replicas.0.wight", 2, "replicas[0].wight: unknown field; did you mean weight?"),
        ("upstreams.sales.replicas", {"dns": {"name": "x"}}, "upstreams.sales.replicas.dns: port is missing"),
        (
            "upstreams.sales.replicas",
            {"dns": {"name": "x", "port": 1, "type": "SRV"}},
            "upstreams.sales.replicas.dns: port is not taken",
        ),
        (
            "upstreams.sales.replicas",
            {"dns": {"name": "x", "port": 1, "every": 3}},
            "upstreams.sales.replicas.dns.every: unknown field; did you mean every_s?",
        ),
        (
            "upstreams.sales.replicas",
            {"dns": {"name": "x", "port": 1, "nameserver": "::1"}},
            "upstreams.sales.replicas.dns.nameserver: must be an IP address and a port",
        ),
        (
            "upstreams.sales.health",
            {"interval_s": 0},
            "upstreams.sales.health.interval_s: must be greater than 0",
        ),
        ("upstreams.sales.health", {"interval_s": float("nan")}, "interval_s: must be a finite number"),
        (
            "upstreams.sales.health",
            {"interval": 1},
            "health.interval: unknown field; did you mean interval_s?",
        ),
    ],
)
def test_mistakes_in_one_field(path: str, value: Any, complaint: str) -> None:
    assert any(complaint in told for told in complaints({path: value}))


def test_one_mistake_is_told_once() -> None:
    assert len(complaints({"upstreams.sales.replicas.0.port": 0})) == 1
    assert len(complaints({"routes.0.policy": "none"})) == 1
    assert len(complaints({"upstreams.sales.replicas": {"dns": {"name": "x"}}})) == 1


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        (
            {"routes.0.upstream": "customer"},
            "routes[0].upstream: there is no upstream customer; did you mean customers?",
        ),
        ({"routes.1.name": "accounts"}, "routes[1].name: routes[0] is called accounts already"),
        (
            {"routes.1.prefix": "/v1/accounts"},
            "routes[1].prefix: routes[0] takes all methods under /v1/accounts already",
        ),
        (
            {
                "routes.0.hosts": ["a.org", "b.org"],
                "routes.1.hosts": ["b.org"],
                "routes.1.prefix": "/v1/accounts",
            },
            "routes[1].prefix: routes[0] takes all methods under /v1/accounts of b.org already",
        ),
        (
            {
                "routes.0.methods": ["GET", "POST"],
                "routes.1.methods": ["POST"],
                "routes.1.prefix": "/v1/accounts",
            },
            "routes[1].prefix: routes[0] takes POST under /v1/accounts already",
        ),
        (
            {"routes.0.hash_on": "path"},
            "routes[0].hash_on: only consistent_hash hashes, and the policy here is adaptive",
        ),
        (
            {"routes.0.cache": {"visibility": "everyone"}},
            "routes[0].cache.visibility: who asks may matter here: everyone is for public routes",
        ),
        (
            {"routes.0.cache": {}, "routes.0.public": True},
            "routes[0].cache.visibility: nobody says who he is here: it can only be everyone, and is scopes",
        ),
        (
            {"routes.0.cache": {"visibility": "tenant"}, "auth": {"mode": "none"}},
            "routes[0].cache.visibility: nobody says who he is here: it can only be everyone, and is tenant",
        ),
        (
            {"upstreams.sales.replicas": [{"host": "a", "port": 1}] * 2},
            "upstreams.sales.replicas[1]: has the address of replicas[0]",
        ),
    ],
)
def test_contradictions(changes: dict[str, Any], complaint: str) -> None:
    assert complaints(changes) == [complaint]


@pytest.mark.parametrize(
    "changes",
    [
        {"routes.1.prefix": "/v1/accounts", "routes.1.hosts": ["a.org"]},
        {"routes.1.prefix": "/v1/accounts", "routes.1.methods": ["GET"]},
        {"routes.1.prefix": "/v1/accounts", "routes.1.hosts": ["a.org"], "routes.0.hosts": ["*.a.org"]},
        {"routes.0.policy": "consistent_hash", "routes.0.hash_on": "path"},
        {"upstreams.customers.policy": "consistent_hash", "routes.0.hash_on": "path"},
        {"routes.0.cache": {"visibility": "principal"}},
        {"routes.0.cache": {"visibility": "everyone"}, "routes.0.public": True},
        {"routes.0.cache": {"visibility": "everyone"}, "auth": {"mode": "none"}},
    ],
)
def test_no_contradictions(changes: dict[str, Any]) -> None:
    config.parse(changed(changes))


def test_all_at_once_with_file_line_and_column(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(
        """\
routes:
  - {name: a, prefix: /a, upstream: nowhere}
  - {name: a, prefix: /a, upstream: customers, timeout_s: 1_0}
  - {name: a, prefix: /a, upstream: broken}
upstreams:
  customers:
    replicas: [{host: a, port: 1}]
    health:
      interval_s: 0
      path: /ok
      path: /readyz
  broken: {}
limit: {}
"""
    )
    with pytest.raises(DocumentError) as caught:
        config.load(file)
    assert str(caught.value).splitlines() == [
        f"{file}:2:27: routes[0].upstream: there is no upstream nowhere",
        f"{file}:3:59: routes[1].timeout_s: 1_0 is a number in YAML 1.1 and text in YAML 1.2: "
        "write it plainly, or put it in quotes",
        f"{file}:4:6: routes[2].name: routes[0] is called a already",
        f"{file}:4:15: routes[2].prefix: routes[0] takes all methods under /a already",
        f"{file}:9:7: upstreams.customers.health.interval_s: must be greater than 0",
        f"{file}:11:7: upstreams.customers.health.path: appears twice, first in line 10",
        f"{file}:12:3: upstreams.broken.replicas: is missing",
        f"{file}:13:1: limit: unknown field; did you mean limits?",
    ]


words = st.sampled_from(
    ["routes", "upstreams", "replicas", "name", "prefix", "hosts", "hash_on", "a", "/a", "dns"]
)
things = st.recursive(
    words | st.integers(-1, 9) | st.booleans() | st.none() | st.floats(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=4),
    max_leaves=12,
)


@given(
    things,
    st.sampled_from(["routes", "routes.0", "routes.1.hosts", "upstreams", "upstreams.sales", "limits"]),
)
def test_whatever_it_says_it_is_taken_or_refused(thing: Any, path: str) -> None:
    try:
        made = config.parse(changed({path: thing}))
    except DocumentError as error:
        assert error.complaints  # noqa: PT017 - either is fine, anything else is not
    else:
        assert len(made.routes) <= 3


@pytest.mark.parametrize("text", ["", "[]", "3", "routes: [", "routes: 3\nupstreams: 3", "{routes: [3, []]}"])
def test_no_document_at_all(text: str) -> None:
    with pytest.raises(DocumentError):
        config.parse(text)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match=r"nowhere\.yaml"):
        config.load(tmp_path / "nowhere.yaml")
