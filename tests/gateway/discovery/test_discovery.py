"""All sources together: begun, changed by a reload, ended."""

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.gateway.balancing.policy import Replica
from services.gateway.discovery.discovery import Discovery
from services.gateway.discovery.polling import Replicas
from services.gateway.discovery.rules import DnsRule, FileRule, StaticRule
from tests.gateway.discovery.dns_server import DnsServer

A = StaticRule((Replica("a", "a", 1),))


class Board:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Replicas]] = []
        self._news = asyncio.Event()

    def note(self, upstream: str, replicas: Replicas) -> None:
        self.told.append((upstream, replicas))
        self._news.set()

    async def until(self, upstream: str, *hosts: str) -> None:
        """Wait until the upstream's replicas are these."""
        async with asyncio.timeout(30):
            while [one.host for one in dict(self.told).get(upstream, ())] != list(hosts):
                self._news.clear()
                await self._news.wait()


@pytest.fixture
async def board() -> Board:
    return Board()


@pytest.fixture
async def discovery(board: Board) -> AsyncIterator[Discovery]:
    discovery = Discovery(board.note)
    yield discovery
    await discovery.stop()


async def test_every_kind_of_source(board: Board, discovery: Discovery, tmp_path: Path) -> None:
    file = tmp_path / "replicas.yaml"
    file.write_text("[{host: f, port: 1}]")
    async with DnsServer() as server:
        server.zone["d.internal", "A"] = ["10.0.0.1"]
        server.zone["s.internal", "SRV"] = ["0 1 8000 s1.internal."]
        discovery.apply(
            {
                "a": A,
                "d": DnsRule("d.internal", port=1, every_s=0.01, nameserver=server.address),
                "s": DnsRule("s.internal", "SRV", every_s=0.01, nameserver=server.address),
                "f": FileRule(file, every_s=0.01),
            }
        )
        await board.until("a", "a")
        await board.until("d", "10.0.0.1")
        await board.until("s", "s1.internal")
        await board.until("f", "f")
        server.zone["d.internal", "A"] = ["10.0.0.1", "10.0.0.2"]
        server.zone["s.internal", "SRV"] = []
        file.write_text("[{host: g, port: 1}]")
        await board.until("d", "10.0.0.1", "10.0.0.2")
        await board.until("f", "g")
        await board.until("s", "s1.internal")
        await discovery.stop()


async def test_a_reload_restarts_what_has_changed_and_nothing_else(
    board: Board, discovery: Discovery
) -> None:
    b, other_b = StaticRule((Replica("b", "b", 1),)), StaticRule((Replica("b", "c", 1),))
    discovery.apply({"a": A, "b": b})
    await board.until("a", "a")
    await board.until("b", "b")
    discovery.apply({"a": A, "b": other_b})
    await board.until("b", "c")
    discovery.apply({"b": other_b})
    discovery.apply({"a": A, "b": other_b})
    await asyncio.sleep(0.01)
    await board.until("a", "a")
    assert [name for name, _ in board.told].count("a") == 2
    assert [name for name, _ in board.told].count("b") == 2


async def test_nothing_is_told_of_an_upstream_that_is_gone(
    board: Board, discovery: Discovery, tmp_path: Path
) -> None:
    file = tmp_path / "replicas.yaml"
    discovery.apply({"f": FileRule(file, every_s=0.001)})
    await asyncio.sleep(0.01)
    discovery.apply({})
    file.write_text("[{host: f, port: 1}]")
    await asyncio.sleep(0.05)
    assert board.told == []


async def test_stopping_ends_everything(board: Board, tmp_path: Path) -> None:
    before = asyncio.all_tasks()
    discovery = Discovery(board.note)
    discovery.apply({"f": FileRule(tmp_path / "none", every_s=0.001), "a": A})
    await discovery.stop()
    assert asyncio.all_tasks() == before
    await discovery.stop()


async def test_a_mistake_of_ours_is_not_silent(caplog: pytest.LogCaptureFixture) -> None:
    def fail(upstream: str, replicas: Replicas) -> None:
        raise RuntimeError("a mistake")

    caplog.set_level(logging.ERROR, "kontor.gateway.discovery")
    discovery = Discovery(fail)
    discovery.apply({"a": A})
    await asyncio.sleep(0.01)
    await discovery.stop()
    (record,) = caplog.records
    assert record.exc_info is not None
    assert "a mistake" in str(record.exc_info[1])
