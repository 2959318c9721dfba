"""`kontor capacity`: from a file, from metrics and from a load of its own."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from typer.testing import CliRunner, Result

from cli.capacity_report import report
from cli.load_points import LoadPoint, read_points, series_of
from cli.main import app
from shared.telemetry.capacity import ScalabilityLaw, fit
from tests.cli.expositions import Exposition
from tests.cli.fake_gateway import KEY, gateway

LAW = ScalabilityLaw(1_000, 0.05, 0.002)


def capacity(*arguments: str | Path) -> Result:
    return CliRunner(env={"KONTOR_API_KEY": "", "KONTOR_ADMIN_URL": "", "KONTOR_ADMIN_KEY_FILE": ""}).invoke(
        app, ["capacity", *map(str, arguments)]
    )


def by_replicas(law: ScalabilityLaw = LAW, most: int = 24) -> list[LoadPoint]:
    return [LoadPoint(n, None, law.throughput(n)) for n in range(1, most + 1)]


def by_concurrency(replicas: int | None) -> list[LoadPoint]:
    return [LoadPoint(replicas, n, LAW.throughput(n)) for n in (1, 2, 4, 8, 16, 32)]


def told(measured: list[LoadPoint], target: float | None) -> list[str]:
    series = series_of(measured)
    return list(report(series, fit(series.points), target))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "points.csv"
    rows = [f"{n},{throughput}" for n, _, throughput in by_replicas()]
    file.write_text("\n".join(["replicas,throughput", *rows]) + "\n")
    return file


def test_the_report(file: Path) -> None:
    result = capacity(file, "--target", "5000")
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["replicas", "measured", "fitted", "ideal", "requests/s"]
    assert lines[2].split() == ["2", f"{LAW.throughput(2):,.1f}", f"{LAW.throughput(2):,.1f}", "2,000.0"]
    needed = next(n for n in range(1, 50) if LAW.throughput(n) >= 5_000)
    assert f"5,000 requests/s need {needed} replicas; on the ideal line 5 would do." in lines
    assert "  peak   7,397.7 requests/s at N = 21.79" in lines
    assert "  fit    R2 = 1.0000 of 24 points" in lines


def test_out_of_reach(file: Path) -> None:
    result = capacity(file, "--target", "10000")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == (
        "10,000 requests/s are not reachable with any number of replicas: the law peaks at 7,397.7 with N = 21.79;"
        " on the ideal line 10 would do."
    )


def test_below_an_asymptote_and_on_the_ideal_line() -> None:
    level = told(by_replicas(ScalabilityLaw(1_000, 0.1, 0)), 10_000)
    assert "  peak   none: it approaches 10,000.0 requests/s and never falls" in level
    ideal = told(by_replicas(ScalabilityLaw(1_000, 0, 0)), 5_000)
    assert "  peak   none: it grows without end, as the ideal line does" in ideal
    assert ideal[-1] == "5,000 requests/s need 5 replicas; on the ideal line 5 would do."


def test_an_answer_far_beyond_what_was_measured() -> None:
    lines = told(by_replicas(most=6), 7_000)
    assert any(line.startswith("  ! That is far beyond the largest N measured, 6") for line in lines)
    assert any(line.startswith("  ! The peak at N = 21.79 lies beyond") for line in lines)


def test_an_answer_that_hangs_on_single_points() -> None:
    measured = [
        point._replace(throughput=point.throughput * (1.04 if point.replicas == 8 else 1))
        for point in by_replicas(most=8)
    ]
    (line,) = (line for line in told(measured, 6_500) if "When a part of the points is left out" in line)
    assert "to" in line or "not reachable" in line


def test_concurrency_says_how_much_so_many_replicas_serve() -> None:
    lines = told(by_concurrency(replicas=3), 20_000)
    assert lines[0].split()[0] == "concurrency"
    assert "20,000 requests/s are not reachable with any number of requests under way" in "\n".join(lines)
    each = LAW.peak_throughput / 3
    count = -(-20_000 // each)
    assert f"  By S = N x C at least {count:.0f} replicas, with C = {each:,.1f} requests/s each" in "\n".join(
        lines
    )
    assert "at least 3 such systems" in "\n".join(told(by_concurrency(replicas=None), 20_000))


def test_many_points_are_not_all_printed() -> None:
    lines = told([LoadPoint(None, 1 + n / 4, LAW.throughput(1 + n / 4)) for n in range(60)], None)
    assert any("and 20 points more, up to N = 15.75" in line for line in lines)
    assert not any("requests/s need" in line for line in lines)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "Say where the points come from"),
        (("--metrics", "--load", "http://127.0.0.1/"), "Say where the points come from"),
        (("--metrics",), "--metrics needs --admin-url and --admin-key-file"),
        (("--load", "http://example.org/"), "A load is only put on this machine"),
        (("--load", "http://127.0.0.1/", "--steps", "1,two"), "--steps are whole numbers"),
        (("--load", "http://127.0.0.1/", "--steps", "1,2"), "three different steps"),
    ],
)
def test_mistakes(arguments: tuple[str, ...], words: str) -> None:
    result = capacity(*arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    assert words in result.stderr


def test_too_few_points(tmp_path: Path) -> None:
    file = tmp_path / "few.csv"
    file.write_text("replicas,throughput\n1,950\n2,1800\n")
    result = capacity(file)
    assert (result.exit_code, result.stderr) == (
        1,
        "The law has three parameters and needs 3 different N; there are 2.\n",
    )


def test_from_metrics(tmp_path: Path) -> None:
    key_file, saved = tmp_path / "admin.key", tmp_path / "saved.csv"
    key_file.write_text(KEY)
    texts, count, total_s = [], 0, 0.0
    for n in range(8):
        texts.append(
            str(Exposition().requests((count,) * 4, total_s, route="/a", http_response_status_code=200))
        )
        # What is served in a window with 2 ** n under way; how long it is does not matter to the shape.
        count += round(LAW.throughput(2**n))
        total_s += 2.0**n
    with gateway(texts) as url:
        admin = ("--admin-url", url, "--admin-key-file", key_file)
        result = capacity(
            "--metrics", *admin, "--for", "3", "--every", "0.2", "--save", saved, "--replicas", "2"
        )
    assert result.exit_code == 0, result.stderr
    assert " windows a request or more was under way on average." in result.stderr
    assert result.stdout.splitlines()[0].split()[0] == "concurrency"
    points = read_points(saved)
    assert len(points) >= 3
    assert {point.replicas for point in points} == {2}


def test_from_metrics_without_any_load(tmp_path: Path) -> None:
    key_file = tmp_path / "admin.key"
    key_file.write_text(KEY)
    with gateway([""]) as url:
        admin = ("--admin-url", url, "--admin-key-file", key_file)
        result = capacity("--metrics", *admin, "--for", "1", "--every", "1", "--upstream", "sales")
    assert result.exit_code == 1
    assert "There is nothing to fit for the upstream sales: measure while there is load" in result.stderr


def test_from_a_load(tmp_path: Path) -> None:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(200 if self.headers["Authorization"] == "Bearer k" else 401)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    saved = tmp_path / "saved.csv"
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            url = f"http://127.0.0.1:{server.server_address[1]}/"
            arguments = ("--load", url, "--steps", "1,2,4", "--seconds", "0.4", "--save", saved)
            result = capacity(*arguments, "--key", "k")
            refused = capacity(*arguments, "--key", "wrong")
        finally:
            server.shutdown()
            thread.join()
    assert result.exit_code == 0, result.stderr
    assert [line.split(":")[0] for line in result.stderr.splitlines() if line.startswith("N")] == [
        "N = 1",
        "N = 2",
        "N = 4",
    ]
    assert [point.concurrency for point in read_points(saved)] == [1, 2, 4]
    assert refused.exit_code == 1
    assert "x 401 (give an API key: --key or KONTOR_API_KEY)" in refused.stderr
