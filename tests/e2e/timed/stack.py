"""A real gateway before real services with a real database, all telling everything: every request is traced."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from shared.testing.otlp import OtlpReceiver
from tests.e2e.timed.service import PEER
from tests.gateway.processes import GatewayProcess, Process, Replica, eventually, free_port
from tests.shared.telemetry.metrics.recording import Samples, samples_of

Json = dict[str, Any]

_STEADY: Json = {
    "breaker": {"min_attempts": 1_000_000},
    "ejection": {"consecutive_gateway_errors": 0, "consecutive_server_errors": 0},
    "health": {"interval_s": 0.2, "unhealthy_after": 100},
}
"""What the faults do to a replica shall not take it out of use."""


class Service(Process):
    """A replica of `tests.e2e.timed.service`."""

    def __init__(
        self, name: str, host: str, port: int, folder: Path, database_url: str, **environ: str
    ) -> None:
        super().__init__(
            ["-m", "tests.e2e.timed.service", "serve"],
            {
                "CUSTOMERS_HOST": host,
                "CUSTOMERS_PORT": str(port),
                "CUSTOMERS_DATABASE_URL": database_url,
                "CUSTOMERS_IDENTITY_PUBLIC_KEY_FILE": str(folder / "identity.pub.pem"),
                "CUSTOMERS_CURSOR_KEY_FILE": str(folder / "cursor.key"),
                "CUSTOMERS_INSTANCE": name,
                "CUSTOMERS_LOG_FORMAT": "json",
                **environ,
            },
        )


class Timed:
    """The gateway, what is behind it, and where their spans arrive."""

    def __init__(
        self, gateway: GatewayProcess, services: Mapping[str, Service], receiver: OtlpReceiver
    ) -> None:
        self.gateway = gateway
        self.services = services
        self.receiver = receiver

    async def metrics(self) -> Samples:
        """The gateway's, as Prometheus reads them."""
        async with self.gateway.admin() as admin:
            url = f"http://127.0.0.1:{self.gateway.admin_port}/metrics"
            return samples_of((await admin.get(url)).text)

    async def end(self) -> list[Json]:
        """Let all of them end in peace, so that everything has been told; gives the gateway's access lines."""
        assert await self.gateway.drain() == 0
        for service in self.services.values():
            service.process.terminate()
        for service in self.services.values():
            assert await service.ended() == 0
        return access_lines(self.gateway.stop())


def access_lines(printed: str) -> list[Json]:
    """Those of requests, in the order in which they were told."""
    lines = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
    return [line for line in lines if line["logger"] == "kontor.access"]


@asynccontextmanager
async def timed(
    folder: Path,
    database_url: str,
    *,
    services: Mapping[str, Mapping[str, str]],
    echoes: Sequence[str] = (),
    routes: Sequence[Json],
    upstreams: Mapping[str, Json],
    **document: Any,
) -> AsyncIterator[Timed]:
    """Starts it all, and kills what has not ended by itself.

    `services` have their variables, and instead of `CUSTOMERS_HOST` a `host`; `echoes` are replicas of
    `tests.gateway.echo`. In `upstreams` a replica is its name, or `name@host` where it is reached by another address
    than it listens on.
    """
    hosts = {name: more.get("host", "127.0.0.1") for name, more in services.items()}
    ports = {name: free_port() for name in services}
    with ExitStack() as processes:
        receiver = processes.enter_context(OtlpReceiver())
        telling = {
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{receiver.endpoint}/v1/traces",
            "OTEL_BSP_SCHEDULE_DELAY": "100",
            "OTEL_BSP_MAX_QUEUE_SIZE": "1000000",
        }
        for name in echoes:
            echo = Replica(name)
            processes.callback(echo.stop)
            hosts[name], ports[name] = "127.0.0.1", echo.port
        sections = {name: _section(one, hosts, ports, echoes) for name, one in upstreams.items()}
        gateway = GatewayProcess(
            folder,
            [],
            {
                "rate_limit": {"enabled": False},
                "routes": list(routes),
                "upstreams": sections,
                **document,
            },
            admin=True,
            GATEWAY_LOG_FORMAT="json",
            GATEWAY_DRAIN_S="5",
            **telling,
        )
        processes.callback(lambda: print(gateway.stop()))
        _write_keys(folder)
        started = {}
        names = list(services)
        for name, peer in zip(names, names[1:] + names[:1], strict=True):
            more = {key: value for key, value in services[name].items() if key != "host"}
            more[PEER] = f"http://{hosts[peer]}:{ports[peer]}"
            one = started[name] = Service(
                name, hosts[name], ports[name], folder, database_url, **telling, **more
            )
            processes.callback(_stop, one)
        await gateway.until_ready()
        async with gateway.admin() as admin:
            await eventually(lambda: _all_are_healthy(admin))
        yield Timed(gateway, started, receiver)


def _stop(process: Process) -> None:
    print(process.stop())


def _section(
    section: Json, hosts: Mapping[str, str], ports: Mapping[str, int], echoes: Sequence[str]
) -> Json:
    named = [name.partition("@") for name in section["replicas"]]
    replicas = [{"host": host or hosts[name], "port": ports[name]} for name, _, host in named]
    audience = {} if named[0][0] in echoes else {"audience": "customers"}
    return {**_STEADY, **audience, **section, "replicas": replicas}


def _write_keys(folder: Path) -> None:
    """What the services need, next to the gateway's own key."""
    private = load_pem_private_key((folder / "identity.pem").read_bytes(), None)
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (folder / "identity.pub.pem").write_bytes(public)
    (folder / "cursor.key").write_text("ab" * 32)


async def _all_are_healthy(admin: httpx2.AsyncClient) -> bool:
    try:
        upstreams = (await admin.get("upstreams")).json()
    except httpx2.TransportError:
        return False  # it does not listen yet
    return all(replica["healthy"] for upstream in upstreams for replica in upstream["replicas"])
