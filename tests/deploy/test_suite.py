"""The whole one-machine deployment with fake services, as a process."""

import json
import os
import signal
from pathlib import Path

import pytest

from deploy.local.postgres_cluster import processes_in
from tests.deploy.suite_process import eventually, processes_of, running_suite

pytestmark = pytest.mark.process


def _cluster(data: Path) -> Path:
    return data.resolve() / "postgres" / "cluster"


def _postmaster(data: Path) -> int:
    """Its process id; 0 while the file is there but not written yet."""
    written = (_cluster(data) / "postmaster.pid").read_text().split()
    return int(written[0]) if written else 0


def test_life_of_a_suite(open_directory: Path, tmp_path: Path) -> None:
    data, state = open_directory / "data", open_directory / "state"
    with running_suite(data, state) as suite:
        suite.wait_up()
        # One replica of each service is enough to be up; the second follows.
        eventually(lambda: len(suite.started("customers")) == 2, "the second replica")
        assert suite.started("gateway") == [int(suite.get("/pid"))]

        # A second supervisor on the same data is turned away and changes nothing.
        with running_suite(data, tmp_path) as second:
            status, _, errors = second.finish()
            assert status == 1
            assert f"already runs on {data} (process {suite.pid})" in errors
            assert len(errors.splitlines()) == 1
            second.data = open_directory / "nobody's"  # nothing of this one may be looked for at the end

        # A process killed comes back, on its port.
        gateway = suite.started("gateway")[0]
        os.kill(gateway, signal.SIGKILL)
        eventually(lambda: len(suite.started("gateway")) == 2, "the gateway to be started again")

        postmaster = _postmaster(data)
        os.kill(postmaster, signal.SIGKILL)
        eventually(
            lambda: (_cluster(data) / "postmaster.pid").exists() and _postmaster(data) != postmaster,
            "PostgreSQL to come back",
        )

        suite.signal(signal.SIGINT)
        status, output, errors = suite.finish()
        assert (status, errors) == (0, "")
        assert "The demo workspace is filled: 100 records." in output
        assert "postgres: killed by SIGKILL; starting it again" in output
        assert "received fast shutdown request" in output
        assert output.rstrip().endswith("database system is shut down")
        assert not processes_of(data)

    # The second run migrates nothing and prints the same key.
    key = json.loads((data / "secrets" / "demo.json").read_text())["api_key"]
    with running_suite(data, state) as suite:
        suite.wait_up()
        assert len(suite.started("sales-migrate")) == 1
        suite.signal(signal.SIGTERM)
        status, output, _ = suite.finish()
        assert status == 0
        assert key in output
        assert "demo workspace" not in output


def test_killed_supervisor_leaves_no_orphan(used_data: Path, tmp_path: Path) -> None:
    data, state = used_data, tmp_path
    with running_suite(data, state) as suite:
        suite.wait_up()
        assert len(processes_in(_cluster(data))) > 1
        eventually(lambda: suite.started("tickets-worker"), "the workers")
        assert len(processes_of(data)) > 10
        suite.signal(signal.SIGKILL)
        eventually(lambda: not processes_of(data), "all processes to go")
    # And what it left behind stands in nobody's way.
    with running_suite(data, state) as suite:
        suite.wait_up()


def test_stubborn_processes_are_killed_in_the_end(used_data: Path, tmp_path: Path) -> None:
    data, state = used_data, tmp_path
    for name in ("customers", "gateway", "sales-worker"):
        (state / f"{name}.stubborn").touch()
    with running_suite(data, state) as suite:
        suite.wait_up()
        eventually(lambda: suite.started("sales-worker"), "the workers")
        suite.signal(signal.SIGINT)
        status, _, errors = suite.finish()
        assert (status, errors) == (0, "")
        assert not processes_of(data)


def test_two_suites_at_once(used_data: Path, open_directory: Path, tmp_path: Path) -> None:
    with (
        running_suite(used_data, tmp_path / "one") as one,
        running_suite(open_directory / "data", tmp_path / "two") as two,
    ):
        one.wait_up()
        two.wait_up()
        assert one.get("/pid") != two.get("/pid")


@pytest.mark.parametrize("name", ["customers", "gateway"])
def test_what_does_not_start_is_told_with_its_last_words(used_data: Path, tmp_path: Path, name: str) -> None:
    data = used_data
    (tmp_path / f"{name}.fail").touch()
    with running_suite(data, tmp_path) as suite:
        status, _, errors = suite.finish()
        assert status == 1
        assert len(errors.splitlines()) == 1
        assert f"{name} was told to fail" in errors
        assert not processes_of(data)


def test_a_failing_worker_does_not_stop_the_suite(used_data: Path, tmp_path: Path) -> None:
    (tmp_path / "sales-worker.fail").touch()
    with running_suite(used_data, tmp_path) as suite:
        suite.wait_up()
        eventually(lambda: len(suite.started("sales-worker")) > 2, "further attempts")
        assert suite.get("/pid")


def test_a_failing_generator_does_not_stop_the_suite(used_data: Path, tmp_path: Path) -> None:
    (used_data / "postgres" / "progress" / "demo").unlink(missing_ok=True)
    with running_suite(used_data, tmp_path, FAKE_GENERATOR="tests.deploy.conftest") as suite:
        suite.wait_up()
        suite.signal(signal.SIGINT)
        _, output, _ = suite.finish()
        assert "Filling the demo workspace ended with status 1: the next start tries again." in output
        assert "AttributeError" in output


def test_a_failing_migration_is_told_and_tried_again(used_data: Path, tmp_path: Path) -> None:
    told_to_fail = tmp_path / "tickets-migrate.fail"
    told_to_fail.touch()
    with running_suite(used_data, tmp_path, "--migrate-only") as suite:
        status, _, errors = suite.finish()
        assert status == 1
        assert "The migration of tickets ended with status 1" in errors
        assert "was told to fail" in errors
    told_to_fail.unlink()
    with running_suite(used_data, tmp_path, "--migrate-only") as suite:
        assert suite.finish()[0] == 0


def test_migrate_only_serves_nothing(used_data: Path, tmp_path: Path) -> None:
    with running_suite(used_data, tmp_path, "--migrate-only") as suite:
        status, output, errors = suite.finish()
        assert (status, errors) == (0, "")
        assert "newest schema" in output
        assert len(suite.started("sales-migrate")) == 1
        assert not suite.started("gateway")


def test_json_logs_are_json(used_data: Path, tmp_path: Path) -> None:
    with running_suite(used_data, tmp_path, "--json-logs") as suite:
        eventually(lambda: suite.started("tickets-worker"), "the workers")
        suite.signal(signal.SIGINT)
        _, output, _ = suite.finish()
        documents = [json.loads(line) for line in output.splitlines()]
        assert any(document.get("url") == f"http://127.0.0.1:{suite.port}" for document in documents)
        assert "kontor_" not in output.replace("kontor_admin", "")
