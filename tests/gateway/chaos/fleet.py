"""Four replicas to be ill-treated, the file that lists them, and the gateway's document."""

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

from tests.gateway.processes import Process, eventually, free_port

NAMES = "abcd"


class ChaosReplica(Process):
    """One replica that can be told to do wrong."""

    def __init__(self, name: str, journal: Path) -> None:
        self.name = name
        self.port = free_port()
        super().__init__(["-m", "tests.gateway.chaos.replica", str(self.port), name, str(journal)])

    async def order(self, fault: str = "") -> None:
        """Do this wrong from now on; nothing: be well."""
        request = f"POST /fault?{fault} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(request)
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        finally:
            writer.close()

    async def until_up(self) -> None:
        """Wait until it answers."""

        async def up() -> bool:
            try:
                await self.order()
            except OSError:
                return False
            return True

        await eventually(up)


class Fleet:
    """The replicas, the file that lists them, and the journal of what they executed."""

    def __init__(self, folder: Path, workers: int, **upstream: Any) -> None:
        self._workers = workers
        self._always = upstream
        self._folder = folder
        self._journal = folder / "journal"
        self._document = folder / "gateway.yaml"
        self.replicas = [ChaosReplica(name, self._journal) for name in NAMES]
        self.list(NAMES)
        self.configure()

    def list(self, names: str) -> None:
        """From now on these are the replicas, at one stroke."""
        new = self._folder / "new"
        new.write_text(
            json.dumps(
                [{"host": "127.0.0.1", "port": one.port} for one in self.replicas if one.name in names]
            )
        )
        new.rename(self._folder / "replicas.yaml")

    def configure(self, **more: Any) -> None:
        """Write the document: all protections as they are by default, but quicker, with `more` for the upstream."""
        upstream: dict[str, Any] = {
            "audience": "echo-service",
            "replicas": {"file": "replicas.yaml"},
            "health": {"interval_s": 0.1, "timeout_s": 0.3},
            # A replica that was ill comes back before the next one falls ill.
            "ejection": {"interval_s": 1.0, "base_ejection_s": 0.5},
            "breaker": {"open_s": 0.5},
            "retries": {"max_retries": 4},
            "concurrency": {},
        }
        route = {"name": "all", "prefix": "/", "upstream": "echo", "timeout_s": 10, "attempt_timeout_s": 0.6}
        self.content = {
            "workers": self._workers,
            "routes": [route],
            "upstreams": {"echo": upstream | self._always | more},
        }
        self._document.write_text(json.dumps(self.content))

    def executions(self) -> Counter[str]:
        """How often each POST was executed, by its target."""
        lines = (line.split() for line in self._journal.read_text().splitlines())
        return Counter(target for _, method, target in lines if method == "POST")

    async def until_up(self) -> None:
        """Wait for all."""
        for replica in self.replicas:
            await replica.until_up()

    def stop(self) -> None:
        """End all, also those that are stopped."""
        for replica in self.replicas:
            replica.stop()
