"""The section `shared_cache`."""

from pathlib import Path

import pytest

from services.gateway import config
from services.gateway.caching.second.rule import SecondLevelRule, ServersRule
from tests.gateway.config.test_document import PLAIN, changed, complaints, snapshot

SERVERS = [{"host": "127.0.0.1"}, {"host": "[::1]", "port": 7}]


def test_without_the_section_there_is_no_second_level() -> None:
    assert snapshot().shared_cache is None


def test_what_is_not_said_of_it() -> None:
    addresses = (("127.0.0.1", 6379), ("::1", 7))
    assert snapshot(shared_cache={"servers": SERVERS}).shared_cache == SecondLevelRule(ServersRule(addresses))


def test_files_are_looked_for_beside_the_document(tmp_path: Path) -> None:
    section = {"servers": SERVERS, "password_file": "secret", "ca_file": "/etc/ca.pem", "tls": True}
    path = tmp_path / "gateway.yaml"
    path.write_text(changed({"shared_cache": section}))
    made = config.load(path).shared_cache
    assert made is not None
    assert (made.servers.password_file, made.servers.ca_file) == (tmp_path / "secret", Path("/etc/ca.pem"))


@pytest.mark.parametrize(
    ("section", "complaint"),
    [
        ({"servers": []}, "shared_cache.servers: must have at least one server"),
        ({}, "shared_cache.servers: is missing"),
        ({"servers": SERVERS, "prefix": "a b"}, "shared_cache.prefix: must be a name"),
        ({"servers": SERVERS, "timeout_s": 0}, "shared_cache.timeout_s: must be greater"),
        (
            {"servers": SERVERS, "cluster": True, "database": 1},
            "shared_cache.database: a cluster has only 0",
        ),
    ],
)
def test_mistakes_are_named(section: object, complaint: str) -> None:
    [told] = complaints({"shared_cache": section})
    assert told.startswith(complaint)


def test_a_route_shares_what_it_keeps_unless_told_otherwise() -> None:
    assert PLAIN["routes"][1]["name"] == "deals"
    made = config.parse(changed({"routes.0.cache": {}, "routes.1.cache": {"shared": False}}))
    assert [route.cache.shared for route in made.routes if route.cache is not None] == [True, False]
