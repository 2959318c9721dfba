"""Somebody sets the wall clock in the middle of a request: its spans last as long as it did, and stay in place."""

import asyncio
import itertools
import time
from typing import Any

import pytest

from shared.asgi import Receive, Scope, Send
from shared.telemetry import clocks
from shared.telemetry.client import client_span
from shared.telemetry.database import DatabaseStatement
from shared.telemetry.server import ServedRequest, ServerSpans
from shared.telemetry.terms import TERMS_HEADER, ServiceTerms, read_terms
from tests.shared.telemetry.recording import http_scope, receive, recording

HOUR_NS = 3_600_000_000_000


async def test_spans_and_terms_are_of_the_monotonic_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    leaps = itertools.cycle((HOUR_NS, -HOUR_NS, 0))
    monkeypatch.setattr(clocks, "time_ns", lambda: time.time_ns() + next(leaps))
    telemetry, spans = recording()
    told: list[ServedRequest] = []
    heads: list[ServiceTerms] = []

    async def work(scope: Scope, receive: Receive, send: Send) -> None:
        with DatabaseStatement("SELECT accounts", "customers"):
            await asyncio.sleep(0.001)
        with client_span(telemetry, method="GET", url="http://127.0.0.1:1/x"):
            await asyncio.sleep(0.001)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            terms = read_terms(dict(message["headers"])[TERMS_HEADER])
            assert terms is not None
            heads.append(terms)

    app = ServerSpans(work, telemetry, served=told.append)
    for _ in range(3):
        await app(http_scope(), receive, send)
    found = spans()
    servers = [span for span in found if span.kind.name == "SERVER"]
    assert len(servers) == 3
    for server, served, terms in zip(servers, told, heads, strict=True):
        assert server.end_ns - server.start_ns == served.duration_ns == terms.total_ns
        assert served.terms == terms
        inner = [span for span in found if span.parent_id == server.span_id]
        assert len(inner) == 2
        for span in inner:
            assert server.start_ns <= span.start_ns < span.end_ns <= server.end_ns
