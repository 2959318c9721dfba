"""One PostgreSQL server of our own: made, started, watched and stopped, without any installed server.

As a library (tests use it so), blocking or not::

    with temporary_server() as server:                  # a throw-away, not durable, removed afterwards
        server.url("postgres")
    server = PostgresServer(directory, password=...)    # a lasting one
    server.start(); ...; server.stop()

The server listens on 127.0.0.1 only and asks everyone for a SCRAM password. It is a direct child of the
process that calls `start`, and the kernel stops it when that *thread* ends: start it from the main thread.
"""

import asyncio
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from deploy.local.children import Launch
from deploy.local.ports import free_port
from deploy.local.postgres_binaries import (
    Binaries,
    PostgresError,
    clean_environment,
    find_binaries,
    identity,
    readable_by,
    run_as,
    server_user,
)
from deploy.local.postgres_cluster import clear_leftovers, failure_in, is_ready, make_cluster, open_home

ADMIN = "kontor_admin"
_POLL_S = 0.01
_START_TIMEOUT_S = 60.0  # crash recovery after kill -9 replays the log since the last checkpoint
_FAST_SHUTDOWN_S = 5.0

_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "timezone": "UTC",
    "log_checkpoints": "off",
    "recovery_init_sync_method": "syncfs",  # after a crash: one call instead of opening every file
    "checkpoint_timeout": "1min",  # bounds what a crash leaves to be replayed
    "jit": "off",  # short statements gain nothing from it
    "password_encryption": "scram-sha-256",
}
_RAM_DISK = Path("/dev/shm")  # noqa: S108 (its own folder there is made by mkdtemp)
_ROOM_BYTES = 4 * 1024**3
_NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class PostgresServer:
    """A server whose files live in `home` (made if missing); `password` is its superuser's, `kontor_admin`.

    `port=None` picks a free one and keeps it. `durable=False` trades safety in a crash for speed.
    `settings` overrides PostgreSQL's parameters. Every failure is a PostgresError of one sentence.
    """

    def __init__(
        self,
        home: Path,
        *,
        password: str,
        port: int | None = None,
        durable: bool = True,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self._asked_home = home
        self._password = password
        self._port = port
        self._settings = {**_SETTINGS, **({} if durable else _NOT_DURABLE), **(settings or {})}
        self._durable = durable
        self._user = server_user()
        self._home: Path | None = None
        self._binaries: Binaries | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def port(self) -> int:
        """The TCP port, chosen when first asked for."""
        if self._port is None:
            self._port = free_port()
        return self._port

    @property
    def admin_url(self) -> str:
        """Where the superuser connects: the maintenance database `postgres`."""
        return self.url("postgres")

    def url(self, database: str, *, role: str = ADMIN, password: str | None = None) -> str:
        """`postgresql://role:password@127.0.0.1:port/database`; passwords must be URL-safe, as ours are."""
        return f"postgresql://{role}:{password or self._password}@127.0.0.1:{self.port}/{database}"

    @property
    def home(self) -> Path:
        """Where the server's files really are, once `prepare` has run."""
        if self._home is None:
            raise PostgresError("The server's directory has not been prepared.")
        return self._home

    @property
    def cluster(self) -> Path:
        """PostgreSQL's own data directory, once `prepare` has run."""
        return self.home / "cluster"

    @property
    def log_file(self) -> Path:
        """Where the server's output goes when `start` runs it."""
        return self.home / "server.log"

    @property
    def pid(self) -> int | None:
        """The process id of the server that `start` runs, while it runs."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def prepare(self) -> None:
        """Make the data directory unless there is one, and clear what a killed server left behind. Blocks."""
        if self._home is None:
            self._home = open_home(self._asked_home, self._user)
            self._binaries = readable_by(self._user, find_binaries(), self._home)
            make_cluster(
                self._home,
                self._binaries,
                self._user,
                admin=ADMIN,
                password=self._password,
                synced=self._durable,
            )
        clear_leftovers(self.cluster)

    def launch(self) -> Launch:
        """How to start the server, after `prepare`."""
        if self._binaries is None:
            raise PostgresError("The server's directory has not been prepared.")
        options = [f"--{name}={value}" for name, value in {**self._settings, "port": str(self.port)}.items()]
        return Launch(
            [self._binaries.program("postgres"), "-D", str(self.cluster), *options],
            clean_environment(),
            death_signal=signal.SIGINT,  # fast shutdown: it takes its backends along
            identity=identity(self._user),
        )

    def is_ready(self, pid: int) -> bool:
        """Whether the server with that process id accepts connections."""
        return is_ready(self.cluster, pid)

    def start(self) -> None:
        """Start and wait until connections are accepted. Blocks; see `start_async`."""
        deadline = time.monotonic() + _START_TIMEOUT_S
        self._begin()
        while not self._accepts(deadline):
            time.sleep(_POLL_S)

    async def start_async(self) -> None:
        """`start` that leaves the event loop free while waiting (though making a new directory blocks it)."""
        deadline = time.monotonic() + _START_TIMEOUT_S
        self._begin()
        while not self._accepts(deadline):  # noqa: ASYNC110 - the server's lock file sends no event
            await asyncio.sleep(_POLL_S)

    def stop(self) -> None:
        """Sessions are cut, nothing acknowledged is lost. Blocks until the server has gone.

        A server that is not durable is spared the checkpoint: nobody will read its files again.
        """
        process, self._process = self._process, None
        if process is None:
            return
        orderly = ((signal.SIGINT, _FAST_SHUTDOWN_S),) if self._durable else ()
        for number, patience_s in (*orderly, (signal.SIGQUIT, 2.0), (signal.SIGKILL, 2.0)):
            if process.poll() is None:
                process.send_signal(number)
            try:
                process.wait(patience_s)
            except subprocess.TimeoutExpired:
                continue
            return

    def execute(self, script: str, *, database: str = "postgres") -> None:
        """Run an SQL script with psql as the superuser; stops at, and raises, the first error."""
        if self._binaries is None:
            raise PostgresError("The server's directory has not been prepared.")
        arguments = ["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", f"--dbname={database}", "--file=-"]
        connection = ["--host=127.0.0.1", f"--port={self.port}", f"--username={ADMIN}"]
        answer = run_as(
            self._user,
            [self._binaries.program("psql"), *connection, *arguments],
            input_text=script,
            PGPASSWORD=self._password,
        )
        if answer.returncode != 0:
            raise PostgresError(f"PostgreSQL refused to set up its databases: {answer.stderr.strip()}")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        await self.start_async()
        return self

    async def __aexit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.stop()

    def _begin(self) -> None:
        if self.pid is not None:
            raise PostgresError("The server runs already.")
        self.prepare()
        with self.log_file.open("wb") as log:
            self._process = self.launch().spawn(log)

    def _accepts(self, deadline: float) -> bool:
        process = self._process
        if process is None or process.poll() is not None:
            raise PostgresError(failure_in(self.log_file.read_text(errors="replace"), self.cluster))
        if is_ready(self.cluster, process.pid):
            return True
        if time.monotonic() > deadline:
            self.stop()
            raise PostgresError(
                f"PostgreSQL did not get ready in {_START_TIMEOUT_S:.0f} s; see {self.log_file}."
            )
        return False


def ram_disk() -> Path | None:
    """Linux's shared memory file system, if there is one with room from which programs may be run."""
    try:
        room = shutil.disk_usage(_RAM_DISK).free >= _ROOM_BYTES
        return _RAM_DISK if room and not os.statvfs(_RAM_DISK).f_flag & os.ST_NOEXEC else None
    except OSError:
        return None


@contextmanager
def temporary_server(
    *, settings: Mapping[str, str] | None = None, in_memory: bool = False
) -> Iterator[PostgresServer]:
    """A running server that is not durable and leaves nothing behind; on a RAM disk where asked and possible."""
    home = Path(tempfile.mkdtemp(prefix="kontor-postgres-", dir=ram_disk() if in_memory else None))
    user = server_user()
    try:
        if user is not None:
            os.chown(home, user.uid, user.gid)
        with PostgresServer(
            home, password=secrets.token_urlsafe(24), durable=False, settings=settings
        ) as server:
            yield server
    finally:
        shutil.rmtree(home)
