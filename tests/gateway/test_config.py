"""The document: its example is valid, and each mistake is named by its field."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from services.gateway import config
from services.gateway.documents import DocumentError
from services.gateway.limits.token_bucket import Rate

EXAMPLE = Path(config.__file__).with_name("example.yaml")


def test_the_example_and_its_defaults() -> None:
    snapshot = config.load(EXAMPLE)
    route = snapshot.routes.match(b"/docs/customers")
    assert route is not None
    assert (route.public, route.rewrite, route.timeout_s) == (True, "/docs", 30)
    customers = snapshot.upstreams["customers"]
    assert [replica.weight for replica in customers.replicas] == [1, 2]
    assert customers.audience == "customers"
    assert snapshot.rate == Rate(2000, 4000)


def test_what_the_example_calls_defaults_are_the_defaults() -> None:
    """Every commented line of the form `# name: value` is taken in and must change nothing."""
    text = EXAMPLE.read_text()
    for line in text.splitlines():
        bare = line.replace("# ", "", 1) if line.strip().startswith("# ") else line
        name = bare.partition("#")[0].strip()
        if bare != line and name.partition(":")[0] in _DEFAULTED and name.count(":") == 1:
            text = text.replace(line, bare)
    assert yaml.safe_load(text) != yaml.safe_load(EXAMPLE.read_text())
    with_defaults, without = config.parse(text), config.load(EXAMPLE)
    assert list(with_defaults.routes) == list(without.routes)
    assert with_defaults.upstreams == without.upstreams
    assert (with_defaults.limits, with_defaults.rate) == (without.limits, without.rate)


_DEFAULTED = {
    *("public", "timeout_s", "audience", "health", "path", "interval_s", "healthy_after", "unhealthy_after"),
    *("limits", "max_header_bytes", "max_body_bytes", "rate_limit", "per_second", "burst"),
}


def changed(path: str, value: Any) -> str:
    """The example with one value set; `path` is dotted, numbers index lists."""
    document = yaml.safe_load(EXAMPLE.read_text())
    *parents, last = path.split(".")
    place = document
    for part in parents:
        place = place[int(part) if part.isdigit() else part]
    place[int(last) if last.isdigit() else last] = value
    return yaml.safe_dump(document)


@pytest.mark.parametrize(
    ("path", "value", "complaint"),
    [
        ("routes.0.upstream", "nobody", "routes[0].upstream: there is no upstream 'nobody'"),
        ("routes.0.prefix", "v1", "routes[0].prefix"),
        ("routes.0.prefix", "/v1/", "routes[0].prefix"),
        ("routes.0.prefix", "/v1/deals", "routes: the prefix '/v1/deals' appears 2 times"),
        ("routes.0.name", "deals", "routes: the name 'deals' appears 2 times"),
        ("routes.1.timeout_s", 0, "routes[1].timeout_s"),
        ("routes.1.colour", "red", "routes[1].colour"),
        ("routes", None, "routes"),
        ("upstreams.sales.replicas", [], "upstreams.sales.replicas"),
        ("upstreams.sales.replicas.0.port", 70000, "upstreams.sales.replicas[0].port"),
        ("upstreams.sales.replicas.0.host", "a b", "upstreams.sales.replicas[0].host"),
        ("upstreams.sales.replicas", [{"host": "a", "port": 1}] * 2, "upstreams.sales"),
        ("upstreams.sales.health", {"interval_s": float("nan")}, "upstreams.sales.health.interval_s"),
        ("rate_limit", {"burst": 0}, "rate_limit.burst"),
        ("limits", {"max_header_bytes": 1}, "limits.max_header_bytes"),
    ],
)
def test_mistakes_name_the_field(path: str, value: Any, complaint: str) -> None:
    with pytest.raises(DocumentError) as caught:
        config.parse(changed(path, value))
    assert complaint in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "routes: [", "a: b: c", "!!python/object:os.system {}"])
def test_no_document_at_all(text: str) -> None:
    with pytest.raises(DocumentError):
        config.parse(text)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match=r"nowhere\.yaml"):
        config.load(tmp_path / "nowhere.yaml")
