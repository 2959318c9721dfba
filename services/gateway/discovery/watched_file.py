"""Replicas in a file of their own, which whoever starts and stops them rewrites.

    - {host: 10.0.0.1, port: 8000}
    - {host: 10.0.0.2, port: 8000, weight: 2, zone: east}

To replace a file at one stroke, write another beside it and rename it. Half a file, read while it is written in
place, is a broken file at worst: the former replicas stay, and the next look finds it whole.
"""

import asyncio
from pathlib import Path

from services.gateway.config.upstreams import ReplicaList
from services.gateway.discovery.polling import NotFoundError, Replicas
from services.gateway.documents import DocumentError, read_document

# When it was changed, which file it is, how long it is.
_Look = tuple[int, int, int]


class WatchedFile:
    """Looks at the file, and reads it when it looks different."""

    def __init__(self, upstream: str, path: Path) -> None:
        self._upstream = upstream
        self._path = path
        self._seen: _Look | None = None
        self._said: Replicas | NotFoundError = ()

    async def __call__(self) -> Replicas:
        """As `look`, without holding up the event loop: the file may lie on another machine."""
        return await asyncio.to_thread(self.look)

    def look(self) -> Replicas:
        """The replicas in the file's order. Raises `NotFoundError`."""
        try:
            status = self._path.stat()
        except OSError as error:
            self._seen = None
            raise NotFoundError(f"{self._path}: {error.strerror}") from error
        # Before it is read: what changes in between is read again next time.
        look = (status.st_mtime_ns, status.st_ino, status.st_size)
        if look != self._seen:
            self._seen, self._said = look, self._read()
        if isinstance(self._said, NotFoundError):
            raise self._said
        return self._said

    def _read(self) -> Replicas | NotFoundError:
        try:
            return read_replicas(self._path, self._upstream)
        except DocumentError as error:
            return NotFoundError("; ".join(str(error).splitlines()))


def read_replicas(path: Path, upstream: str) -> Replicas:
    """The replicas of `upstream` in the file at `path`. Raises `DocumentError`."""
    return tuple(one.replica(upstream) for one in read_document(path, ReplicaList).root)
