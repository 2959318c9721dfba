"""The candidates: each one a way to write a config and start a process, all in front of the same upstream."""

import json
import os
import shutil
import sys
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from deploy.local.ports import free_port
from services.gateway.auth.keys import new_key
from tests.bench.gateway_peers.processes import Cores, running, write_config
from tests.bench.gateway_peers.upstream import find_nginx, nginx_command, owner

KEYS = 64
_PREFIXES = ("accounts", "contacts", "deals", "documents", "leads", "products", "tickets")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every candidate is started with: a folder for its files, the upstream's ports, API keys."""

    folder: Path
    replicas: tuple[int, int]
    keys: tuple[str, ...]
    cores: Cores

    def question(self, port: int) -> urllib.request.Request:
        """A request that is answered with 200 once everything works."""
        return urllib.request.Request(
            f"http://127.0.0.1:{port}/v1/accounts/ready",
            headers={"Authorization": f"Bearer {self.keys[0]}"},
        )


@dataclass(frozen=True, slots=True)
class Running:
    """A candidate that answers; `log` may be cut while it writes."""

    port: int
    process: psutil.Process
    log: Path | None


Starter = Callable[[Surroundings], AbstractContextManager[Running]]


def make_keys(folder: Path) -> tuple[str, ...]:
    """API keys, and the keys file of our gateway with their digests."""
    made = [new_key() for _ in range(KEYS)]
    entries = [
        {
            "id": f"caller-{number}",
            "sha256": digest,
            "tenant_id": f"01900000-0000-7000-8000-{number % 8:012}",
            "scopes": ["*"],
        }
        for number, (_, digest) in enumerate(made)
    ]
    (folder / "keys.yaml").write_text(json.dumps({"keys": entries}))  # JSON is YAML as well
    return tuple(key for key, _ in made)


@contextmanager
def ours(around: Surroundings) -> Iterator[Running]:
    """Our gateway with everything on: keys, rate limit, ids, trace context, access log, health checks."""
    with our_gateway(around) as running_gateway:
        yield running_gateway


@contextmanager
def our_gateway(around: Surroundings, **of_each_route: object) -> Iterator[Running]:
    """The same with something more said of its routes."""
    port, folder, log = free_port(), around.folder, around.folder / "ours.log"
    private = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "identity.pem").write_bytes(private)
    (folder / "gateway.yaml").write_text(json.dumps(_our_document(around.replicas, of_each_route)))
    environment = {
        "GATEWAY_PORT": str(port),
        "GATEWAY_CONFIG_FILE": str(folder / "gateway.yaml"),
        "GATEWAY_IDENTITY_PRIVATE_KEY_FILE": str(folder / "identity.pem"),
        "GATEWAY_API_KEYS_FILE": str(folder / "keys.yaml"),
    }
    with running(
        [sys.executable, "-m", "services.gateway"],
        log,
        core=around.cores.candidate,
        question=around.question(port),
        environment=environment,
    ) as process:
        yield Running(port, process, log)


def _our_document(replicas: tuple[int, int], of_each_route: Mapping[str, object]) -> dict[str, object]:
    return {
        "workers": 1,  # as the peers
        # Counted on each request, refused never.
        "rate_limit": {"per_second": 1_000_000, "burst": 1_000_000},
        "routes": [
            {"name": prefix, "prefix": f"/v1/{prefix}", "upstream": "replicas", **of_each_route}
            for prefix in _PREFIXES
        ],
        "upstreams": {"replicas": {"replicas": [{"host": "127.0.0.1", "port": port} for port in replicas]}},
    }


@contextmanager
def textbook(around: Surroundings) -> Iterator[Running]:
    """FastAPI and httpx as a tutorial would write it."""
    port, log = free_port(), around.folder / "textbook.log"
    environment = {
        "BENCH_PORT": str(port),
        "BENCH_REPLICAS": " ".join(f"http://127.0.0.1:{replica}" for replica in around.replicas),
    }
    with running(
        [sys.executable, "-m", "tests.bench.gateway_peers.textbook"],
        log,
        core=around.cores.candidate,
        question=around.question(port),
        environment=environment,
    ) as process:
        yield Running(port, process, log)


@dataclass(frozen=True, slots=True)
class Peer:
    """A program that takes a config file; `command` makes the command line of the program and the file.

    `ring`: its log is a file of one size, written round and round. `caches` declares a cache, `cached` has it used.
    """

    name: str
    template: str
    program: str
    command: Callable[[str, Path], list[str]]
    ring: bool = False
    caches: str = ""
    cached: str = ""

    @contextmanager
    def __call__(self, around: Surroundings) -> Iterator[Running]:
        port, (first, second) = free_port(), around.replicas
        log = around.folder / f"{self.name}.log"
        config = write_config(
            self.template,
            around.folder,
            port=port,
            first=first,
            second=second,
            log=log,
            caches=self.caches,
            cached=self.cached,
            **owner(),
        )
        with running(
            self.command(self.program, config),
            around.folder / f"{self.name}.txt",
            core=around.cores.candidate,
            question=around.question(port),
        ) as process:
            yield Running(port, process, None if self.ring else log)


def find_starters(envoy: str | None = None) -> dict[str, Starter | None]:
    """Every candidate by name, None where its program is not on this machine."""
    nginx, haproxy = find_nginx(), find_program("haproxy")
    envoy = find_program(envoy or os.environ.get("ENVOY") or "envoy")
    return {
        "ours": ours,
        "nginx": Peer("nginx", "nginx.conf", nginx, nginx_command) if nginx else None,
        "haproxy": Peer("haproxy", "haproxy.cfg", haproxy, haproxy_command, ring=True) if haproxy else None,
        "envoy": Peer("envoy", "envoy.yaml", envoy, _envoy_command) if envoy else None,
        "fastapi_httpx": textbook,
    }


def find_program(program: str) -> str | None:
    """Debian keeps servers where only root looks."""
    return shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin")


def haproxy_command(program: str, config: Path) -> list[str]:
    """An HAProxy in the foreground."""
    return [program, "-db", "-q", "-f", str(config)]


def _envoy_command(program: str, config: Path) -> list[str]:
    quietly = ("--disable-hot-restart", "--log-level", "error")
    return [program, "--config-path", str(config), "--concurrency", "1", *quietly]
