"""What reading a CSV file costs: records, typed columns and COPY text, against the standard library's bare reader.

`make bench BENCH=csv_reading`. One core, files in memory, rows per second of CPU time, rounds interleaved.
"""

import csv
import io
import json
import statistics
from collections.abc import Callable, Iterable, Iterator
from time import process_time

from shared.imports.reading.copy_text import to_copy_text
from shared.imports.reading.dialect import Dialect
from shared.imports.reading.encoding import choose_encoding
from shared.imports.reading.records import RecordReader
from shared.imports.reading.values import Converter, email, plain_date, text

ROWS = 200_000
ROUNDS = 5
CHUNK = 1024 * 1024
HEADER = "id,first_name,last_name,email,phone,title,locale,since\r\n"


def row(number: int) -> list[str]:
    """A contact of about 90 characters."""
    person = f"person{number}"
    return [
        f"ext-{number:08d}",
        f"First{number % 977}",
        f"Lastname{number % 3001}",
        f"{person}@example{number % 99}.com",
        f"+1 555 {number % 10_000:04d}",
        "Manager",
        "en-US",
        f"2024-{number % 12 + 1:02d}-{number % 28 + 1:02d}",
    ]


def files() -> dict[str, bytes]:
    """The same contacts, written as programs write them."""
    rows = [row(number) for number in range(ROWS)]
    titled = [
        [*cells[:5], "Manager, Sales" if n % 10 == 0 else cells[5], *cells[6:]]
        for n, cells in enumerate(rows)
    ]
    tall = [
        [*cells[:5], "Manager\nSales" if n % 10 == 0 else cells[5], *cells[6:]]
        for n, cells in enumerate(rows)
    ]
    return {
        "plain": _written(rows, csv.QUOTE_MINIMAL),
        "some_quoted": _written(titled, csv.QUOTE_MINIMAL),
        "all_quoted": _written(rows, csv.QUOTE_ALL),
        "multi_line": _written(tall, csv.QUOTE_MINIMAL),
    }


def _written(rows: Iterable[list[str]], quoting: int) -> bytes:
    file = io.StringIO(newline="")
    csv.writer(file, quoting=quoting).writerows(rows)  # type: ignore[arg-type]  # typeshed wants the literals
    return (HEADER + file.getvalue()).encode()


def chunks(data: bytes) -> Iterator[bytes]:
    return (data[start : start + CHUNK] for start in range(0, len(data), CHUNK))


def reader(data: bytes) -> RecordReader:
    return RecordReader(chunks(data), Dialect(), choose_encoding(None, data[:CHUNK]))


def bare(data: bytes) -> None:
    """What Python's own reader does with no check, no number and no column."""
    for _ in csv.reader(io.TextIOWrapper(io.BytesIO(data), "utf-8", newline="")):
        pass


def records(data: bytes) -> None:
    assert sum(len(batch.rows) for batch in reader(data)) == ROWS


def staged(data: bytes) -> None:
    """As an import does it: read, convert each field, write COPY text."""
    kinds = [text(255), text(300), text(300), email, text(60), text(100), text(35), plain_date("ymd")]
    converters = [Converter(kind, "invalid") for kind in kinds]
    for batch in reader(data):
        columns = [convert(cells)[0] for convert, cells in zip(converters, batch.rows.columns, strict=True)]
        numbers = [list(map(str, batch.numbers)), list(map(str, batch.lines))]
        assert to_copy_text([*numbers, *columns])


STEPS: dict[str, Callable[[bytes], None]] = {"csv.reader": bare, "records": records, "staged": staged}


def main() -> None:
    seen: dict[tuple[str, str], list[float]] = {}
    contents = files()
    for number in range(ROUNDS + 1):
        for name, data in contents.items():
            for step, work in STEPS.items():
                start = process_time()
                work(data)
                if number:  # the first round warms up
                    seen.setdefault((name, step), []).append(ROWS / (process_time() - start))
    print(f"{'file':14}{'step':14}{'rows/s':>12}{'slowest':>12}{'MB/s':>8}{'vs csv.reader':>15}")
    figures = {}
    for (name, step), rates in seen.items():
        rate = statistics.median(rates)
        ratio = rate / statistics.median(seen[name, "csv.reader"])
        speed = rate * len(contents[name]) / ROWS / 1e6
        print(f"{name:14}{step:14}{rate:12,.0f}{min(rates):12,.0f}{speed:8.1f}{ratio:15.2f}")
        if step != "csv.reader":
            figures[f"{step}_{name}_vs_csv_reader"] = round(ratio, 2)
    print(json.dumps({"bench": "csv_reading", "figures": figures}))


if __name__ == "__main__":
    main()
