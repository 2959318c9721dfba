"""The section `rate_limit`, as far as several gateways hold a limit together."""

from pathlib import Path

import pytest

from services.gateway import config
from services.gateway.caching.second.rule import ServersRule
from services.gateway.limits.common_rule import CommonRule
from tests.gateway.config.test_document import changed, complaints, snapshot

SERVERS = [{"host": "127.0.0.1"}, {"host": "[::1]", "port": 7}]


def test_without_the_section_each_gateway_limits_by_itself() -> None:
    assert snapshot().common_limit is None
    assert snapshot(rate_limit={"burst": 3}).common_limit is None


def test_what_is_not_said_of_it() -> None:
    servers = ServersRule((("127.0.0.1", 6379), ("::1", 7)), timeout_s=0.25)
    assert snapshot(rate_limit={"shared": {"servers": SERVERS}}).common_limit == CommonRule(servers)


def test_what_is_said_of_it() -> None:
    section = {"servers": SERVERS, "prefix": "crm", "interval_s": 0.25, "cluster": True, "timeout_s": 2}
    made = snapshot(rate_limit={"shared": section}).common_limit
    assert made is not None
    assert (made.prefix, made.interval_ns) == ("crm", 250_000_000)
    assert (made.servers.cluster, made.servers.timeout_s) == (True, 2)


def test_files_are_looked_for_beside_the_document(tmp_path: Path) -> None:
    section = {"servers": SERVERS, "password_file": "secret", "ca_file": "/etc/ca.pem", "tls": True}
    path = tmp_path / "gateway.yaml"
    path.write_text(changed({"rate_limit": {"shared": section}}))
    made = config.load(path).common_limit
    assert made is not None
    assert (made.servers.password_file, made.servers.ca_file) == (tmp_path / "secret", Path("/etc/ca.pem"))


@pytest.mark.parametrize(
    ("section", "complaint"),
    [
        ({"servers": []}, "rate_limit.shared.servers: must have at least one server"),
        ({}, "rate_limit.shared.servers: is missing"),
        ({"servers": [{"host": "a", "port": 0}]}, "rate_limit.shared.servers[0].port: must be greater"),
        ({"servers": SERVERS, "interval_s": 0}, "rate_limit.shared.interval_s: must be greater"),
        ({"servers": SERVERS, "prefix": "a b"}, "rate_limit.shared.prefix: must be a name"),
        ({"servers": SERVERS, "intervall_s": 1}, "rate_limit.shared.intervall_s: "),
        (
            {"servers": SERVERS, "cluster": True, "database": 1},
            "rate_limit.shared.database: a cluster has only 0",
        ),
    ],
)
def test_mistakes_are_named(section: object, complaint: str) -> None:
    [told] = complaints({"rate_limit": {"shared": section}})
    assert told.startswith(complaint)
