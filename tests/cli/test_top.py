"""`kontor top`: its table, in a pipe and in a terminal, and a gateway that comes and goes."""

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from signal import SIGINT
from subprocess import PIPE

import pytest
from typer.testing import CliRunner, Result

from cli.main import app
from cli.scraping import Window, scraped
from cli.top import table
from tests.cli.expositions import Exposition
from tests.cli.fake_gateway import KEY, gateway, replica
from tests.cli.test_tallies import AFTER, BEFORE, WINDOW

ROOT = Path(__file__).parents[2]


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    file = tmp_path / "admin.key"
    file.write_text(KEY)
    return file


def top(url: str, key_file: Path, *more: str) -> Result:
    return CliRunner().invoke(app, ["top", "--admin-url", url, "--admin-key-file", str(key_file), *more])


@contextmanager
def running(url: str, key_file: Path, output: int) -> Iterator[subprocess.Popen[bytes]]:
    """The command as a process of its own; ended with the block."""
    options = ["--admin-url", url, "--admin-key-file", str(key_file), "--every", "0.2"]
    process = subprocess.Popen(
        [sys.executable, "-m", "cli", "top", *options],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        env={**os.environ, "COLUMNS": "200", "LINES": "40"},
    )
    with process:
        try:
            yield process
        finally:
            process.terminate()


def row(lines: list[str], name: str) -> list[str]:
    (line,) = (line for line in lines if line.startswith(name))
    return line.split()


def test_the_table() -> None:
    lines = table(WINDOW, "http://127.0.0.1:9000/admin/")
    assert lines[0] == (
        "http://127.0.0.1:9000/admin/  the last 2.0 s: 75.0 requests/s, 6.67% errors; times in ms"
    )
    assert row(lines, "route")[1:] == (
        ["req/s", "errors", "p50", "p95", "mean", "=", "processing", "+", "network", "+", "system", "mostly"]
    )
    assert row(lines, "/v1/deals")[1:] == (
        ["25.0", "20.00%", "32.50", "100.00", "60.00", "=", "10.00", "+", "2.00", "+", "48.00", "system"]
    )
    assert row(lines, "/v1/accounts")[1:] == (
        ["50.0", "0.00%", "2.50", "4.75", "2.00", "=", "-", "+", "-", "+", "-", "-"]
    )
    assert row(lines, "customers")[1:3] == ["30.0", "0.00%"]
    columns = {len(line) for line in lines if line.startswith(("hop", "gateway", "customers"))}
    assert len(columns) == 1, "the columns stand below one another"


def test_gauges_of_hops() -> None:
    after = scraped(
        2,
        str(AFTER)
        + str(
            Exposition()
            .add("http_server_active_requests", 3, hop="gateway", instance="1")
            .add("http_server_active_requests", 4, hop="gateway", instance="2")
            .add("crm_event_loop_lag_seconds", 0.001, hop="gateway", instance="1")
            .add("crm_event_loop_lag_seconds", 0.0123, hop="gateway", instance="2")
            .add("crm_littles_law_ratio", 1.01, hop="gateway", instance="1")
            .add("crm_littles_law_ratio", 0.93, hop="gateway", instance="2")
        ),
    )
    lines = table(Window(scraped(0, str(BEFORE)), after), "x")
    assert row(lines, "gateway")[-3:] == ["7", "12.30", "0.93"]
    assert row(lines, "customers")[-3:] == ["-", "-", "-"]


def test_more_routes_than_lines() -> None:
    after = Exposition()
    for number in range(30):
        after.requests((1, 1, 1, 30 - number), 1.0, route=f"/v1/{number:02}/{'x' * 60}")
    window = Window(scraped(0, ""), scraped(1, str(after)))
    lines = table(window, "x", most_lines=12)
    assert len(lines) == 12
    assert "... and 25 more" in lines
    assert row(lines, "/v1/00")[0].endswith("...")
    assert len(table(window, "x")) > 30


def test_a_request_without_a_route_has_a_row() -> None:
    after = Exposition().requests((1, 1, 1, 1), 0.1, route="")
    assert row(table(Window(scraped(0, ""), scraped(1, str(after))), "x"), "(no route)")


def test_requests_that_did_not_come_through_the_gateway() -> None:
    after = Exposition().requests((1, 1, 1, 1), 0.1, route="/v1/deals", hop="sales")
    lines = table(Window(scraped(0, ""), scraped(1, str(after))), "x")
    assert lines[2] == "No request was answered by the gateway."
    assert row(lines, "sales")[1] == "1.0"


def test_nothing_to_do() -> None:
    lines = table(Window(scraped(0, str(AFTER)), scraped(2, str(AFTER))), "x")
    assert lines[0] == "x  the last 2.0 s: 0.0 requests/s, - errors; times in ms"
    assert lines[-1] == "No request was answered in this time."


def test_once(key_file: Path) -> None:
    with gateway([str(BEFORE), str(AFTER)]) as url:
        result = top(url, key_file, "--once", "--every", "0.2")
    assert (result.exit_code, result.stderr) == (0, "")
    assert row(result.stdout.splitlines(), "/v1/deals")[2:7] == ["20.00%", "32.50", "100.00", "60.00", "="]
    assert "\x1b" not in result.stdout


def test_hops_are_told_by_the_replicas(key_file: Path) -> None:
    def served(count: int) -> str:
        labels = {"route": "/v1/deals", "hop": "sales"}
        return str(
            Exposition()
            .requests((count,) * 4, count / 500, **labels, http_response_status_code=200)
            .terms(count, count / 1000, 0, count / 1000, **labels)
        )

    with replica([]) as closed:
        pass
    with (
        replica([served(100), served(200)]) as one,
        replica([served(0), served(300)]) as other,
        gateway([str(BEFORE), str(AFTER)], replicas=[one, other, closed]) as url,
    ):
        result = top(url, key_file, "--once", "--every", "0.2")
    lines = result.stdout.splitlines()
    assert row(lines, "sales")[4:12] == ["4.75", "2.00", "=", "1.00", "+", "0.00", "+", "1.00"]
    assert len([line for line in lines if line.startswith("/v1/deals")]) == 1, "routes are the gateway's"
    assert lines[-2].startswith(f"Without metrics of their own: {closed} (")


def test_a_wrong_key_is_told(tmp_path: Path) -> None:
    other = tmp_path / "other.key"
    other.write_text("wrong")
    with gateway([str(BEFORE)]) as url:
        result = top(url, other)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("Unauthorized: Send the key.")


def test_nobody_there(key_file: Path) -> None:
    with gateway([str(BEFORE)]) as url:
        pass
    result = top(url, key_file, "--once")
    assert result.exit_code == 1
    assert "does not answer" in result.stderr


@pytest.mark.process
def test_it_outlives_the_gateway_in_a_pipe(key_file: Path) -> None:
    before, after = str(BEFORE), str(AFTER)
    with gateway([before, after, None, None, before, after]) as url, running(url, key_file, PIPE) as process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.readline().startswith(url.encode())
        assert b"does not answer" in process.stderr.readline()
        assert process.stderr.readline() == b"The gateway is back; measuring.\n"
        process.stdout.readline()
        while not process.stdout.readline().startswith(b"/v1/deals"):
            assert process.poll() is None


@pytest.mark.process
def test_a_terminal_gets_its_screen_back(key_file: Path) -> None:
    ours, theirs = pty.openpty()
    with gateway([str(BEFORE), str(AFTER)]) as url, running(url, key_file, theirs) as process:
        os.close(theirs)
        seen = b""
        while b"/v1/deals" not in seen:
            seen += os.read(ours, 65_536)
        process.send_signal(SIGINT)
        # A terminal says by an error that nobody writes any more.
        with suppress(OSError):
            while data := os.read(ours, 65_536):
                seen += data
        assert process.wait() == 0
    os.close(ours)
    assert seen.startswith(b"\x1b[?1049h")
    assert seen.endswith(b"\x1b[?1049l")
