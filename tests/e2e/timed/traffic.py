"""Callers of every kind, who look at the clock before they ask and after they are answered."""

import asyncio
import json
import random
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import count
from time import perf_counter_ns
from typing import Final, NamedTuple
from uuid import uuid4

from tests.gateway.caller import Answer, Caller, calling

_TIMING: Final = re.compile(rb"processing;dur=([\d.]+), network;dur=([\d.]+), system;dur=([\d.]+)")
_NAMES = count()


class Asked(NamedTuple):
    """One request as its caller saw it. `took_ns` is None for one that was not answered to its end.

    `timing` are the terms of `Server-Timing` in ms; `whole` says whether the answer came in one piece, so that those
    terms are final.
    """

    request_id: str
    kind: str
    status: int
    took_ns: int | None
    timing: tuple[float, float, float] | None
    whole: bool


class Traffic:
    """What is asked of a gateway laid out as `tests.e2e.timed.world` has it, and how it went."""

    def __init__(self, port: int, key: str) -> None:
        self._port = port
        self._key = key
        self._random = random.Random(4)  # noqa: S311 - nothing secret, and the same in every run
        self.asked: list[Asked] = []
        self.accounts: list[str] = []

    async def run(self, number: int, concurrency: int) -> None:
        """About so many requests more, by so many callers at a time."""
        until = len(self.asked) + number
        await asyncio.gather(*(self._caller(until) for _ in range(concurrency)))

    async def _caller(self, until: int) -> None:
        """Connects anew now and then, as after every ending that closes the connection."""
        while len(self.asked) < until:
            async with calling(self._port) as caller:
                for _ in range(self._random.randrange(5, 50)):
                    if len(self.asked) >= until:
                        return
                    kind = self._random.choices(list(KINDS), weights=[one[0] for one in KINDS.values()])[0]
                    if not await KINDS[kind][1](self, caller, kind):
                        break

    def head(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, key: str | None = None
    ) -> tuple[str, bytes]:
        """A request's name, by which the log and the traces know it, and its head."""
        request_id = f"timed-{next(_NAMES)}"
        fields = {
            "Host": "timed",
            "Authorization": f"Bearer {self._key if key is None else key}",
            "X-Request-Id": request_id,
            **(headers or {}),
        }
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
        return request_id, "\r\n".join(lines).encode()

    async def ask(
        self,
        caller: Caller,
        kind: str,
        method: str,
        path: str,
        body: bytes = b"",
        pieces: Sequence[bytes] = (),
        headers: Mapping[str, str] | None = None,
        key: str | None = None,
    ) -> Answer:
        """One request and its answer; the `pieces` of a body follow with pauses."""
        fields = {**(headers or {})}
        if body:
            fields["Content-Length"] = str(len(body))
        request_id, head = self.head(method, path, fields, key)
        sent_ns = perf_counter_ns()
        await caller.send(head + body)
        for piece in pieces:
            await asyncio.sleep(0.001)
            await caller.send(piece)
        return await self.answered(caller, kind, method, request_id, sent_ns)

    async def answered(self, caller: Caller, kind: str, method: str, request_id: str, sent_ns: int) -> Answer:
        """The next answer, and the note of it."""
        answer = await caller.answer(method.encode())
        took_ns = perf_counter_ns() - sent_ns
        whole = not answer.values(b"transfer-encoding") and len(answer.body) < 30_000
        told = answer.values(b"server-timing")
        match = _TIMING.fullmatch(told[0]) if len(told) == 1 else None
        timing = (float(match[1]), float(match[2]), float(match[3])) if match is not None else None
        self.asked.append(Asked(request_id, kind, answer.status, took_ns, timing, whole))
        return answer

    def left(self, kind: str, request_id: str) -> None:
        """The caller went away in the middle."""
        self.asked.append(Asked(request_id, kind, 0, None, None, False))

    def one(self, values: Sequence[str]) -> str:
        """Any of them."""
        return self._random.choice(values)


Kind = Callable[[Traffic, Caller, str], Awaitable[bool]]
"""Asks; whether the connection can be used further."""


def _plain(method: str, *paths: str, weight: float, key: str | None = None) -> tuple[float, Kind]:
    async def ask(traffic: Traffic, caller: Caller, kind: str) -> bool:
        answer = await traffic.ask(caller, kind, method, traffic.one(paths), key=key)
        return not answer.closes

    return weight, ask


async def _read(traffic: Traffic, caller: Caller, kind: str) -> bool:
    if not traffic.accounts:
        return await _write(traffic, caller, "write")
    return not (
        await traffic.ask(caller, kind, "GET", f"/v1/accounts/{traffic.one(traffic.accounts)}")
    ).closes


async def _write(traffic: Traffic, caller: Caller, kind: str) -> bool:
    body = json.dumps({"name": f"Timed {uuid4()}"}).encode()
    answer = await traffic.ask(
        caller, kind, "POST", "/v1/accounts", body, headers={"Content-Type": "application/json"}
    )
    if answer.status == 201:
        traffic.accounts.append(json.loads(answer.body)["id"])
    return not answer.closes


async def _change(traffic: Traffic, caller: Caller, kind: str) -> bool:
    if not traffic.accounts:
        return await _write(traffic, caller, "write")
    path = f"/v1/accounts/{traffic.one(traffic.accounts[-50:])}"
    headers = {"Content-Type": "application/merge-patch+json"}
    return not (await traffic.ask(caller, kind, "PATCH", path, b'{"employees":4}', headers=headers)).closes


async def _missing(traffic: Traffic, caller: Caller, kind: str) -> bool:
    path = traffic.one([f"/v1/accounts/{uuid4()}", "/nowhere", "/v1/nothing"])
    return not (await traffic.ask(caller, kind, "GET", path)).closes


async def _invalid(traffic: Traffic, caller: Caller, kind: str) -> bool:
    headers = {"Content-Type": "application/json"}
    return not (
        await traffic.ask(caller, kind, "POST", "/v1/accounts", b'{"name":7}', headers=headers)
    ).closes


async def _too_large(traffic: Traffic, caller: Caller, kind: str) -> bool:
    answer = await traffic.ask(
        caller, kind, "POST", "/echo/sink", headers={"Content-Length": "3000000"}, pieces=[b"x" * 100]
    )
    return not answer.closes


async def _small_upload(traffic: Traffic, caller: Caller, kind: str) -> bool:
    """A body that comes in its own time, and goes on as a whole."""
    path = traffic.one(["/echo/sink", "/faults/takes"])
    pieces = [b"x" * 500, b"y" * 500]
    return not (
        await traffic.ask(caller, kind, "POST", path, pieces=pieces, headers={"Content-Length": "1000"})
    ).closes


async def _large_upload(traffic: Traffic, caller: Caller, kind: str) -> bool:
    """One that is passed on as it comes."""
    path = traffic.one(["/echo/sink", "/faults/takes"])
    pieces = [b"x" * 50_000] * 4
    return not (
        await traffic.ask(caller, kind, "POST", path, pieces=pieces, headers={"Content-Length": "200000"})
    ).closes


async def _chunked_upload(traffic: Traffic, caller: Caller, kind: str) -> bool:
    path = traffic.one(["/echo/sink", "/faults/takes"])
    pieces = [b"3e8\r\n" + b"x" * 1_000 + b"\r\n", b"3e8\r\n" + b"x" * 1_000 + b"\r\n0\r\n\r\n"]
    headers = {"Transfer-Encoding": "chunked"}
    return not (await traffic.ask(caller, kind, "POST", path, pieces=pieces, headers=headers)).closes


async def _slow_head(traffic: Traffic, caller: Caller, kind: str) -> bool:
    request_id, head = traffic.head("GET", traffic.one(["/faults/none", "/nowhere"]))
    sent_ns = perf_counter_ns()
    for piece in (head[:7], head[7:50], head[50:]):
        await caller.send(piece)
        await asyncio.sleep(0.001)
    return not (await traffic.answered(caller, kind, "GET", request_id, sent_ns)).closes


async def _pipelined(traffic: Traffic, caller: Caller, kind: str) -> bool:
    """Several requests, of which some come while others are under way."""
    paths = ["/faults/waits?ms=2", "/v1/accounts?limit=1", "/echo/x", "/nowhere"]
    under_way = []
    for number in range(6):
        request_id, head = traffic.head("GET", paths[number % len(paths)])
        under_way.append((request_id, perf_counter_ns()))
        await caller.send(head)
        if number % 2:
            await asyncio.sleep(0.0005)
    for request_id, sent_ns in under_way:
        if (await traffic.answered(caller, kind, "GET", request_id, sent_ns)).closes:
            return False
    return True


async def _leaves(traffic: Traffic, caller: Caller, kind: str) -> bool:
    """Before the answer."""
    path = traffic.one(["/faults/waits?ms=30", "/echo/slow?s=0.03", "/faults/database?ms=30"])
    request_id, head = traffic.head("GET", path)
    await caller.send(head)
    await asyncio.sleep(0.004)
    traffic.left(kind, request_id)
    return False


async def _leaves_an_answer(traffic: Traffic, caller: Caller, kind: str) -> bool:
    """In the middle of it."""
    path = traffic.one(["/faults/streams?pieces=20&ms=3", "/echo/source?bytes=20000000"])
    request_id, head = traffic.head("GET", path)
    await caller.send(head)
    await caller.until(b"\r\n\r\n")
    await asyncio.sleep(0.005)
    traffic.left(kind, request_id)
    return False


async def _leaves_an_upload(traffic: Traffic, caller: Caller, kind: str) -> bool:
    length = traffic.one(["1000", "500000"])
    request_id, head = traffic.head("POST", "/echo/sink", {"Content-Length": length})
    await caller.send(head + b"x" * 900)
    await asyncio.sleep(0.002)
    traffic.left(kind, request_id)
    return False


async def _cut_short(traffic: Traffic, caller: Caller, kind: str) -> bool:
    """The replica ends its answer in the middle."""
    request_id, head = traffic.head("GET", "/echo/cut")
    await caller.send(head)
    await caller.rest()
    traffic.left(kind, request_id)
    return False


KINDS: Final[dict[str, tuple[float, Kind]]] = {
    "list": _plain(
        "GET", "/v1/accounts?limit=5", "/v1/accounts?limit=20&sort=-created_at", "/v1/contacts", weight=14
    ),
    "read": (20, _read),
    "write": (6, _write),
    "change": (4, _change),
    "cached": _plain("GET", "/cached/v1/accounts?limit=3", "/cached/v1/contacts", weight=8),
    "head": _plain("HEAD", "/v1/accounts", "/echo/x", weight=2),
    "missing": (4, _missing),
    "invalid": (2, _invalid),
    "no key": _plain("GET", "/v1/accounts", weight=3, key="wrong"),
    "bad path": _plain("GET", "/v1/../v2", weight=1),
    "bad method": _plain("TRACE", "/v1/accounts", "/docs", weight=1),
    "too large": (1, _too_large),
    "own page": _plain("GET", "/docs", weight=2),
    "probe": _plain("GET", "/livez", "/readyz", weight=1),
    "nothing to do": _plain("GET", "/faults/none", "/echo/x", "/echo/status?code=204", weight=8),
    "fails": _plain("GET", "/echo/status?code=500", "/echo/status?code=503", weight=2),
    "waits": _plain("GET", "/faults/waits?ms=3", "/faults/database?ms=3", "/faults/blocks?ms=1", weight=4),
    "fans out": _plain("GET", "/faults/calls?ms=2&count=3", weight=1),
    "streamed": _plain(
        "GET", "/faults/streams?pieces=3&ms=1", "/echo/source?bytes=200000", "/echo/source?bytes=90000&length=1",
        weight=4,
    ),
    "retried": _plain("GET", "/pair/faults/fails?ms=1&only=one", weight=3),
    "hedged": _plain("GET", "/hedged/faults/waits?ms=25&only=one", weight=3),
    "queued": _plain("GET", "/queued/faults/waits?ms=1", weight=3),
    "too late": _plain("GET", "/late/faults/waits?ms=150", weight=0.5),
    "slow head": (2, _slow_head),
    "small upload": (3, _small_upload),
    "large upload": (2, _large_upload),
    "chunked upload": (2, _chunked_upload),
    "pipelined": (1.5, _pipelined),
    "leaves": (2, _leaves),
    "leaves an answer": (1.5, _leaves_an_answer),
    "leaves an upload": (1, _leaves_an_upload),
    "cut short": (0.5, _cut_short),
}  # fmt: skip
"""How often each kind of request is made, and how."""
