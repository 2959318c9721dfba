"""Reading bytes whole, cut into chunks as a test likes, and where the published files lie."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path

import pytest

from shared.imports.reading.dialect import Dialect
from shared.imports.reading.encoding import choose_encoding
from shared.imports.reading.errors import RowError
from shared.imports.reading.records import Limits, RecordReader

PUBLISHED = Path(__file__).parents[5] / "shared" / "data"


@dataclass(frozen=True)
class Read:
    """What a file gave."""

    header: tuple[str, ...]
    rows: list[tuple[str, ...]]
    numbers: list[int]
    lines: list[int]
    errors: list[RowError]

    def faults(self) -> list[tuple[int, int, str]]:
        """Each error's row, line and code."""
        return [(error.row, error.line, error.code) for error in self.errors]


def read(
    data: bytes,
    dialect: Dialect | None = None,
    *,
    cuts: Iterable[int] = (),
    encoding: str | None = None,
    has_header: bool = True,
    limits: Limits | None = None,
) -> Read:
    """Reads `data` in chunks that end at `cuts`."""
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    reader = RecordReader(
        [data[start:end] for start, end in pairwise(edges)],
        dialect or Dialect(),
        choose_encoding(encoding, data),
        has_header=has_header,
        limits=limits,
    )
    header = reader.header
    batches = list(reader)
    assert reader.bytes_read == len(data)
    return Read(
        header,
        list(chain.from_iterable(batch.rows for batch in batches)),
        list(chain.from_iterable(batch.numbers for batch in batches)),
        list(chain.from_iterable(batch.lines for batch in batches)),
        list(chain.from_iterable(batch.errors for batch in batches)),
    )


def published(*parts: str) -> Path:
    """A file or folder of the published data; skips the test where a checkout has none beside it."""
    path = PUBLISHED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"the published data is not beside this checkout: {path.name} is missing")
    return path


def chunks_of(path: Path, size: int = 65536) -> Iterator[bytes]:
    """A file's bytes."""
    with path.open("rb") as file:
        while chunk := file.read(size):
            yield chunk
