"""Fuzzing what reads bytes from strangers: request heads, chunked bodies, heads of answers.

    python -m tests.fuzz.gateway --seconds 300 [--seed 7]

With `atheris` installed its coverage-guided mutations are used, else the seeded ones below, which the tests run as
well. A finding is an exception that is not documented, or a check below that fails; its input is printed.
"""

import argparse
import importlib.util
import random
import re
import sys
import time
from collections.abc import Callable
from typing import Any

from services.gateway.forwarding.answer_head import CHUNKED, UNTIL_CLOSE, BadAnswerError, parse_answer_head
from services.gateway.protocol.framing import BadChunkError, ChunkedReader
from tests.gateway.protocol.agreement import assert_agreed, assert_same_end, verdict
from tests.gateway.protocol.memory import forget_requests
from tests.gateway.protocol.references import by_h11, by_httptools

REQUESTS = [
    b"GET /x?q=1 HTTP/1.1\r\nHost: a\r\nAccept: */*\r\nX-Request-Id: 1\r\nConnection: keep-alive",
    b"POST /x HTTP/1.1\r\nHost: a:80\r\nContent-Length: 5\r\nExpect: 100-continue\r\nIdempotency-Key: 1",
    b"PUT /x HTTP/1.1\r\nhost: [::1]\r\ntransfer-encoding:\tchunked\r\nTrailer: x\r\nVia: 1.0 a\r\nVia: 1.1 b",
    b"GET http://a/x HTTP/1.1\r\nHost: a\r\nConnection: close, X-A\r\nX-A: 1\r\nTE: trailers",
    b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13",
    b"HEAD / HTTP/1.0\r\nX-Kontor-Identity: forged\r\ntraceparent: 00-"
    + b"a" * 32
    + b"-"
    + b"b" * 16
    + b"-01",
]
BODIES = [
    b"5\r\nhello\r\n0\r\n\r\n",
    b"00A\r\n0123456789\r\n1\r\n!\r\n0\r\nA: b\r\nC: d\r\n\r\nGET /",
    b"0\r\n\r\n",
]
ANSWERS = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nX-Kontor-Terms: 1",
    b'HTTP/1.0 304 Not Modified\r\nETag: "x"\r\nConnection: close, X-A\r\nX-A: 1\r\nVia: 1.1 a',
    b"HTTP/1.1 206\r\ntransfer-encoding: chunked\r\nTrailer: x\r\nEndpoint-Load-Metrics: TEXT eps=1",
]
WORDS = [
    *(
        b"\r\n",
        b"\r",
        b"\n",
        b"\r\n\r\n",
        b" ",
        b"\t",
        b":",
        b": ",
        b",",
        b";",
        b"\x00",
        b"\x0b",
        b"\x7f",
        b"\x80",
        b"\xff",
    ),
    *(
        b"0",
        b"5",
        b"00",
        b"a",
        b"F",
        b"+",
        b"-",
        b"0x",
        b"9" * 16,
        b"f" * 15,
        b"f" * 16,
        b"?",
        b"#",
        b"%2e",
        b"/",
        b"//",
    ),
    *(
        b"Host: a",
        b"Host",
        b"Content-Length: 5",
        b"Content-Length",
        b"Transfer-Encoding: chunked",
        b"chunked",
        b"gzip",
    ),
    *(
        b"Connection: close",
        b"Connection: host",
        b"Upgrade: websocket",
        b"Expect: 100-continue",
        b"X-Request-Id: 2",
    ),
    *(
        b"HTTP/1.1",
        b"HTTP/1.0",
        b"HTTP/2.0",
        b"GET",
        b"CONNECT",
        b"http://a",
        b"X: y",
        b"_",
        b"X_Kontor_Identity: x",
    ),
]

_LINE = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*")


def fuzz_request(data: bytes) -> bool:
    """One head; whether it was accepted."""
    accepted = assert_agreed(by_httptools, data)
    assert_agreed(by_h11, data)
    warm = verdict(data)
    forget_requests()
    assert verdict(data) == warm
    return accepted


def fuzz_chunks(data: bytes) -> bool:
    """One body, whole and byte by byte; whether it ended, and with little behind it."""
    whole = _read_chunks([data])
    assert _read_chunks([data[at : at + 1] for at in range(len(data))]) == whole
    for reference in (by_httptools, by_h11):
        assert_same_end(reference, data)
    # With more behind the end, most changes would change nothing.
    return whole is not None and whole[2] and b"0\r\n" in data[-40:]


def _read_chunks(pieces: list[bytes]) -> tuple[bytes, list[bytes], bool] | None:
    """Content, trailers and whether it ended, or None where a mistake shows before the end."""
    reader, content = ChunkedReader(), b""
    try:
        for piece in pieces:
            if not reader.ended:
                content += b"".join(reader.feed(piece))
        if not reader.ended:
            # What a mistake is, may show at the next byte: then at any.
            reader.feed(b"\x00\n\x00\n")
    except BadChunkError:
        return None
    assert len(content) + len(b"".join(reader.trailers)) <= sum(map(len, pieces)) + 4
    return content, reader.trailers, reader.ended


def fuzz_answer(data: bytes) -> bool:
    """One head; whether it was accepted."""
    accepted = False
    for is_head in (False, True):
        try:
            head = parse_answer_head(data, is_head)
        except BadAnswerError:
            continue
        accepted = True
        assert 100 <= head.status <= 999
        assert head.length >= 0 or head.length in (CHUNKED, UNTIL_CLOSE)
        assert head.length == 0 or not is_head
        assert head.close or head.length != UNTIL_CLOSE
        lines = head.onward.split(b"\r\n")
        assert lines.pop() == b""
        assert all(_LINE.fullmatch(line) for line in lines)
        assert not any(
            line.lower().startswith((b"x-kontor-", b"connection:", b"transfer-encoding:")) for line in lines
        )
    return accepted


TARGETS: dict[str, tuple[Callable[[bytes], bool], list[bytes]]] = {
    "request": (fuzz_request, REQUESTS),
    "chunks": (fuzz_chunks, BODIES),
    "answer": (fuzz_answer, ANSWERS),
}


class Mutator:
    """Inputs near those that were accepted: a known beginning, changed in a few places."""

    _MOST_KEPT = 500

    def __init__(self, seeds: list[bytes], seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - reproducible on purpose
        self._seeds = list(seeds)
        self._kept = list(seeds)

    def make(self) -> bytes:
        data = self._random.choice(self._kept)
        for _ in range(self._random.choice((1, 1, 1, 2, 3, 5))):
            data = self._change(data)
        return data

    def keep(self, data: bytes) -> None:
        """It was accepted: others shall be made of it."""
        if len(data) < 600:
            self._kept.append(data)
        if len(self._kept) > self._MOST_KEPT:
            self._kept = self._seeds + self._kept[-self._MOST_KEPT // 2 :]

    def _change(self, data: bytes) -> bytes:
        pick = self._random
        at, until = sorted((pick.randrange(len(data) + 1), pick.randrange(len(data) + 1)))
        kind = pick.randrange(6)
        if kind == 0:
            return data[:at] + pick.choice(WORDS) + data[at:]
        if kind == 1:
            return data[:at] + pick.choice(WORDS) + data[at + 1 :]
        if kind == 2:
            return data[:at] + bytes([pick.randrange(256)]) + data[at + 1 :]
        if kind == 3:
            return data[:at] + data[min(until, at + 20) :]
        if kind == 4:
            return data[:until] + data[at:until] + data[until:]
        return self._lines(data)

    def _lines(self, data: bytes) -> bytes:
        lines = data.split(b"\r\n")
        lines.insert(self._random.randrange(len(lines) + 1), self._random.choice(WORDS))
        return b"\r\n".join(lines)


class Finding(AssertionError):
    """An input that does what none may."""


def run(name: str, *, seed: int, count: int = sys.maxsize, seconds: float = float("inf")) -> tuple[int, int]:
    """Mutate until `count` or `seconds` is reached; how many inputs, and how many of them were accepted.

    Raises `Finding`.
    """
    target, seeds = TARGETS[name]
    mutator = Mutator(seeds, seed)
    end = time.monotonic() + seconds
    made = accepted = 0
    while made < count and time.monotonic() < end:
        data = mutator.make()
        made += 1
        try:
            if target(data):
                accepted += 1
                mutator.keep(data)
        except Exception as error:
            raise Finding(f"{name}: {data!r}") from error
    return made, accepted


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if importlib.util.find_spec("atheris") is not None:
        _run_atheris(importlib.import_module("atheris"), options.seconds, options.seed)
    for name in TARGETS:
        made, accepted = run(name, seed=options.seed, seconds=options.seconds / len(TARGETS))
        print(f"{name}: {made} inputs, {accepted} of them accepted, no finding")


def _run_atheris(atheris: Any, seconds: int, seed: int) -> None:
    """The first byte chooses the target; ends the process."""
    targets = [target for target, _ in TARGETS.values()]
    atheris.instrument_all()

    def one(data: bytes) -> None:
        if data:
            targets[data[0] % len(targets)](data[1:])

    atheris.Setup([sys.argv[0], f"-max_total_time={seconds}", f"-seed={seed}", "-max_len=600"], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
