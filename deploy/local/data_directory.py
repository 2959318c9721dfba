"""The directory that holds everything a suite must remember, used by one supervisor at a time."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


class DataDirectoryError(Exception):
    """The directory cannot be used; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class DataDirectory:
    """Its rooms."""

    root: Path

    @property
    def secrets(self) -> Path:
        return self.root / "secrets"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def run(self) -> Path:
        """What is written anew at each start."""
        return self.root / "run"

    @property
    def postgres(self) -> Path:
        return self.root / "postgres"


@contextmanager
def open_data_directory(path: Path) -> Iterator[DataDirectory]:
    """The directory, made if missing, locked until the end (a killed holder loses the lock by itself).

    Raises DataDirectoryError.
    """
    root = path.expanduser().absolute()
    data = DataDirectory(root)
    try:
        # Root's server runs under another account, which has to pass through; nobody may look around.
        root.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
        for room in (data.logs, data.run):
            room.mkdir(mode=0o700, exist_ok=True)
        lock = (root / "lock").open("a+")
    except OSError as error:
        raise DataDirectoryError(f"Cannot use {root} as the data directory: {error.strerror}.") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip()
            raise DataDirectoryError(
                f"Kontor already runs on {root} (process {holder or '?'}): stop it, or use another DATA."
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield data
