"""Running one import: bytes to records to staged rows to merged records, batch after batch.

While PostgreSQL merges one batch, the next is being read in a thread; of a target whose batches are independent two
are merged at once, and committed in the file's order. With `on_error: skip` every batch is a transaction of its own
that also stores the progress, so a job whose worker was killed goes on where it was. With `abort` the whole file is
one transaction: everything or nothing. A file whose rows speak of each other is one batch and one transaction under
both: only when all rows are there can it be said which are good.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Iterator, Sequence, Set
from contextlib import aclosing
from dataclasses import asdict, dataclass
from itertools import chain
from uuid import UUID

import asyncpg

from shared.events.feed import NOTIFY
from shared.imports import store
from shared.imports.conversion import KEY, BatchConverter, Staged
from shared.imports.merging import Merged, Merger, Scope, Turn
from shared.imports.plan import Plan
from shared.imports.reading.copy_text import to_copy_text
from shared.imports.reading.encoding import SAMPLE_BYTES, choose_encoding
from shared.imports.reading.errors import FileError, RowError
from shared.imports.reading.records import Batch, RecordReader
from shared.imports.record_ids import record_ids

MAX_ERRORS_KEPT = 100_000
MERGED_ROWS = 20_000
"""A merge of this many rows costs little per row, and is what a killed worker does again at most."""
MERGED_AT_ONCE = 2
"""Batches of an independent target; more than two would each hold rows that no one may see yet."""


@dataclass
class Counts:
    """How far the job is. `rows_read` counts every data record, good or bad."""

    bytes_read: int = 0
    rows_read: int = 0
    rows_created: int = 0
    rows_updated: int = 0
    rows_unchanged: int = 0
    rows_failed: int = 0


class CancelledImportError(Exception):
    """The caller asked the job to stop."""


class AbortedError(Exception):
    """A row is bad and the mapping says that then nothing is to be kept."""


@dataclass(frozen=True)
class Connections:
    """A job's own: one or two merge, one reads the uploaded chunks meanwhile, one tells how far it is."""

    work: Sequence[asyncpg.Connection]
    files: asyncpg.Connection
    progress: asyncpg.Connection


class ImportRun:
    """One job."""

    def __init__(self, job: asyncpg.Record, plan: Plan, connections: Connections) -> None:
        self._tenant_id: UUID = job["tenant_id"]
        self._import_id: UUID = job["id"]
        self._plan = plan
        scope = Scope(job["tenant_id"], plan.mapping.key.source, job["principal"])
        self._mergers = [Merger(connection, plan, scope) for connection in connections.work]
        self._files = connections.files
        self._progress = connections.progress
        self._atomic = plan.mapping.on_error == "abort"
        self._together = plan.together
        self._batchwise = not (self._atomic or self._together)
        self._resume_after: int = job["rows_read"] if self._batchwise else 0
        known = {name: job[name] for name in asdict(Counts())} if self._resume_after else {}
        self.counts = Counts(**known)
        self._bytes_fetched = 0
        self._errors_kept = 0

    async def run(self) -> None:
        """Loads the file. Raises `FileError`, `AbortedError` or `CancelledImportError`; what is kept then depends on
        `on_error`."""
        for merger in self._mergers:
            await merger.open()
        reader, converter = await asyncio.to_thread(self._open, asyncio.get_running_loop())
        if self._batchwise:
            await self._load_batches(reader, converter)
            return
        errors: list[RowError] = []
        work = self._mergers[0].connection
        try:
            async with work.transaction():
                await self._load_whole(reader, converter, errors)
        except AbortedError:
            # An undone transaction made and changed nothing.
            counts = self.counts
            self.counts = Counts(counts.bytes_read, counts.rows_read, rows_failed=counts.rows_failed)
            await self._save(errors, work)
            raise

    async def _load_batches(self, reader: RecordReader, converter: BatchConverter) -> None:
        """Each batch in a transaction of its own. Two that share a key are never merged at once: the later one wins."""
        running: deque[asyncio.Task[None]] = deque()
        keys: Set[str | None] = frozenset()
        number = 0
        try:
            async with aclosing(self._batches(reader, converter)) as batches:
                async for ready in batches:
                    room = len(self._mergers) if keys.isdisjoint(ready.keys) else 1
                    while len(running) >= room:
                        await running.popleft()
                    earlier = running[-1] if running else None
                    merger = self._mergers[number % len(self._mergers)]
                    running.append(asyncio.create_task(self._load_batch(merger, ready, earlier)))
                    keys = ready.keys
                    number += 1
            while running:
                await running.popleft()
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def _load_batch(self, merger: Merger, ready: "_Ready", earlier: asyncio.Task[None] | None) -> None:
        """One batch and the progress that it makes, committed after `earlier`; if that fails, this does."""

        async def turn() -> None:
            if earlier is not None:
                # Who stops waiting for a task does not stop the task.
                await asyncio.wait([earlier])
                earlier.result()

        async with merger.connection.transaction():
            merged = await self._merge(merger, ready, turn) if ready.staged.rows else Merged()
            await turn()
            self._count_read(ready)
            self._count_merged(merged)
            await self._save(ready.staged.errors + merged.errors, merger.connection)
        await merger.connection.execute(NOTIFY)

    async def _merge(self, merger: Merger, ready: "_Ready", turn: Turn) -> Merged:
        await merger.stage(ready.text)
        return await merger.merge(turn, repeats=ready.repeats)

    async def _load_whole(
        self, reader: RecordReader, converter: BatchConverter, errors: list[RowError]
    ) -> None:
        """The whole file in the caller's transaction; after a first error under `abort` the rest is only read."""
        merger = self._mergers[0]
        async with aclosing(self._batches(reader, converter)) as batches:
            async for ready in batches:
                self._count_read(ready)
                found = list(ready.staged.errors)
                if ready.staged.rows and not (self._atomic and errors):
                    await merger.stage(ready.text)
                    if not self._together:
                        found += await self._merge_alone(merger, repeats=ready.repeats)
                errors += found[: _room(errors)]
                await self._save([], self._progress)
        if self._together and not (self._atomic and errors):
            errors += (await self._merge_alone(merger, repeats=True))[: _room(errors)]
        if self._atomic and errors:
            raise AbortedError
        await self._save(errors, merger.connection)

    async def _merge_alone(self, merger: Merger, *, repeats: bool) -> list[RowError]:
        merged = await merger.merge(_no_wait, repeats=repeats)
        self._count_merged(merged)
        return merged.errors

    async def _batches(
        self, reader: RecordReader, converter: BatchConverter
    ) -> AsyncGenerator["_Ready", None]:
        """Batches ready to be copied; the next is prepared while the caller works on one."""
        batches = iter(reader)

        def prepare() -> _Ready | None:
            together = Staged(converter.no_columns(), [])
            last = 0
            for batch in batches:
                unseen = self._unseen(batch)
                last = max(chain((last,), unseen.numbers[-1:], (error.row for error in unseen.errors)))
                staged = converter.convert(unseen)
                together.errors.extend(staged.errors)
                for column, more in zip(together.columns, staged.columns, strict=True):
                    column.extend(more)
                if together.rows >= MERGED_ROWS:
                    break
            if not last:
                return None
            ids = record_ids(together.rows, time.time_ns() // 1_000_000)
            text = to_copy_text([ids, *together.columns])
            return _Ready(together, text, frozenset(together.columns[KEY]), last, self._bytes_fetched)

        following = asyncio.create_task(asyncio.to_thread(prepare))
        while (ready := await following) is not None:
            following = asyncio.create_task(asyncio.to_thread(prepare))
            try:
                yield ready
            except BaseException:
                await asyncio.wait([following])
                raise

    def _open(self, loop: asyncio.AbstractEventLoop) -> tuple[RecordReader, BatchConverter]:
        chunks = self._chunks(loop)
        sample = b""
        for chunk in chunks:
            sample += chunk
            if len(sample) >= SAMPLE_BYTES:
                break
        mapping = self._plan.mapping
        try:
            encoding = choose_encoding(mapping.encoding, sample[:SAMPLE_BYTES])
        except ValueError as error:
            raise FileError(f"The mapping's encoding is unknown: {error}.") from None
        text = encoding.decoder().decode(sample[:SAMPLE_BYTES])
        dialect = mapping.dialect.for_sample(text)
        reader = RecordReader(chain((sample,), chunks), dialect, encoding, has_header=mapping.dialect.header)
        return reader, BatchConverter(self._plan, reader.header)

    def _chunks(self, loop: asyncio.AbstractEventLoop) -> Iterator[bytes]:
        """The file's bytes, fetched through the event loop by the thread that reads."""
        number = 0
        while True:
            fetch = store.read_chunk(self._files, self._tenant_id, self._import_id, number)
            chunk = asyncio.run_coroutine_threadsafe(fetch, loop).result()
            if chunk is None:
                return
            self._bytes_fetched += len(chunk)
            number += 1
            yield chunk

    def _unseen(self, batch: Batch) -> Batch:
        """The part of a batch that no earlier run of this job has merged."""
        done = self._resume_after
        if not done:
            return batch
        skip = sum(1 for number in batch.numbers if number <= done)
        errors = [error for error in batch.errors if error.row > done]
        return Batch(batch.rows[skip:], batch.numbers[skip:], batch.lines[skip:], errors)

    def _count_read(self, ready: "_Ready") -> None:
        self.counts.bytes_read = ready.bytes_read
        self.counts.rows_read = max(self.counts.rows_read, ready.last_row)
        self.counts.rows_failed += len({error.row for error in ready.staged.errors})

    def _count_merged(self, merged: Merged) -> None:
        self.counts.rows_created += merged.created
        self.counts.rows_updated += merged.updated
        self.counts.rows_unchanged += merged.unchanged
        self.counts.rows_failed += len({error.row for error in merged.errors})

    async def _save(self, errors: list[RowError], connection: asyncpg.Connection) -> None:
        """Stores the progress and the errors. Raises `CancelledImportError` when the caller wants to stop."""
        kept = errors[: MAX_ERRORS_KEPT - self._errors_kept]
        self._errors_kept += len(kept)
        await store.add_errors(connection, self._tenant_id, self._import_id, kept)
        if not await store.save_progress(connection, self._tenant_id, self._import_id, asdict(self.counts)):
            raise CancelledImportError


@dataclass(frozen=True)
class _Ready:
    """A batch as it is copied in, its keys, its last row, and how much of the file was fetched by then."""

    staged: Staged
    text: bytes
    keys: Set[str | None]
    last_row: int
    bytes_read: int

    @property
    def repeats(self) -> bool:
        """Whether two of its rows have the same key."""
        return len(self.keys) < self.staged.rows


async def _no_wait() -> None:
    """The turn of a batch that has no others beside it."""


def _room(errors: list[RowError]) -> int:
    return MAX_ERRORS_KEPT - len(errors)
