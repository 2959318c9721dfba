"""`kontor gateway check`: its three answers, from a file and from the standard input."""

import socket
import subprocess
import sys
from pathlib import Path
from typing import Never

import pytest
from typer.testing import CliRunner, Result

from cli.main import app

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "services" / "gateway" / "example.yaml"
GOOD = """\
routes:
  - {name: a, prefix: /a, upstream: a}
upstreams:
  a: {replicas: [{host: a, port: 1}]}
  b: {replicas: {file: replicas.yaml}}
  c: {replicas: {dns: {name: c.internal, type: SRV, every_s: 30}}}
"""


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **named: object) -> Never:
        raise AssertionError("it connects to nothing")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "gateway.yaml"
    file.write_text(GOOD)
    return file


def check(file: Path | str, text: str = "") -> Result:
    return CliRunner().invoke(app, ["gateway", "check", str(file)], input=text)


def test_a_document_in_order(file: Path) -> None:
    replicas = file.with_name("replicas.yaml")
    result = check(file)
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "ok: 1 route, 3 upstreams, 1 replica known beforehand",
        "  a: 1 replica",
        f"  b: {replicas}: No such file or directory (looked for every 1 s)",
        "  c: SRV records of c.internal, asked for every 30 s",
    ]
    replicas.write_text("[{host: b, port: 1}, {host: b, port: 2}]")
    lines = check(file).stdout.splitlines()
    assert lines[0] == "ok: 1 route, 3 upstreams, 3 replicas known beforehand"
    assert lines[2] == f"  b: 2 replicas in {replicas}"


def test_every_mistake_has_a_line(file: Path) -> None:
    file.write_text(GOOD.replace("port: 1", "port: 0").replace("upstream: a", "upstream: x"))
    result = check(file)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.splitlines() == [
        f"{file}:2:27: routes[0].upstream: there is no upstream x",
        f"{file}:4:28: upstreams.a.replicas[0].port: must be greater than or equal to 1",
    ]


def test_mistakes_in_a_file_of_replicas(file: Path) -> None:
    replicas = file.with_name("replicas.yaml")
    replicas.write_text("[{host: b}]")
    result = check(file)
    assert (result.exit_code, result.stderr) == (1, f"{replicas}:1:2: [0].port: is missing\n")


def test_the_standard_input() -> None:
    assert check("-", GOOD).exit_code == 0
    result = check("-", "routes: []\nupstreams: {}\nx: 1")
    assert (result.exit_code, result.stderr.partition(";")[0]) == (1, "stdin:3:1: x: unknown field")


def test_what_cannot_be_read(tmp_path: Path) -> None:
    result = check(tmp_path / "nowhere.yaml")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"{tmp_path / 'nowhere.yaml'}: No such file or directory\n"
    assert check(tmp_path).exit_code == 2


def test_without_the_gateways_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cli.gateway_check", None)
    result = check("-", GOOD)
    assert result.exit_code == 2
    assert result.stderr.startswith("This command needs the gateway's packages, kontor[gateway]: ")


@pytest.mark.process
def test_the_real_command() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "cli", "gateway", "check", EXAMPLE],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("ok: 5 routes, 3 upstreams, 2 replicas")
