"""Reading a block record by record, with the place of every record and of every fault in its quoting."""

import csv
import io
from dataclasses import dataclass, field

from shared.imports.reading.dialect import Dialect
from shared.imports.reading.quoting import QuotingFault, quoting_fault


@dataclass(slots=True)
class Parsed:
    """The records of a block, blank lines as empty records. Record `n` has the lines `starts[n]` to `ends[n]`."""

    lines: list[str]
    records: list[list[str]] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    faults: dict[int, QuotingFault] = field(default_factory=dict)
    rest: str = ""
    """The start of a record that the block does not finish."""

    def raw(self, index: int) -> str:
        """A record as it stands in the file."""
        return "".join(self.lines[self.starts[index] : self.ends[index]])

    def line_at(self, index: int, offset: int) -> int:
        """The line, counted in the block from 0, that a place in a record lies on."""
        line = self.starts[index]
        while line < self.ends[index] - 1 and offset >= len(self.lines[line]):
            offset -= len(self.lines[line])
            line += 1
        return line

    def _add(self, record: list[str], start: int, end: int) -> None:
        self.records.append(record)
        self.starts.append(start)
        self.ends.append(end)

    def _add_fault(self, fault: QuotingFault, start: int, end: int) -> int:
        """A faulty record ends with the line its fault stands on: the next line is the first that can be trusted."""
        self._add([], start, end)
        index = len(self.records) - 1
        self.faults[index] = fault
        if not fault.unclosed:
            self.ends[index] = self.line_at(index, fault.offset) + 1
        return self.ends[index]


def parse(text: str, dialect: Dialect, *, final: bool) -> Parsed:
    """Reads whole lines; with `final` the last record is complete whatever it looks like."""
    parsed = Parsed(list(io.StringIO(text, newline="")))
    line = 0
    while line < len(parsed.lines):
        line = _parse_until_fault(parsed, dialect, line, final=final)
    return parsed


def _parse_until_fault(parsed: Parsed, dialect: Dialect, base: int, *, final: bool) -> int:
    """Reads from the line `base` on; returns the line to go on from."""
    lines = parsed.lines
    reader = dialect.reader(map(lines.__getitem__, range(base, len(lines))))
    start = base
    try:
        for record in reader:
            end = base + reader.line_num
            # Only a quote that was doubled or stray is left in the fields.
            if dialect.quote is not None and dialect.quote in "".join(record):
                fault = quoting_fault("".join(lines[start:end]), dialect)
                if fault is not None:
                    return parsed._add_fault(fault, start, end)
            parsed._add(record, start, end)
            start = end
    except csv.Error as error:
        end = base + reader.line_num
        raw = "".join(lines[start:end])
        fault = quoting_fault(raw, dialect)
        if not final and end == len(lines) and (fault is None or fault.unclosed):
            parsed.rest = raw
            del lines[start:]
            return start
        return parsed._add_fault(fault or QuotingFault("malformed_record", str(error), 0, 0, 0), start, end)
    return len(lines)
