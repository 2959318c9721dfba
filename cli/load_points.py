"""Points of load runs: how much was served with how many replicas, or with how many requests under way."""

import csv
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from shared.telemetry.capacity import Point

REPLICAS: Final = "replicas"
CONCURRENCY: Final = "concurrency"
_THROUGHPUT: Final = "throughput"
_COLUMNS: Final = (REPLICAS, CONCURRENCY, _THROUGHPUT)


class PointsError(Exception):
    """The points cannot be read or used; the text is for people."""


class LoadPoint(NamedTuple):
    """One measurement; what is not known of it is None."""

    replicas: float | None
    concurrency: float | None
    """Requests under way at once, on average."""
    throughput: float
    """Requests served per second."""


class Series(NamedTuple):
    """What a law can be fitted to."""

    unit: str
    """What N counts: `replicas` or `concurrency`."""
    points: Sequence[Point]
    replicas: float | None
    """How many there were at every point, where N counts something else and it is known."""


def series_of(measured: Sequence[LoadPoint]) -> Series:
    """By replicas where their number differs, otherwise by concurrency.

    Where each number of replicas was measured at several concurrencies, its best throughput is what it can serve.
    Raises `PointsError` when neither is known of all points.
    """
    if not measured:
        raise PointsError("There are no points.")
    by_replicas = [
        Point(point.replicas, point.throughput) for point in measured if point.replicas is not None
    ]
    by_concurrency = [
        Point(point.concurrency, point.throughput) for point in measured if point.concurrency is not None
    ]
    counts = {point.n for point in by_replicas}
    if len(by_replicas) == len(measured) and (len(counts) > 1 or len(by_concurrency) < len(measured)):
        return Series(REPLICAS, _best(by_replicas) if by_concurrency else by_replicas, None)
    if len(by_concurrency) < len(measured):
        raise PointsError(f"Every point needs its {CONCURRENCY}, or every point its {REPLICAS}.")
    known = len(by_replicas) == len(measured)
    return Series(CONCURRENCY, by_concurrency, counts.pop() if known else None)


def _best(points: Iterable[Point]) -> list[Point]:
    best: dict[float, float] = {}
    for n, throughput in points:
        best[n] = max(best.get(n, 0.0), throughput)
    return [Point(n, throughput) for n, throughput in best.items()]


def read_points(file: Path) -> list[LoadPoint]:
    """From CSV with a header, or from JSON: a list of objects with the same names. Raises `PointsError`."""
    try:
        text = file.read_text(encoding="utf-8-sig")
        rows = _json_rows(text) if file.suffix.lower() == ".json" else _csv_rows(text)
        return [_point(where, row) for where, row in rows]
    except UnicodeDecodeError:
        raise PointsError(f"{file}: this is not UTF-8 text.") from None
    except PointsError as error:
        raise PointsError(f"{file}: {error}") from None


def _csv_rows(text: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    reader = csv.DictReader(text.splitlines(), skipinitialspace=True)
    names = [name.strip().lower() for name in reader.fieldnames or ()]
    if _THROUGHPUT not in names or not {REPLICAS, CONCURRENCY} & set(names):
        raise PointsError(
            f"the header needs {_THROUGHPUT} (requests/s), and {REPLICAS} or {CONCURRENCY} or both;"
            f" it has: {', '.join(names) or 'nothing'}."
        )
    reader.fieldnames = names
    for row in reader:
        yield f"line {reader.line_num}", row


def _json_rows(text: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    try:
        document = json.loads(text)
    except ValueError as error:
        raise PointsError(f"this is not JSON: {error}") from None
    if not isinstance(document, list) or not all(isinstance(row, dict) for row in document):
        raise PointsError(
            f'a list of objects is needed, such as [{{"{REPLICAS}": 1, "{_THROUGHPUT}": 950}}].'
        )
    for number, row in enumerate(document):
        yield f"[{number}]", row


def _point(where: str, row: Mapping[str, Any]) -> LoadPoint:
    replicas, concurrency, throughput = (_number(where, name, row.get(name)) for name in _COLUMNS)
    if throughput is None:
        raise PointsError(f"{where}: {_THROUGHPUT} is missing.")
    return LoadPoint(replicas, concurrency, throughput)


def _number(where: str, name: str, value: Any) -> float | None:
    if value is None or value == "":
        return None
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not (math.isfinite(number) and number > 0):
        raise PointsError(f"{where}: {name} must be a positive number, not {value!r}.")
    return number


def save_points(file: Path, measured: Iterable[LoadPoint]) -> None:
    """Adds the points to a CSV file, which is made if it is not there. Raises `PointsError`.

    Runs with different numbers of replicas can so be collected in one file.
    """
    header = ",".join(_COLUMNS)
    exists = file.exists()
    if exists and file.read_text(encoding="utf-8").partition("\n")[0].strip() != header:
        raise PointsError(f"{file}: it begins with something else than {header}; save to another file.")
    with file.open("a", encoding="utf-8", newline="") as target:
        writer = csv.writer(target, lineterminator="\n")
        if not exists:
            writer.writerow(_COLUMNS)
        writer.writerows([_cell(value) for value in point] for point in measured)


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
