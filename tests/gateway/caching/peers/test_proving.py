"""Asking a service what was committed that we were not told."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import pytest

from services.gateway.caching.peers.proving import Proof, ProofError, Prover
from services.gateway.caching.peers.rule import PeersRule
from shared.identity.signer import IdentitySigner
from shared.testing.services import Keys

TENANT = UUID("01900000-0000-7000-8000-000000000001")
SCOPE = b"customers/" + str(TENANT).encode()


class Stamping:
    """What was stamped, in order."""

    def __init__(self) -> None:
        self.made: list[tuple[bytes, tuple[bytes, ...] | None, int]] = []

    def stamp(self, scope: bytes, tags: Iterable[bytes], now_ns: int) -> None:
        self.made.append((scope, tuple(tags), now_ns))

    def stamp_scope(self, scope: bytes, now_ns: int) -> None:
        self.made.append((scope, None, now_ns))


def answer(moment: str, *tags: str, reset: bool = False) -> dict[str, Any]:
    changes = [{"tenant_id": str(TENANT), "tags": list(tags)}] if tags else []
    return {"moment": moment, "reset": reset, "changes": changes}


def test_what_was_before_the_first_answer_is_not_known() -> None:
    stamping = Stamping()
    proof = Proof("customers", stamping)
    assert proof.question(5) == ""
    proof.take(answer("7@5:5:", reset=True), 9, 10)
    assert (stamping.made, proof.question(11)) == ([(b"customers", None, 10)], "7@5:5:")


def test_what_was_committed_since_is_stamped() -> None:
    stamping = Stamping()
    proof = Proof("customers", stamping)
    proof.take(answer("7@5:5:", reset=True), 9, 10)
    proof.take(answer("7@6:6:", "accounts/1", "accounts/*"), 19, 20)
    assert stamping.made[1:] == [(SCOPE, (b"accounts/1", b"accounts/*"), 20)]
    proof.take(answer("7@7:7:", reset=True), 29, 30)
    assert (stamping.made[2:], proof.resets) == ([(b"customers", None, 30)], 2)


def test_an_answer_that_was_overtaken_is_heeded_and_forgotten() -> None:
    stamping = Stamping()
    proof = Proof("customers", stamping)
    proof.take(answer("7@5:5:", reset=True), 1, 10)
    proof.take(answer("7@7:7:", "accounts/1", "accounts/2"), 12, 20)
    proof.take(answer("7@6:6:", "accounts/1"), 11, 30)
    assert [now_ns for _, _, now_ns in stamping.made] == [10, 20, 30]
    assert proof.question(40) == "7@7:7:"


def test_after_a_long_silence_everything_may_have_changed() -> None:
    stamping = Stamping()
    proof = Proof("customers", stamping)
    proof.take(answer("7@5:5:", reset=True), 9, 10)
    assert proof.question(10 + 60_000_000_000) == "7@5:5:"
    assert proof.question(11 + 60_000_000_000) == ""


@pytest.mark.parametrize(
    "document",
    [None, [], {}, {"moment": "a", "reset": False}, answer("a", "ü"), answer("a") | {"changes": [1]}],
)
def test_anything_else_proves_nothing_and_stamps_nothing(document: Any) -> None:
    stamping = Stamping()
    with pytest.raises(ProofError):
        Proof("customers", stamping).take(document, 9, 10)
    assert stamping.made == []


class Replica:
    """Answers one question after the other with what it is given; None: not at all."""

    def __init__(self) -> None:
        self.answers: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.questions: asyncio.Queue[str] = asyncio.Queue()
        self.address = ""
        self._serving: list[asyncio.Task[None]] = []

    def say(self, document: Any, status: int = 200) -> None:
        body = json.dumps(document).encode()
        self.answers.put_nowait(
            b"HTTP/1.1 %d Any\r\ncontent-length: %d\r\n\r\n%b" % (status, len(body), body)
        )

    async def end(self) -> None:
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._serving.append(asyncio.create_task(self._serve(reader, writer)))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.questions.put_nowait(head.split(b" ")[1].decode())
                said = await self.answers.get()
                if said is None:
                    break
                writer.write(said)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()


@asynccontextmanager
async def replicas(count: int) -> AsyncIterator[list[Replica]]:
    made = [Replica() for _ in range(count)]
    servers = [await asyncio.start_server(one.serve, "127.0.0.1", 0) for one in made]
    for one, server in zip(made, servers, strict=True):
        host, port = server.sockets[0].getsockname()
        one.address = f"{host}:{port}"
    try:
        yield made
    finally:
        for server in servers:
            server.close()
        for one in made:
            await one.end()


@pytest.fixture
def signer(tmp_path: Any) -> IdentitySigner:
    return IdentitySigner(Keys.make(tmp_path).private_pem)


async def test_replicas_are_asked_in_turn_and_nobody_waits_for_a_slow_one(signer: IdentitySigner) -> None:
    stamping, proven = Stamping(), asyncio.Queue[tuple[str, int]]()
    async with replicas(2) as (slow, quick), asyncio.timeout(30):
        prover = Prover(
            "customers",
            "customers",
            lambda: [slow.address, quick.address],
            signer,
            stamping,
            PeersRule(freshness_ns=60_000_000_000),
            lambda upstream, asked_ns: proven.put_nowait((upstream, asked_ns)),
        )
        prover.start()
        assert await slow.questions.get() == "/internal/changes?since="
        quick.say(answer("7@5:5:", reset=True))
        prover.ask_now()
        upstream, asked_ns = await proven.get()
        prover.ask_now()
        assert await slow.questions.get() == "/internal/changes?since=7@5:5:"
        quick.say(answer("7@6:6:", "accounts/1"))
        prover.ask_now()
        assert (await proven.get())[1] > asked_ns
        slow.say({"no": "answer"})
        await prover.stop()
    assert upstream == "customers"
    assert [await quick.questions.get() for _ in range(2)] == [
        "/internal/changes?since=",
        "/internal/changes?since=7@5:5:",
    ]
    assert [scope for scope, _, _ in stamping.made] == [b"customers", SCOPE]


async def test_what_answers_something_else_proves_nothing(signer: IdentitySigner) -> None:
    stamping = Stamping()
    async with replicas(1) as (replica,), asyncio.timeout(30):
        prover = Prover(
            "customers",
            "customers",
            lambda: [replica.address],
            signer,
            stamping,
            PeersRule(freshness_ns=60_000_000_000),
            lambda upstream, asked_ns: stamping.stamp_scope(b"proven", asked_ns),
        )
        replica.say({"no": "answer"})
        replica.say(answer("7@5:5:"), status=503)
        prover.start()
        while prover.describe()["failures"] < 2:
            prover.ask_now()
            await asyncio.sleep(0.01)
        await prover.stop()
    assert stamping.made == []
