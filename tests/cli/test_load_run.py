"""The load against a server of this test's own, which answers in every way that HTTP/1.1 allows."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import cycle

import pytest

from cli.load_run import LoadError, Target, check_plan, run_step, target_of

FIXED = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: 1\r\n\r\n"
)
EMPTY = b"HTTP/1.1 204 No Content\r\n\r\n"
UNTIL_THE_END = b"HTTP/1.1 200 OK\r\n\r\neverything"
LAST = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
CUT_SHORT = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nno"


class Server:
    """Gives the answers in turn; one that does not keep its connection closes it."""

    def __init__(self, answers: Sequence[bytes], pause_s: float = 0.0) -> None:
        self._answers = cycle(answers)
        self._pause_s = pause_s
        self.requests: set[bytes] = set()
        self.connections = 0
        self.under_way = 0
        self.most_under_way = 0

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[int]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                self.requests.add(await reader.readuntil(b"\r\n\r\n"))
                answer = next(self._answers)
                self.under_way += 1
                self.most_under_way = max(self.most_under_way, self.under_way)
                await asyncio.sleep(self._pause_s)
                self.under_way -= 1
                writer.write(answer)
                if answer in (UNTIL_THE_END, LAST, CUT_SHORT):
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


async def test_answers_of_every_kind_are_counted() -> None:
    server = Server([FIXED, CHUNKED, EMPTY, UNTIL_THE_END, LAST], pause_s=0.001)
    async with server.serving() as port:
        step = await run_step(Target(port, "/v1/x?y=1", "the-key"), 3, 0.2)
    assert step.good > 5
    assert not step.bad
    assert step.throughput == step.good / 0.2
    assert step.good_s > 0
    assert server.most_under_way == 3
    (request,) = server.requests
    assert request == (
        b"GET /v1/x?y=1 HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAccept: */*\r\nAuthorization: Bearer the-key\r\n\r\n"
        % port
    )


async def test_connections_are_kept() -> None:
    server = Server([FIXED, CHUNKED, EMPTY])
    async with server.serving() as port:
        step = await run_step(Target(port, "/"), 2, 0.1)
    assert step.good > server.connections == 2


async def test_bad_answers_do_not_count() -> None:
    server = Server([FIXED, FIXED, b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", CUT_SHORT])
    async with server.serving() as port:
        step = await run_step(Target(port, "/"), 8, 0.4)
    assert step.good
    assert step.bad["503"]
    assert any("bytes" in what for what in step.bad), "what is cut short is told"


@pytest.mark.parametrize(
    ("status", "hint"),
    [
        ("401 Unauthorized", "give an API key"),
        ("429 Too Many Requests", "the key's rate limit"),
        ("404 Not Found", "x 404"),
    ],
)
async def test_no_good_answer_at_all(status: str, hint: str) -> None:
    server = Server([f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode()])
    async with server.serving() as port:
        with pytest.raises(LoadError, match=f"With 2 connections no answer was good: .*{hint}"):
            await run_step(Target(port, "/"), 2, 0.2)


async def test_nobody_there() -> None:
    async with Server([FIXED]).serving() as port:
        pass
    with pytest.raises(LoadError, match="Connect call failed"):
        await run_step(Target(port, "/"), 1, 0.2)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/",
        "http://localhost:8000/",
        "http://127.0.0.2/",
        "https://127.0.0.1/",
        "http://127.0.0.1.example.org/",
        "http://127.0.0.1@example.org/",
        "127.0.0.1:8000/",
        "",
    ],
)
def test_no_other_machine(url: str) -> None:
    with pytest.raises(LoadError, match="only put on this machine"):
        target_of(url, "")


def test_targets() -> None:
    assert target_of("http://127.0.0.1:8000/v1/deals?limit=1#x", "k") == Target(
        8000, "/v1/deals?limit=1", "k"
    )
    assert target_of("http://127.0.0.1", "") == Target(80, "/", "")
    for url, key in (
        ("http://127.0.0.1/a b", ""),
        ("http://127.0.0.1/", "a\r\nX: y"),
        ("http://127.0.0.1/ä", ""),
    ):
        with pytest.raises(LoadError, match="must be ASCII without spaces"):
            target_of(url, key)
    with pytest.raises(LoadError, match="is no URL"):
        target_of("http://127.0.0.1:port/", "")


def test_the_plan_is_bounded() -> None:
    check_plan([1, 2, 4, 8, 16, 32], 5)
    for steps, seconds, words in (
        ([1, 2, 2], 5, "three different steps"),
        ([0, 1, 2], 5, "from 1 to 256"),
        ([1, 2, 257], 5, "from 1 to 256"),
        ([1, 2, 3, 4, 5, 6], 100, "more than 600 s"),
    ):
        with pytest.raises(LoadError, match=words):
            check_plan(steps, seconds)
