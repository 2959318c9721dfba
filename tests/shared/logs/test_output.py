import asyncio
import io
import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from shared.logs.formats import AccessLine, TextFormatter, here
from shared.logs.output import LineHandler

PROCESS = """
import asyncio, logging
from shared.logs.access import log_access
from shared.logs.setup import configure_logging

async def serve():
    for number in range(250):
        log_access("GET", f"/{number}", 200, 1_000_000)
        if number == 120:
            logging.getLogger("t").warning("between")

configure_logging("json", "customers", "customers-1")
asyncio.run(serve())
"""


class Stream(io.StringIO):
    """Counts the writes, and tells of the first."""

    def __init__(self) -> None:
        super().__init__()
        self.writes = 0
        self.written = asyncio.Event()

    def write(self, text: str) -> int:
        self.writes += 1
        self.written.set()
        return super().write(text)

    def paths(self) -> list[str]:
        """What was requested, in the order of the lines."""
        return [line.split()[4] for line in self.getvalue().splitlines()]


class BrokenStream(io.StringIO):
    """Nobody reads it any more."""

    def write(self, _text: str) -> int:
        raise BrokenPipeError


def request(path: str) -> AccessLine:
    return "GET", path, 200, 1_500_000, None, None, None, None, *here()


@pytest.fixture
def stream() -> Stream:
    return Stream()


@pytest.fixture
def handler(stream: Stream) -> LineHandler:
    return LineHandler(stream, TextFormatter())


def test_outside_of_a_loop_a_line_is_written_at_once(handler: LineHandler, stream: Stream) -> None:
    handler.access([request("/a")])
    assert stream.paths() == ["/a"]


async def test_lines_wait_for_one_another_but_not_for_long(handler: LineHandler, stream: Stream) -> None:
    handler.access([request("/a")])
    handler.access([request("/b")])
    assert stream.getvalue() == ""
    async with asyncio.timeout(10):
        await stream.written.wait()
    assert stream.paths() == ["/a", "/b"]
    assert stream.writes == 1


async def test_many_lines_do_not_wait(handler: LineHandler, stream: Stream) -> None:
    for number in range(100):
        handler.access([request(f"/{number}")])
    assert stream.paths() == [f"/{number}" for number in range(100)]
    assert stream.writes == 1


async def test_a_record_is_written_at_once_and_after_the_lines_before_it(
    handler: LineHandler, stream: Stream
) -> None:
    handler.access([request("/a")])
    handler.handle(logging.makeLogRecord({"levelname": "INFO", "name": "t", "msg": "GET /b"}))
    assert stream.paths() == ["/a", "/b"]


def test_a_line_does_not_wait_for_an_event_loop_that_has_ended(handler: LineHandler, stream: Stream) -> None:
    async def begin() -> None:
        handler.access([request("/a")])
        handler.flush()
        stream.written.clear()

    async def go_on() -> None:
        handler.access([request("/b")])
        await asyncio.wait_for(stream.written.wait(), 10)

    asyncio.run(begin())
    asyncio.run(go_on())
    assert stream.paths() == ["/a", "/b"]


async def test_a_stream_that_nobody_reads_fails_no_request(capsys: pytest.CaptureFixture[str]) -> None:
    handler = LineHandler(BrokenStream(), TextFormatter())
    for number in range(100):
        handler.access([request(f"/{number}")])
    assert "BrokenPipeError" in capsys.readouterr().err


def test_a_clean_end_loses_no_line_and_keeps_their_order() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROCESS],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    said = [line.get("path", line["message"]) for line in lines]
    expected = [f"/{number}" for number in range(250)]
    expected.insert(121, "between")
    assert said == expected
