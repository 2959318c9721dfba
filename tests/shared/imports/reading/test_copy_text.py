"""COPY's text format, against PostgreSQL itself."""

from io import BytesIO

import asyncpg
from hypothesis import given
from hypothesis import strategies as st

from deploy.local.postgres import PostgresServer
from shared.imports.reading.copy_text import to_copy_text

COLUMNS = [
    [
        "plain",
        "tab\there",
        "line\nend",
        "cr\rlf\r\n",
        "back\\slash",
        "\\N",
        "\\.",
        "",
        "é😀\u2028",
        "\\\t\\n",
        None,
    ],
    [None, "", "x", None, "\\", "t", "n", "\\N", None, "\x01\x7f", None],
]


async def test_postgres_reads_back_what_was_written(postgres: PostgresServer) -> None:
    connection = await asyncpg.connect(postgres.url("postgres"))
    try:
        await connection.execute("CREATE TEMP TABLE copied (n serial, a text, b text)")
        for columns in (COLUMNS, [["a", None, "c"], ["1", "2", None]]):
            await connection.execute("TRUNCATE copied RESTART IDENTITY")
            source = BytesIO(to_copy_text(columns))
            await connection.copy_to_table("copied", source=source, columns=["a", "b"], format="text")
            rows = await connection.fetch("SELECT a, b FROM copied ORDER BY n")
            assert [tuple(row) for row in rows] == list(zip(*columns, strict=True))
    finally:
        await connection.close()


def test_nothing_to_write() -> None:
    assert to_copy_text([]) == b""
    assert to_copy_text([[], []]) == b""


_ESCAPED = {"\\\\": "\\", "\\t": "\t", "\\n": "\n", "\\r": "\r"}


def unescaped(field: str) -> str | None:
    if field == "\\N":
        return None
    parts, position = [], 0
    while position < len(field):
        step = 2 if field[position] == "\\" else 1
        parts.append(_ESCAPED.get(field[position : position + step], field[position : position + step]))
        position += step
    return "".join(parts)


@given(st.lists(st.tuples(*[st.none() | st.text("aN\\\t\n\r.", max_size=4)] * 3), min_size=1, max_size=6))
def test_every_cell_comes_back(rows: list[tuple[str | None, ...]]) -> None:
    written = to_copy_text([list(column) for column in zip(*rows, strict=True)]).decode()
    assert written.endswith("\n")
    read = [tuple(unescaped(field) for field in line.split("\t")) for line in written[:-1].split("\n")]
    assert read == rows
