"""Real processes for the gateway's tests: replicas, and the gateway in front of them."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import httpx2
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.gateway.auth.keys import new_key
from shared.identity.verifier import IdentityVerifier

ROOT = Path(__file__).parents[2]
ADMIN_KEY = "an admin key of these tests"
TENANTS = ("01900000-0000-7000-8000-000000000001", "01900000-0000-7000-8000-000000000002")


_given: set[int] = set()


def free_port() -> int:
    """A port that nobody listens on, and that was not given out before: who got it may not listen yet."""
    while True:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            port: int = listener.getsockname()[1]
        if port not in _given:
            _given.add(port)
            return port


class Process:
    """A child that is certain to be gone after `stop`."""

    def __init__(self, arguments: list[str], environ: dict[str, str] | None = None) -> None:
        self._arguments = arguments
        self._environ = {**os.environ, **(environ or {}), "PYTHONPATH": str(ROOT)}
        self._printed = tempfile.TemporaryFile()  # noqa: SIM115 - closed by stop()
        self.start()

    def start(self) -> None:
        if self._printed.closed:
            self._printed = tempfile.TemporaryFile()  # noqa: SIM115 - closed by stop()
        self.process = subprocess.Popen(
            [sys.executable, *self._arguments],
            env=self._environ,
            cwd=ROOT,
            # A file: a pipe that nobody reads would stop the process once it is full of log lines.
            stdout=self._printed,
            stderr=subprocess.STDOUT,
        )

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    async def ended(self) -> int:
        return await asyncio.to_thread(self.process.wait, 60)

    def stop(self) -> str:
        """Kill it if it still runs; returns what it printed, the first time."""
        if self._printed.closed:
            return ""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        with self._printed:
            self._printed.seek(0)
            return self._printed.read().decode(errors="replace")


class Replica(Process):
    """One echo."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.port = free_port()
        super().__init__(["-m", "tests.gateway.echo", str(self.port), name])

    async def ask(self, path: str) -> Any:
        """Ask it directly, past the gateway."""
        async with httpx2.AsyncClient(trust_env=False) as client:
            return (await client.get(f"http://127.0.0.1:{self.port}{path}")).json()

    async def until(self, field: str, value: int) -> None:
        """Wait until its memory shows at least `value`."""
        await eventually(lambda: self._reached(field, value))

    async def _reached(self, field: str, value: int) -> bool:
        try:
            state = await self.ask("/state")
        except httpx2.TransportError:
            return False
        return bool(state[field] >= value)


class GatewayProcess(Process):
    """The gateway in front of `replicas` of one upstream, with two tenants' keys, and if told an admin API."""

    def __init__(
        self,
        folder: Path,
        replicas: list[Replica],
        config: dict[str, Any] | None = None,
        *,
        admin: bool = False,
        **environ: str,
    ) -> None:
        private = Ed25519PrivateKey.generate()
        (folder / "identity.pem").write_bytes(
            private.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        self.verifier = IdentityVerifier(
            private.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            ),
            "echo-service",
        )
        self.keys_file = folder / "keys.yaml"
        made = [new_key() for _ in TENANTS]
        self.keys = [key for key, _ in made]
        self.write_keys([digest for _, digest in made])
        self.config_file = folder / "gateway.yaml"
        # JSON is YAML as well.
        self.config_file.write_text(json.dumps(document(replicas) | (config or {})))
        self.port = free_port()
        self.admin_port = free_port()
        if admin:
            (folder / "admin.key").write_text(ADMIN_KEY + "\n")
            environ["GATEWAY_ADMIN_PORT"] = str(self.admin_port)
            environ["GATEWAY_ADMIN_KEY_FILE"] = str(folder / "admin.key")
        super().__init__(
            ["-m", "services.gateway"],
            {
                "GATEWAY_PORT": str(self.port),
                "GATEWAY_CONFIG_FILE": str(self.config_file),
                "GATEWAY_IDENTITY_PRIVATE_KEY_FILE": str(folder / "identity.pem"),
                "GATEWAY_API_KEYS_FILE": str(self.keys_file),
            }
            | environ,
        )
        self.url = f"http://127.0.0.1:{self.port}"

    def write_keys(self, digests: list[str]) -> None:
        keys = [
            {"id": f"key-{n}", "sha256": digest, "tenant_id": TENANTS[n % 2], "scopes": ["*"]}
            for n, digest in enumerate(digests)
        ]
        self.keys_file.write_text(json.dumps({"keys": keys}))

    def client(self, **options: Any) -> httpx2.AsyncClient:
        """A client that sends the first tenant's key."""
        headers = {"Authorization": f"Bearer {self.keys[0]}"}
        return httpx2.AsyncClient(base_url=self.url, headers=headers, trust_env=False, timeout=60, **options)

    def admin(self) -> httpx2.AsyncClient:
        """A client of the admin API, with its key."""
        return httpx2.AsyncClient(
            base_url=f"http://127.0.0.1:{self.admin_port}/admin/",
            headers={"Authorization": f"Bearer {ADMIN_KEY}"},
            trust_env=False,
            timeout=30,
        )

    def rss(self) -> int:
        """Resident memory of its workers in bytes."""
        pages = [int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in self.workers()]
        return sum(pages) * os.sysconf("SC_PAGE_SIZE")

    def workers(self) -> list[int]:
        """The process ids of its workers, the oldest first."""
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return sorted(int(child) for child in children)

    async def until_ready(self) -> None:
        async with self.client() as client:

            async def ready() -> bool:
                if self.process.poll() is not None:
                    raise AssertionError(f"the gateway ended: {self.stop()}")
                try:
                    return (await client.get("/readyz")).status_code == 200
                except httpx2.TransportError:
                    return False

            await eventually(ready)

    async def drain(self) -> int:
        self.signal(signal.SIGTERM)
        return await self.ended()


def document(replicas: list[Replica]) -> dict[str, Any]:
    """The gateway's document for these tests: everything to one upstream."""
    return {
        "workers": 1,
        "routes": [
            {"name": "all", "prefix": "/", "upstream": "echo"},
            {"name": "impatient", "prefix": "/wait/impatient", "upstream": "echo", "timeout_s": 0.3},
            {
                "name": "docs",
                "prefix": "/docs/echo",
                "upstream": "echo",
                "public": True,
                "rewrite": "/documentation",
            },
        ],
        "upstreams": {
            "echo": {
                "audience": "echo-service",
                "replicas": [{"host": "127.0.0.1", "port": replica.port} for replica in replicas],
                "health": {"interval_s": 0.1},
                # So that a test can tell whose turn it is.
                "policy": "weighted_round_robin",
            }
        },
    }


async def eventually(condition: Any, attempts: int = 600) -> None:
    """Wait for something that another process is about to do."""
    for _ in range(attempts):
        if await condition():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it did not happen")
