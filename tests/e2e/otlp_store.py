"""A real OTLP store with a query API: autotel-devtools, where it is installed."""

import json
import os
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from deploy.local.ports import free_port
from tests.deploy.suite_process import eventually

Json = dict[str, Any]
_PROGRAM = "autotel-devtools"


def find_store() -> str | None:
    """The program, if there is one."""
    return shutil.which(_PROGRAM)


class OtlpStore:
    """What it was sent, as it tells it."""

    def __init__(self, url: str) -> None:
        self._url = url

    def post(self, body: bytes) -> None:
        """An ExportTraceServiceRequest, as an exporter posts it."""
        self._ask("/v1/traces", body, {"Content-Type": "application/x-protobuf"})

    def statistics(self) -> Json:
        """How much it holds."""
        return self._ask("/api/stats")

    def traces(self) -> list[Json]:
        """All of them."""
        return list(self._ask("/v1/traces")["traces"])

    def query(self, text: str) -> list[Json]:
        """The traces that its query language finds."""
        body = json.dumps({"query": text, "limit": 500}).encode()
        return list(self._ask("/api/query/traces", body, {"Content-Type": "application/json"})["traces"])

    def ready(self) -> bool:
        """Whether it answers yet."""
        try:
            self.statistics()
        except (urllib.error.URLError, ConnectionError):
            return False
        return True

    def _ask(self, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None) -> Json:
        url = self._url + path
        request = urllib.request.Request(url, body, dict(headers or {}))  # noqa: S310 - always http
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - as above
            return dict(json.loads(answer.read() or b"{}"))


@contextmanager
def running_store() -> Iterator[OtlpStore]:
    """One of its own, in memory. Raises FileNotFoundError where it is not installed."""
    port, grpc = free_port(), free_port()
    with subprocess.Popen(
        [find_store() or _PROGRAM, "--port", str(port), "--grpc-port", str(grpc)],
        env={name: value for name, value in os.environ.items() if not name.startswith("AUTOTEL_")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        store = OtlpStore(f"http://127.0.0.1:{port}")
        try:
            eventually(store.ready, "the store")
            yield store
        finally:
            process.kill()
