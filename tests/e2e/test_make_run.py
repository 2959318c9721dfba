"""What `make run` starts: the real services behind the real gateway on a real PostgreSQL."""

import json
import os
import re
import signal
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.suite_process import SuiteProcess, eventually, processes_of

pytestmark = pytest.mark.process

_LISTS = ["accounts", "contacts", "pipelines", "products", "sales-reps", "deals", "tickets"]


def _key(suite: SuiteProcess) -> str:
    return str(json.loads((suite.data / "secrets" / "demo.json").read_text())["api_key"])


def _ask(suite: SuiteProcess, path: str, **headers: str) -> tuple[int, str]:
    request = urllib.request.Request(f"http://127.0.0.1:{suite.port}{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - always http
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


@pytest.mark.parametrize("resource", _LISTS)
def test_every_list_answers_through_the_gateway(suite: SuiteProcess, resource: str) -> None:
    status, body = _ask(suite, f"/v1/{resource}?limit=3", Authorization=f"Bearer {_key(suite)}")
    answer: dict[str, Any] = json.loads(body)
    assert (status, type(answer["data"])) == (200, list)
    assert _ask(suite, f"/v1/{resource}")[0] == 401


def test_the_admin_api_is_where_it_is_said_to_be(suite: SuiteProcess) -> None:
    found = re.search(r"Admin +(\S+)/  with the key in (\S+)", suite.output())
    assert found is not None
    headers = {"Authorization": f"Bearer {Path(found[2]).read_text().strip()}"}
    request = urllib.request.Request(f"{found[1]}/upstreams", headers=headers)  # noqa: S310 - always http
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - as above
        upstreams = json.loads(answer.read())
    assert [(one["name"], len(one["replicas"])) for one in upstreams] == [
        ("customers", 2),
        ("sales", 2),
        ("tickets", 2),
    ]


def test_the_gateway_is_ready(suite: SuiteProcess) -> None:
    assert _ask(suite, "/readyz")[0] == 200


@pytest.mark.parametrize("service", ["customers", "sales", "tickets"])
def test_the_documentation_is_where_it_is_said_to_be(suite: SuiteProcess, service: str) -> None:
    assert _ask(suite, f"/docs/{service}")[0] == 200
    status, document = _ask(suite, f"/openapi/{service}.json")
    assert (status, json.loads(document)["openapi"][:3]) == (200, "3.1")


def test_the_requests_that_are_printed_work(suite: SuiteProcess) -> None:
    output = suite.output()
    requests = re.findall(r"curl .*?Bearer (\S+)' '(\S+)'", output)
    assert len(requests) == 3
    for key, url in requests:
        path = url.removeprefix(f"http://127.0.0.1:{suite.port}")
        assert _ask(suite, path, Authorization=f"Bearer {key}")[0] == 200, path


def test_a_killed_replica_is_not_noticed_and_comes_back(suite: SuiteProcess) -> None:
    replicas = _replicas(suite, "customers-1")
    (killed,) = replicas
    os.kill(killed, signal.SIGKILL)
    for _ in range(20):
        assert _ask(suite, "/v1/accounts", Authorization=f"Bearer {_key(suite)}")[0] == 200
    eventually(lambda: _replicas(suite, "customers-1") - {killed}, "another customers-1")


def _replicas(suite: SuiteProcess, instance: str) -> set[int]:
    found = set()
    for pid in processes_of(suite.data):
        environment = Path("/proc", str(pid), "environ").read_bytes().split(b"\0")
        if f"CUSTOMERS_INSTANCE={instance}".encode() in environment:
            found.add(pid)
    return found
