"""From bytes to checked and numbered columns, block by block.

A clean block is split as a whole (`splitting`); any other is read record by record (`parsing`). A record that is wrong
is reported and left out; the ones after it keep their numbers and their shape.
"""

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import overload

from shared.imports.reading.blocks import Lines, blocks
from shared.imports.reading.dialect import Dialect
from shared.imports.reading.encoding import Encoding
from shared.imports.reading.errors import FileError, RowError, excerpt
from shared.imports.reading.header import column_names, missing_columns, positional_names
from shared.imports.reading.parsing import Parsed, parse
from shared.imports.reading.splitting import split_clean


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is held at once: `block` in bytes, `field` and `record` in characters."""

    block: int = 128 * 1024
    field: int = 1024 * 1024
    record: int = 16 * 1024 * 1024


class Rows(Sequence[tuple[str, ...]]):
    """Records that are kept as columns; whoever wants whole columns takes them from `columns` at no cost."""

    def __init__(self, columns: Sequence[Sequence[str]]) -> None:
        self.columns = columns

    def __len__(self) -> int:
        return len(self.columns[0])

    def __iter__(self) -> Iterator[tuple[str, ...]]:
        return zip(*self.columns, strict=True)

    @overload
    def __getitem__(self, index: int) -> tuple[str, ...]: ...
    @overload
    def __getitem__(self, index: slice) -> "Rows": ...
    def __getitem__(self, index: int | slice) -> "tuple[str, ...] | Rows":
        if isinstance(index, slice):
            return Rows([column[index] for column in self.columns])
        return tuple(column[index] for column in self.columns)


@dataclass(frozen=True, slots=True)
class Batch:
    """Good records in the file's order, with each one's number from 1 and first physical line, and the bad ones."""

    rows: Rows
    numbers: Sequence[int]
    lines: Sequence[int]
    errors: list[RowError] = field(default_factory=list)


class RecordReader:
    """Reads one file once.

    `expected` are the columns that the caller will ask for. Raises `FileError`, from `header` or at the
    first batch, when the file is empty or lacks one of them. Batches hold what one block of the file has: about
    `limits.block` bytes, or one record when that is longer.
    """

    def __init__(
        self,
        chunks: Iterable[bytes],
        dialect: Dialect,
        encoding: Encoding,
        *,
        has_header: bool = True,
        expected: Iterable[str] = (),
        limits: Limits | None = None,
    ) -> None:
        self._dialect = dialect
        self._encoding = encoding
        self._has_header = has_header
        self._expected = tuple(expected)
        self._limits = limits or Limits()
        self._decoder = encoding.decoder()
        texts = self._decoder.decode_all(self._counted(blocks(chunks, self._limits.block)))
        self._source = Lines(texts, quote=dialect.quote, longest=self._limits.record)
        self._pieces = self._source.pieces()
        self._columns: tuple[str, ...] = ()
        self._after_header: tuple[str, bool] = ("", True)
        self._row, self._line = 1, 1
        self.bytes_read = 0
        """Bytes taken so far, for a progress bar."""
        # A limit of the whole process, and lower than ours until someone raises it.
        csv.field_size_limit(max(csv.field_size_limit(), 4 * self._limits.record))

    @property
    def header(self) -> tuple[str, ...]:
        """The names of the columns: a repeated one is `name#2`; without a name they are called `1`, `2` …"""
        if not self._columns:
            self._after_header = self._read_header()
        return self._columns

    def __iter__(self) -> Iterator[Batch]:
        width = len(self.header)
        text, final = self._after_header
        self._after_header = ("", True)
        while True:
            batch = self._read(text, width, final=final)
            if batch.numbers or batch.errors:
                yield batch
            if final:
                return
            text, final = next(self._pieces)

    def _counted(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            self.bytes_read += len(piece)
            yield piece

    def _read_header(self) -> tuple[str, bool]:
        """Finds the first record; returns what follows it."""
        for text, final in self._pieces:
            parsed = parse(text, self._dialect, final=final)
            first = next((n for n, record in enumerate(parsed.records) if record or n in parsed.faults), None)
            if self._source.skipped:
                raise self._unreadable("the first record is longer than a record may be")
            if first is None:
                self._line += len(parsed.lines)
                self._source.rest = parsed.rest
                continue
            self._take_header(parsed, first)
            used = parsed.ends[first] if self._has_header else parsed.starts[first]
            self._line += used
            return "".join(parsed.lines[used:]) + parsed.rest, final
        raise FileError("The file is empty: it has no records.")

    def _take_header(self, parsed: Parsed, index: int) -> None:
        cells = parsed.records[index]
        whole = "".join(cells)
        if index in parsed.faults:
            self._line += parsed.line_at(index, parsed.faults[index].offset)
            raise self._unreadable(f"in the first record, {parsed.faults[index].reason}")
        if self._decoder.marks is not None and self._decoder.marks.search(whole):
            raise self._unreadable(f"the first record {self._encoding.why_wrong()}")
        if "\x00" in whole or len(whole) > self._limits.field:
            raise self._unreadable("the first record is too long or has NUL characters")
        columns = column_names(cells) if self._has_header else positional_names(len(cells))
        missing = missing_columns(columns, self._expected)
        if missing is not None:
            raise self._unreadable(missing)
        self._columns = columns

    def _unreadable(self, reason: str) -> FileError:
        return FileError(f"Line {self._line}: {reason}.")

    def _read(self, text: str, width: int, *, final: bool) -> Batch:
        errors = self._skipped_errors()
        if self._decoder.marks is None and len(text) <= self._limits.field:
            columns = split_clean(text, self._dialect, width)
            if columns is not None:
                return self._numbered(columns, errors)
        return self._read_records(text, width, errors, final=final)

    def _numbered(self, columns: list[list[str]], errors: list[RowError]) -> Batch:
        count = len(columns[0])
        row, line = self._row, self._line
        self._row += count
        self._line += count
        return Batch(Rows(columns), range(row, row + count), range(line, line + count), errors)

    def _skipped_errors(self) -> list[RowError]:
        errors = []
        for beginning, lines in self._source.skipped:
            reason = (
                f"the record is longer than {self._limits.record:,} characters; is a quote left open in it?"
            )
            errors.append(
                RowError(self._row, self._line, None, "record_too_long", reason, excerpt(beginning))
            )
            self._row += 1
            self._line += lines
        self._source.skipped.clear()
        return errors

    def _read_records(self, text: str, width: int, errors: list[RowError], *, final: bool) -> Batch:
        parsed = parse(text, self._dialect, final=final)
        self._source.rest = parsed.rest
        numbers: list[int] = []
        lines: list[int] = []
        good: list[list[str]] = []
        for index, record in enumerate(parsed.records):
            if not record and index not in parsed.faults:
                continue  # a blank line
            error = self._error_of(parsed, index, width)
            if error is None:
                numbers.append(self._row)
                lines.append(self._line + parsed.starts[index])
                good.append(record)
            else:
                errors.append(error)
            self._row += 1
        self._line += len(parsed.lines)
        columns: Sequence[Sequence[str]] = list(zip(*good, strict=True)) or [()] * width
        return Batch(Rows(columns), numbers, lines, errors)

    def _error_of(self, parsed: Parsed, index: int, width: int) -> RowError | None:
        record = parsed.records[index]
        if index in parsed.faults:
            return self._quoting_error(parsed, index)
        if len(record) != width:
            return self._width_error(parsed, index, width)
        whole = "".join(record)
        if "\x00" in whole:
            return self._cell_error(parsed, index, "nul_character", "has a NUL character", "\x00")
        if self._decoder.marks is not None and (found := self._decoder.marks.search(whole)):
            return self._cell_error(parsed, index, "encoding", self._encoding.why_wrong(), found[0])
        if len(whole) > self._limits.field:
            return self._length_error(parsed, index, whole)
        return None

    def _quoting_error(self, parsed: Parsed, index: int) -> RowError:
        fault = parsed.faults[index]
        line = self._line + parsed.line_at(index, fault.offset)
        opened = self._line + parsed.line_at(index, fault.opened)
        reason = fault.reason if opened == line else f"{fault.reason} (the field begins in line {opened})"
        column = self._columns[fault.field] if fault.field < len(self._columns) else None
        value = excerpt(parsed.raw(index)[fault.opened :].rstrip("\r\n"))
        return RowError(self._row, line, column, fault.code, reason, value)

    def _width_error(self, parsed: Parsed, index: int, width: int) -> RowError:
        count = len(parsed.records[index])
        raw = parsed.raw(index)
        code = "too_many_fields" if count > width else "too_few_fields"
        reason = f"the record has {count} fields where the file has {width} columns"
        if count < width and not raw.endswith(("\n", "\r")):
            code, reason = "truncated_record", f"the file ends inside this record: {reason}"
        return RowError(
            self._row, self._line + parsed.starts[index], None, code, reason, excerpt(raw.rstrip("\r\n"))
        )

    def _cell_error(self, parsed: Parsed, index: int, code: str, what: str, sought: str) -> RowError:
        record = parsed.records[index]
        position = next(n for n, cell in enumerate(record) if sought in cell)
        line = self._line + parsed.starts[index]
        reason = f"the value {what}"
        return RowError(self._row, line, self._columns[position], code, reason, excerpt(record[position]))

    def _length_error(self, parsed: Parsed, index: int, whole: str) -> RowError | None:
        record = parsed.records[index]
        longest = max(range(len(record)), key=lambda n: len(record[n]))
        line = self._line + parsed.starts[index]
        if len(record[longest]) > self._limits.field:
            reason = (
                f"the value is longer than {self._limits.field:,} characters; is a quote left open in it?"
            )
            name = self._columns[longest]
            return RowError(self._row, line, name, "field_too_long", reason, excerpt(record[longest]))
        if len(whole) > self._limits.record:
            reason = f"the record is longer than {self._limits.record:,} characters"
            return RowError(self._row, line, None, "record_too_long", reason, excerpt(whole))
        return None
