"""Running one import: bytes to records to staged rows to merged records, batch after batch.

While PostgreSQL merges one batch, the next is being read in a thread. With `on_error: skip` every batch is a
transaction of its own that also stores the progress, so a job whose worker was killed goes on where it was. With
`abort` the whole file is one transaction: everything or nothing.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict, dataclass
from itertools import chain
from typing import Any
from uuid import UUID

import asyncpg

from shared.imports import store
from shared.imports.conversion import KEY, BatchConverter, Staged
from shared.imports.plan import Plan
from shared.imports.reading.copy_text import to_copy_text
from shared.imports.reading.encoding import SAMPLE_BYTES, choose_encoding
from shared.imports.reading.errors import FileError, RowError, shown
from shared.imports.reading.records import Batch, RecordReader

MAX_ERRORS_KEPT = 100_000
MERGED_ROWS = 20_000
"""A merge of this many rows costs little per row, and is what a killed worker does again at most."""
_PIECE_BYTES = 256 * 1024
_SETTINGS = ("SET work_mem = '64MB'", "SET gin_pending_list_limit = '64MB'", "SET temp_buffers = '64MB'")


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
    """A job's three: one merges, one reads the uploaded chunks meanwhile, one tells how far it is."""

    work: asyncpg.Connection
    files: asyncpg.Connection
    progress: asyncpg.Connection


class ImportRun:
    """One job."""

    def __init__(self, job: asyncpg.Record, plan: Plan, connections: Connections) -> None:
        self._tenant_id: UUID = job["tenant_id"]
        self._import_id: UUID = job["id"]
        self._principal: str = job["principal"]
        self._plan = plan
        self._work = connections.work
        self._files = connections.files
        self._progress = connections.progress
        self._atomic = plan.mapping.on_error == "abort"
        self._sequenced = plan.target.sequence is not None and plan.target.sequence in plan.fields
        self._statements = plan.statements()
        self._merge = self._statements.merge()
        batchwise = not (self._atomic or self._sequenced)
        self._resume_after: int = job["rows_read"] if batchwise else 0
        known = {name: job[name] for name in asdict(Counts())} if self._resume_after else {}
        self.counts = Counts(**known)
        self._bytes_fetched = 0
        self._errors_kept = 0

    async def run(self) -> None:
        """Loads the file. Raises `FileError`, `AbortedError` or `CancelledImportError`; what is kept then depends on
        `on_error`."""
        for sql in (*_SETTINGS, *self._statements.create_tables()):
            await self._work.execute(sql)
        reader, converter = await asyncio.to_thread(self._open, asyncio.get_running_loop())
        if not (self._atomic or self._sequenced):
            async for ready in self._batches(reader, converter):
                async with self._work.transaction():
                    await self._save(await self._take(ready), self._work)
            return
        errors: list[RowError] = []
        try:
            async with self._work.transaction():
                await self._load_whole(reader, converter, errors)
        except AbortedError:
            # An undone transaction made and changed nothing.
            counts = self.counts
            self.counts = Counts(counts.bytes_read, counts.rows_read, rows_failed=counts.rows_failed)
            await self._save(errors, self._work)
            raise

    async def _load_whole(
        self, reader: RecordReader, converter: BatchConverter, errors: list[RowError]
    ) -> None:
        """The whole file in the caller's transaction; after a first error under `abort` the rest is only read."""
        async for ready in self._batches(reader, converter):
            errors += (await self._take(ready, only_read=self._atomic and bool(errors)))[: _room(errors)]
            await self._save([], self._progress)
        if self._sequenced and not (self._atomic and errors):
            errors += (await self._merge_staged(repeats=True))[: _room(errors)]
        if self._atomic and errors:
            raise AbortedError
        await self._save(errors, self._work)

    async def _batches(self, reader: RecordReader, converter: BatchConverter) -> AsyncIterator["_Ready"]:
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
            keys = together.columns[KEY]
            repeats = self._sequenced or len(set(keys)) < len(keys)
            return _Ready(together, to_copy_text(together.columns), last, self._bytes_fetched, repeats)

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

    async def _take(self, ready: "_Ready", *, only_read: bool = False) -> list[RowError]:
        """Stages and (unless the file is a sequence) merges one batch; returns its errors."""
        self.counts.bytes_read = ready.bytes_read
        self.counts.rows_read = max(self.counts.rows_read, ready.last_row)
        self.counts.rows_failed += len({error.row for error in ready.staged.errors})
        if only_read or not ready.staged.rows:
            return ready.staged.errors
        await self._work.copy_to_table(
            "staged", source=_pieces(ready.text), columns=self._statements.copied_columns, format="text"
        )
        return ready.staged.errors + (
            [] if self._sequenced else await self._merge_staged(repeats=ready.repeats)
        )

    async def _merge_staged(self, *, repeats: bool) -> list[RowError]:
        """Merges what is staged; returns the rows that only SQL could find fault with.

        `repeats` is false when every staged key is known to differ.
        """
        # Without statistics the planner takes a temporary table for a small one and loops over it.
        await self._work.execute(self._statements.analyze())
        if repeats:
            await self._work.execute(self._statements.supersede())
        for sql in (*self._plan.target.before, *self._statements.look_up()):
            await self._execute(sql)
        errors = await self._take_out_faults()
        rows = await self._work.fetchval("SELECT count(*) FROM staged")
        await self._execute(self._merge)
        created, updated = await self._work.fetchrow(
            "SELECT count(*) FILTER (WHERE created), count(*) FILTER (WHERE NOT created) FROM merged"
        )
        if self._plan.target.after:
            await self._work.execute("ANALYZE merged")
        for sql in self._plan.target.after:
            await self._execute(sql)
        await self._work.execute("TRUNCATE staged, merged")
        self.counts.rows_created += created
        self.counts.rows_updated += updated
        self.counts.rows_unchanged += rows - created - updated
        self.counts.rows_failed += len({error.row for error in errors})
        return errors

    async def _execute(self, sql: str) -> None:
        bound, values = self._bound(sql)
        await self._work.execute(bound, *values)

    def _bound(self, sql: str) -> tuple[str, list[Any]]:
        """The statement with the placeholders that it uses numbered without gaps, and their values."""
        values: list[Any] = []
        scope = (self._tenant_id, self._plan.mapping.key.source, self._principal)
        for number, value in enumerate(scope, start=1):
            if f"${number}" in sql:
                values.append(value)
                sql = sql.replace(f"${number}", f"${len(values)}")
        return sql, values

    async def _take_out_faults(self) -> list[RowError]:
        errors = []
        for fault in self._statements.faults():
            sql, values = self._bound(self._statements.take_out(fault))
            rule = self._plan.mapping.columns.get(fault.field)
            label = rule.from_[0] if rule is not None and rule.from_ else fault.field
            for row, line, value in await self._work.fetch(sql, *values):
                errors.append(RowError(row, line, label, fault.code, fault.reason, shown(value)))
        return errors

    async def _save(self, errors: list[RowError], connection: asyncpg.Connection) -> None:
        """Stores the progress and the errors. Raises `CancelledImportError` when the caller wants to stop."""
        kept = errors[: MAX_ERRORS_KEPT - self._errors_kept]
        self._errors_kept += len(kept)
        await store.add_errors(connection, self._tenant_id, self._import_id, kept)
        if not await store.save_progress(connection, self._tenant_id, self._import_id, asdict(self.counts)):
            raise CancelledImportError


@dataclass(frozen=True)
class _Ready:
    """A batch as it is copied in, the last row it holds, and how much of the file was fetched by then."""

    staged: Staged
    text: bytes
    last_row: int
    bytes_read: int
    repeats: bool


async def _pieces(text: bytes) -> AsyncIterator[bytes]:
    """What COPY sends, without a thread's help that a file would take."""
    for start in range(0, len(text), _PIECE_BYTES):
        yield text[start : start + _PIECE_BYTES]


def _room(errors: list[RowError]) -> int:
    return MAX_ERRORS_KEPT - len(errors)
