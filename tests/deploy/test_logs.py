import io
import json
from pathlib import Path

import pytest

from deploy.local import logs
from deploy.local.logs import Console, LineSplitter, LogSink, as_json


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class _Closed(io.StringIO):
    def write(self, _: str) -> int:
        raise BrokenPipeError


def _written(stream: io.StringIO, tmp_path: Path, *, json_lines: bool = False) -> str:
    console = Console(stream)
    sink = LogSink(tmp_path, console, json_lines=json_lines, width=8)
    sink.write("sales-1", "hello")
    sink.write("gateway", '{"message": "hi"}')
    sink.close()
    console.close()
    return stream.getvalue()


def test_lines_are_prefixed_without_colours_in_a_pipe(tmp_path: Path) -> None:
    assert _written(io.StringIO(), tmp_path) == 'sales-1  | hello\ngateway  | {"message": "hi"}\n'


def test_a_terminal_gets_a_colour_per_process(tmp_path: Path) -> None:
    first, second = _written(_Terminal(), tmp_path).splitlines()
    assert first.startswith("\x1b[")
    assert first.endswith("\x1b[0m hello")
    assert first[:5] != second[:5]


def test_json_lines(tmp_path: Path) -> None:
    wrapped, passed = _written(io.StringIO(), tmp_path, json_lines=True).splitlines()
    assert json.loads(wrapped)["process"] == "sales-1"
    assert json.loads(wrapped)["message"] == "hello"
    assert passed == '{"message": "hi"}'


@pytest.mark.parametrize("line", ["{not json", "{}x", "[1]", "", "\x1b[1m", "naïve"])
def test_whatever_is_no_json_object_becomes_one(line: str) -> None:
    assert json.loads(as_json("postgres", line))["message"] == line


def test_every_process_has_its_file(tmp_path: Path) -> None:
    _written(io.StringIO(), tmp_path)
    _written(io.StringIO(), tmp_path)
    assert (tmp_path / "sales-1.log").read_text() == "hello\nhello\n"


def test_a_large_file_is_put_aside_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "_LARGEST_FILE_BYTES", 10)
    console = Console(io.StringIO())
    sink = LogSink(tmp_path, console, json_lines=False, width=8)
    for number in range(9):
        sink.write("gateway", f"line {number}")
    sink.close()
    console.close()
    assert (tmp_path / "gateway.log.1").read_text() == "line 6\nline 7\n"
    assert (tmp_path / "gateway.log").read_text() == "line 8\n"


def test_the_last_lines_are_remembered(tmp_path: Path) -> None:
    console = Console(io.StringIO())
    sink = LogSink(tmp_path, console, json_lines=False, width=8)
    for number in range(30):
        sink.write("gateway", str(number))
    assert sink.last_lines("gateway") == [str(number) for number in range(10, 30)]
    assert sink.last_lines("nobody") == []
    sink.close()
    console.close()


def test_a_reader_who_has_gone_stops_nothing(tmp_path: Path) -> None:
    console = Console(_Closed())
    sink = LogSink(tmp_path, console, json_lines=False, width=8)
    for _ in range(20_000):
        sink.write("gateway", "hello")
    sink.close()
    console.close()
    assert (tmp_path / "gateway.log").read_text().count("\n") == 20_000


def test_the_status_stays_below_the_lines() -> None:
    stream = _Terminal()
    console = Console(stream)
    console.status("50 %")
    console.line("hello")
    console.status("")
    console.close()
    assert stream.getvalue() == "\r\x1b[2K50 %\r\x1b[2Khello\n50 %\r\x1b[2K"


def test_no_status_without_a_terminal() -> None:
    stream = io.StringIO()
    console = Console(stream)
    console.status("50 %")
    console.close()
    assert stream.getvalue() == ""


def test_lines_come_out_whole_however_they_come_in() -> None:
    splitter = LineSplitter()
    data = "één\r\ntwee\n\ndrie".encode()
    lines = [line for index in range(len(data)) for line in splitter.feed(data[index : index + 1])]
    assert lines == ["één", "twee", ""]
    assert splitter.rest() == ["drie"]
    assert splitter.rest() == []


def test_a_line_without_end_is_cut() -> None:
    splitter = LineSplitter()
    lines = [line for _ in range(30) for line in splitter.feed(b"x" * 100_000)]
    assert sum(map(len, lines + splitter.rest())) == 3_000_000
    assert lines


def test_bytes_that_are_no_text_are_shown_as_such() -> None:
    assert LineSplitter().feed(b"\xff\n") == ["\N{REPLACEMENT CHARACTER}"]
