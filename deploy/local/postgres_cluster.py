"""The files of a PostgreSQL server: where they live, how they are made, what a killed server leaves."""

import os
import re
import shutil
import signal
import tempfile
import time
from pathlib import Path

from deploy.local.postgres_binaries import Binaries, PostgresError, ServerUser, run_as

# Where root keeps the server's files when their own place is closed to the account that runs the server.
ROOTS_STATE = Path("/var/lib/kontor")
_POLL_S = 0.02
_LEFTOVER_PATIENCE_S = 2.0


def open_home(asked: Path, user: ServerUser | None) -> Path:
    """The directory for the server's files, made if missing and usable by the account that runs the server.

    That is `asked`, or, when root asks for a place the account cannot reach (in a directory of mode 0700),
    one in /var/lib/kontor that a symbolic link at `asked` leads to.
    Raises PostgresError when neither can be made.
    """
    asked = asked.absolute()
    try:
        home = asked.resolve()
        if asked.is_symlink() and not home.exists():
            raise PostgresError(
                f"{asked} leads to {home}, which is gone: restore it, or remove {asked} to start anew."
            )
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        if user is None:
            return home
        _refuse_of_another(home / "cluster", user)
        _give(home, user)
        if _reaches(user, home):
            return home
        if any(home.iterdir()):
            raise PostgresError(
                f"The account {user.name}, which runs PostgreSQL for root, can no longer reach {home}:"
                " let others pass its parent directories (chmod o+x)."
            )
        return _elsewhere(asked, user)
    except OSError as error:
        raise PostgresError(f"Cannot use {asked} for PostgreSQL's files: {error.strerror}.") from error


def make_cluster(
    home: Path, binaries: Binaries, user: ServerUser | None, *, admin: str, password: str, synced: bool = True
) -> None:
    """Run initdb for `home`/cluster unless it is there; a run killed half-way leaves nothing that counts.

    `synced=False` leaves it to the system when the files reach the disk.
    Raises PostgresError when the directory belongs to another major version or initdb fails.
    """
    cluster = home / "cluster"
    if cluster.exists():
        _check_version(cluster, binaries)
        return
    unfinished = home / "cluster.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    # The terminal-free way to hand initdb a password is a file, which its user must be able to read.
    with tempfile.NamedTemporaryFile("w", dir=home, prefix="initdb-") as password_file:
        password_file.write(password + "\n")
        password_file.flush()
        if user is not None:
            os.chown(password_file.name, user.uid, user.gid)
        answer = run_as(
            user,
            [
                binaries.program("initdb"),
                f"--pgdata={unfinished}",
                f"--username={admin}",
                f"--pwfile={password_file.name}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C",
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                "--no-instructions",
                *([] if synced else ["--no-sync"]),
            ],
        )
    if answer.returncode != 0:
        raise PostgresError(f"PostgreSQL's initdb failed in {home}: {_last_line(answer.stderr)}")
    unfinished.rename(cluster)


def clear_leftovers(cluster: Path) -> None:
    """Make way for a new server after the last one was killed.

    Its backends notice within moments and keep the shared memory until then; its lock file names a process id
    that may by now belong to somebody else, which PostgreSQL would take for a running server. The caller owns
    the data directory, so whoever still works in it is a leftover.
    """
    deadline = time.monotonic() + _LEFTOVER_PATIENCE_S
    numbers = iter((signal.SIGQUIT, signal.SIGKILL))
    while leftovers := processes_in(cluster):
        if time.monotonic() > deadline:
            number = next(numbers, signal.SIGKILL)
            for pid in leftovers:
                _signal(pid, number)
            deadline += _LEFTOVER_PATIENCE_S
        time.sleep(_POLL_S)
    (cluster / "postmaster.pid").unlink(missing_ok=True)


def processes_in(cluster: Path) -> list[int]:
    """The ids of PostgreSQL processes at work in that data directory (each has it as its current directory).

    Only Linux tells; elsewhere the list is empty and PostgreSQL's own lock file decides.
    """
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "cwd").readlink() == cluster and (entry / "comm").read_text().startswith("postgres"):
                found.append(int(entry.name))
        except OSError:
            continue  # it has ended, or is another user's
    return found


def is_ready(cluster: Path, pid: int) -> bool:
    """Whether the server `pid` says in its lock file that it accepts connections (as pg_ctl reads it)."""
    try:
        lines = (cluster / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return False
    return len(lines) >= 8 and lines[0].strip() == str(pid) and lines[7].strip() == "ready"


def failure_in(output: str, cluster: Path) -> str:
    """One sentence from what a server wrote before it ended."""
    complaints = re.findall(r"(?:FATAL|PANIC|postgres):\s+(.+)$", output, re.MULTILINE)
    reason = complaints[-1] if complaints else _last_line(output)
    return f"PostgreSQL does not start on {cluster}: {reason or 'it ended without a word'}"


def _check_version(cluster: Path, binaries: Binaries) -> None:
    try:
        major = (cluster / "PG_VERSION").read_text().strip()
    except (FileNotFoundError, NotADirectoryError):
        raise PostgresError(
            f"The data directory {cluster} is damaged (PG_VERSION is missing):"
            " restore a backup, or start on another directory."
        ) from None
    if major != str(binaries.major):
        raise PostgresError(
            f"The data directory {cluster} is of PostgreSQL {major or 'no known version'},"
            f" the programs in {binaries.directory} are {binaries.version}."
        )


def _refuse_of_another(cluster: Path, user: ServerUser) -> None:
    """Root must not take over what an ordinary user's runs have made: they could not go on."""
    owner = cluster.stat().st_uid if cluster.exists() else user.uid
    if owner != user.uid:
        raise PostgresError(
            f"{cluster} belongs to the user with the id {owner}: run as that user, not as root."
        )


def _give(home: Path, user: ServerUser) -> None:
    if home.stat().st_uid != user.uid:
        os.chown(home, user.uid, user.gid)
    home.chmod(0o700)


def _reaches(user: ServerUser, home: Path) -> bool:
    return run_as(user, ["test", "-w", str(home)]).returncode == 0


def _elsewhere(asked: Path, user: ServerUser) -> Path:
    ROOTS_STATE.mkdir(mode=0o755, parents=True, exist_ok=True)
    home = Path(tempfile.mkdtemp(prefix="postgres-", dir=ROOTS_STATE))
    _give(home, user)
    if not _reaches(user, home):
        home.rmdir()
        raise PostgresError(
            f"The account {user.name}, which runs PostgreSQL for root, can reach neither {asked} nor"
            f" {ROOTS_STATE}."
        )
    asked.rmdir()
    asked.symlink_to(home)
    return home


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return  # it went by itself


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1].strip() if lines else ""
