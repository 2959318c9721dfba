"""Where each request's time went, told five times over, is the same time; real gateway, services and database.

Every request is traced. What is compared: the callers' own clocks, `Server-Timing`, the access log, the spans that
arrive at a collector, and the histograms. The same with many more requests: `make bench BENCH=response_time`.
"""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.main import app
from shared.testing.databases import Templates
from shared.testing.otlp import ReceivedSpan
from tests.e2e.timed import world
from tests.e2e.timed.checks import TERMS, Verdict, judge, wrong_histograms
from tests.e2e.timed.stack import Timed, timed
from tests.e2e.timed.traffic import KINDS, Traffic
from tests.gateway.caller import calling
from tests.gateway.processes import ADMIN_KEY
from tests.shared.telemetry.metrics.recording import Samples

pytestmark = pytest.mark.process

CONCURRENCIES = (1, 8, 32, 64)
REQUESTS = 2_100


@dataclass
class Explained:
    """One request of which the gateway, still running, was asked why it took its time."""

    told: dict[str, Any]
    printed: str


@dataclass
class Story:
    """What was done, and all that was told of it."""

    traffic: Traffic
    lines: list[dict[str, Any]]
    spans: list[ReceivedSpan]
    samples: Samples
    explained: dict[str, Explained]
    verdict: Verdict


@pytest.fixture(scope="module")
async def story(tmp_path_factory: pytest.TempPathFactory, templates: Templates) -> AsyncIterator[Story]:
    folder = tmp_path_factory.mktemp("timed")
    async with timed(folder, templates.clone("customers"), **world.LAYOUT) as stack:
        traffic = Traffic(stack.gateway.port, stack.gateway.keys[0])
        for concurrency in CONCURRENCIES:
            await traffic.run(REQUESTS // len(CONCURRENCIES), concurrency)
        explained = {
            "retry": await explain(stack, traffic, folder, "/pair/faults/fails?ms=8&only=one"),
            "slow": await explain(stack, traffic, folder, "/faults/database?ms=300"),
            "error": await explain(stack, traffic, folder, "/echo/status?code=500"),
        }
        samples = await stack.metrics()
        lines = await stack.end()
        spans = stack.receiver.spans
        yield Story(traffic, lines, spans, samples, explained, judge(traffic.asked, lines, spans))


async def explain(stack: Timed, traffic: Traffic, folder: Path, path: str) -> Explained:
    """Ask for a path, then ask the gateway about it, as an operator does."""
    async with calling(stack.gateway.port) as caller:
        for _ in range(2):  # one of two tries begins with the replica that fails
            await traffic.ask(caller, "explained", "GET", path)
    request_id = traffic.asked[-1].request_id
    async with stack.gateway.admin() as admin:
        query: dict[str, str | int] = {"route": f"/{path.split('/')[1]}", "limit": 2}
        for _ in range(50):
            found = (await admin.get("traces", params=query)).json()
            if found and found[0]["request_id"] == request_id:
                break
            await asyncio.sleep(0.02)  # told in batches, every 0.1 s
        trace = max(found, key=lambda one: (one["attempts"], one["start_unix_ns"]))
        told = (await admin.get(f"traces/{trace['trace_id']}")).json()["requests"][0]
    key_file = folder / "admin-key-for-people"
    key_file.write_text(ADMIN_KEY)
    where = ["--admin-url", str(admin.base_url), "--admin-key-file", str(key_file), "--width", "120"]
    shown = await asyncio.to_thread(CliRunner().invoke, app, ["trace", trace["trace_id"], *where])
    assert shown.exit_code == 0, shown.output
    return Explained(told, shown.output)


def test_every_kind_of_request_was_made(story: Story) -> None:
    made = Counter(one.kind for one in story.traffic.asked)
    assert made.keys() >= KINDS.keys()
    assert made.total() >= REQUESTS
    assert story.verdict.requests >= 0.9 * REQUESTS


def test_what_is_told_adds_up_and_agrees(story: Story) -> None:
    """No term is negative; the sums are those of the measured times; log, header and spans have the same."""
    assert story.verdict.wrong == []
    assert story.verdict.served > REQUESTS / 2


def test_no_caller_measures_less_than_the_gateway(story: Story) -> None:
    assert len(story.verdict.transits_ns) > 0.8 * REQUESTS
    assert min(story.verdict.transits_ns) >= 0


def test_the_histograms_have_observed_what_the_spans_say(story: Story) -> None:
    assert list(wrong_histograms(story.samples, story.spans)) == []


def formula(printed: str) -> list[float]:
    """The gateway's line: total, and the three terms (ms)."""
    found = re.search(
        r"^gateway +([\d.]+) = +([\d.]+) + +([\d.]+) + +([\d.]+)".replace(" + +", r" \+ +"), printed, re.M
    )
    assert found is not None, printed
    return [float(text) for text in found.groups()]


@pytest.mark.parametrize("what", ["retry", "slow", "error"])
def test_a_live_gateway_explains_itself(story: Story, what: str) -> None:
    told, printed = story.explained[what].told, story.explained[what].printed
    total, *terms = formula(printed)
    assert [round(told[f"{term}_ns"] / 1e6, 3) for term in TERMS] == terms
    assert round(told["total_ns"] / 1e6, 3) == total
    assert sum(told[f"{term}_ns"] for term in TERMS) == told["total_ns"]
    for hop in told["hops"]:
        assert sum(hop["components"].values()) == hop["total_ns"]
    path = [float(ms) for ms in re.findall(r"^ +([\d.]+) ms +[\d.]+ %", printed, re.M)]
    assert sum(path) == pytest.approx(total, abs=0.001 * len(path))


def test_a_retry_is_explained(story: Story) -> None:
    """Whose fault the time was, and why there was a second attempt."""
    told, printed = story.explained["retry"].told, story.explained["retry"].printed
    assert (told["attempts"], told["status"]) == (2, 200), printed
    first, second = [hop for hop in told["hops"] if hop["attempt"]]
    assert first["components"]["db"] >= 8_000_000 > second["total_ns"]
    assert "retry: Retried after unavailable." in printed
    assert re.search(r"first 127\.0\.0\.1:\d+ 503", printed)
    assert re.search(r"retry 127\.0\.0\.1:\d+ 200", printed)


def test_a_slow_request_is_explained(story: Story) -> None:
    told, printed = story.explained["slow"].told, story.explained["slow"].printed
    assert told["dominant"] == "processing"
    service = next(hop for hop in told["hops"] if hop["attempt"])
    # A busy machine hears of the end late, and counts that as its own.
    assert service["components"]["db"] >= 200_000_000
    assert re.search(r"^customers .* processing$", printed, re.M)
    assert re.search(r"^ +db [23]\d\d\.\d+", printed, re.M)


def test_an_error_is_explained(story: Story) -> None:
    """The replica says nothing of its time, which is told as well."""
    told, printed = story.explained["error"].told, story.explained["error"].printed
    assert (told["kept"], told["status"]) == ("error", 500)
    assert "its terms were missing" in printed
    assert "no_retry: Not retried: " in printed
