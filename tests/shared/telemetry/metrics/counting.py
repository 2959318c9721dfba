"""Callers who count what they get, and the same figures as scrapes have them. Needs nothing but `/metrics`."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

import httpx2

from shared.telemetry.formulas import error_rate, throughput
from tests.shared.telemetry.metrics.recording import Samples, samples_of

Ask = Callable[[int], Awaitable[httpx2.Response]]
_COUNT = "http_server_request_duration_seconds_count"


@dataclass(frozen=True)
class Figures:
    """How many requests were answered with which status."""

    statuses: Counter[str]

    def throughput(self, seconds: float) -> float | None:
        """Answers per second."""
        return throughput(self.statuses.total(), seconds)

    @property
    def failed(self) -> int:
        """5xx, or no answer."""
        return sum(count for status, count in self.statuses.items() if not status or status >= "500")

    @property
    def error_rate(self) -> float | None:
        """The share of failures."""
        return error_rate(self.failed, self.statuses.total())

    @property
    def availability(self) -> float | None:
        """The share that was served: of the requests, as the burn rates have it."""
        rate = self.error_rate
        return None if rate is None else 1 - rate


async def load(ask: Ask, requests: int, callers: int) -> Figures:
    """So many callers at a time, each of whom asks when the answer before is here; `ask` gets the request's number."""
    numbers = iter(range(requests))
    statuses: Counter[str] = Counter()

    async def call() -> None:
        for number in numbers:
            statuses[str((await ask(number)).status_code)] += 1

    await asyncio.gather(*(call() for _ in range(callers)))
    return Figures(statuses)


async def scrape(client: httpx2.AsyncClient, urls: Sequence[str]) -> list[Samples]:
    """Each of these pages."""
    pages = [await client.get(url) for url in urls]
    assert [page.status_code for page in pages] == [200] * len(urls)
    return [samples_of(page.text) for page in pages]


def counted(before: Iterable[Samples], after: Iterable[Samples], **labels: str) -> Figures:
    """What the counters of all scraped processes have gone up by."""
    statuses: Counter[str] = Counter()
    for sign, scrapes in ((1, after), (-1, before)):
        for samples in scrapes:
            for (name, have), count in samples.items():
                if name == _COUNT and frozenset(labels.items()) <= have:
                    statuses[dict(have).get("http_response_status_code", "")] += sign * round(count)
    return Figures(+statuses)
