"""Reading a gateway's metrics again and again, and what happened between two readings."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Final, NamedTuple, Self
from urllib.parse import urljoin

import httpx2

from cli.exposition import ExpositionError, Sample, parse
from cli.gateway import Gateway, GatewayError

REQUESTS: Final = "http_server_request_duration_seconds"
ATTEMPTS: Final = "http_client_request_duration_seconds"
TERMS: Final = "crm_response_component_duration_seconds"
ACTIVE: Final = "http_server_active_requests"
LAG: Final = "crm_event_loop_lag_seconds"
LITTLES_LAW: Final = "crm_littles_law_ratio"
REPLICA_UP: Final = "crm_gateway_replica_up"
INSTANCE: Final = "instance"

_CALLERS_FAULT: Final = "client_left"
_COUNTERS: Final = tuple(f"{name}_count" for name in (REQUESTS, ATTEMPTS, TERMS))
_PATIENCE: Final = httpx2.Timeout(5)
_REPLICAS_PATIENCE: Final = httpx2.Timeout(1)
_AT_ONCE: Final = 8

Labels = Mapping[str, str]
_Values = Mapping[frozenset[tuple[str, str]], float]


class Scrape(NamedTuple):
    """All series as they stood at one moment."""

    at_s: float
    """Of a monotonic clock."""
    metrics: Mapping[str, _Values]
    """By the samples' names, then by their labels."""
    instances: frozenset[str] = frozenset()
    """The replicas that told their own metrics as well; their series have the label `instance`."""
    silent: Mapping[str, str] = MappingProxyType({})
    """The replicas that did not, and why."""

    def values(self, name: str) -> Iterator[tuple[Labels, float]]:
        """The series of a gauge with their labels."""
        for labels, value in self.metrics.get(name, {}).items():
            yield dict(labels), value


class Window(NamedTuple):
    """What happened between two scrapes of one gateway."""

    before: Scrape
    after: Scrape

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.after.at_s - self.before.at_s

    @property
    def began_anew(self) -> bool:
        """Whether requests were uncounted, as when a process was started anew: then nothing can be said."""
        return any(
            value < self.before.metrics.get(name, {}).get(labels, 0.0)
            for name in _COUNTERS
            for labels, value in self.after.metrics.get(name, {}).items()
        )

    def increases(self, name: str) -> Iterator[tuple[Labels, float]]:
        """By how much each series of a counter grew.

        One that is new began at 0, unless it is a replica's that told nothing before.
        """
        before = self.before.metrics.get(name, {})
        for labels, value in self.after.metrics.get(name, {}).items():
            named = dict(labels)
            if INSTANCE not in named or named[INSTANCE] in self.before.instances:
                yield named, value - before.get(labels, 0.0)


class Metrics:
    """A gateway's `/metrics`, beside its admin API and with the same key; and those of its replicas, if wanted.

    Replicas are asked at the addresses that the gateway uses, and not shown the key.
    """

    def __init__(self, admin_url: str, key: str, *, with_replicas: bool = False) -> None:
        self._url = urljoin(admin_url, "/metrics")
        self._gateway = Gateway(admin_url.rstrip("/") + "/", key)
        self._with_replicas = with_replicas
        self._replicas = httpx2.Client(timeout=_REPLICAS_PATIENCE)
        self._pool = ThreadPoolExecutor(_AT_ONCE)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown()
        self._replicas.close()
        self._gateway.__exit__(kind, error, trace)

    def scrape(self) -> Scrape:
        """All metrics as they are now. Raises `GatewayError`, also when the answer is something else."""
        text = self._gateway.request("GET", self._url, timeout=_PATIENCE).text
        try:
            found = scraped(time.monotonic(), text)
        except ExpositionError as error:
            raise GatewayError(f"What {self._url} answers are no metrics: {error}") from None
        return self._and_replicas(found) if self._with_replicas else found

    def _and_replicas(self, found: Scrape) -> Scrape:
        upstreams = self._gateway.request("GET", "upstreams", timeout=_PATIENCE).json()
        addresses = sorted({replica["address"] for one in upstreams for replica in one["replicas"]})
        metrics = {name: dict(values) for name, values in found.metrics.items()}
        silent = {}
        for address, told in zip(addresses, self._pool.map(self._told_by, addresses), strict=True):
            if isinstance(told, str):
                silent[address] = told
                continue
            for name, labels, value in told:
                metrics.setdefault(name, {})[labels | {(INSTANCE, address)}] = value
        return Scrape(found.at_s, metrics, frozenset(addresses) - silent.keys(), silent)

    def _told_by(self, address: str) -> Sequence[Sample] | str:
        """A replica's samples, or why there are none."""
        try:
            answer = self._replicas.get(f"http://{address}/metrics")
            answer.raise_for_status()
            return list(parse(answer.text))
        except httpx2.HTTPStatusError as error:
            return str(error.response.status_code)
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            return str(error) or type(error).__name__
        except ExpositionError:
            return "no metrics"


def open_metrics(admin_url: str, key_file: Path, *, with_replicas: bool = False) -> Metrics:
    """With the key that the file holds. Raises `GatewayError`."""
    return Metrics(admin_url, key_file.read_text().strip(), with_replicas=with_replicas)


def scraped(at_s: float, text: str) -> Scrape:
    """A scrape's text as values. Raises `ExpositionError`."""
    metrics: dict[str, dict[frozenset[tuple[str, str]], float]] = {}
    for name, labels, value in parse(text):
        metrics.setdefault(name, {})[labels] = value
    return Scrape(at_s, metrics)


def frames(scrape: Callable[[], Scrape], wait: Callable[[], None]) -> Iterator[Window | str]:
    """After each wait the window since the last reading, or a sentence that says why there is none.

    A gateway that goes away is waited for. One that is not there to begin with is not: raises `GatewayError`.
    """
    before: Scrape | None = scrape()
    while True:
        wait()
        try:
            after = scrape()
        except GatewayError as error:
            before = None
            yield f"{error} Trying again."
            continue
        if before is None:
            before = after
            yield "The gateway is back; measuring."
            continue
        window = Window(before, after)
        before = after
        yield (
            "A process was started anew, and with it its counters; measuring."
            if window.began_anew
            else window
        )


def failed(labels: Labels) -> bool:
    """Whether a request with these labels counts as an error: a 5xx, or cut short without being the caller's fault."""
    status, error = labels.get("http_response_status_code", ""), labels.get("error_type", "")
    return status.startswith("5") or (error not in ("", _CALLERS_FAULT) and not status.startswith("4"))
