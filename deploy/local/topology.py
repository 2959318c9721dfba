"""Which processes make the suite, on which ports, with which settings. Pure: it starts nothing."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.local.credentials import Credentials
from deploy.local.ports import HOST

SERVICES = ("customers", "sales", "tickets")
REPLICAS = 2
PROCESS_NAMES_WIDTH = len("customers-worker")

# The gateway takes the longest prefix that fits.
_RESOURCES = {
    "customers": ("accounts", "contacts", "customers/imports"),
    "sales": ("pipelines", "products", "sales-reps", "deals", "sales/imports"),
    "tickets": ("tickets", "tickets/imports"),
}

Command = Callable[..., list[str]]
"""`command(service, *arguments)`: the command line of a service's process."""


def module_command(service: str, *arguments: str) -> list[str]:
    """A service as it is started in production, by the Python that runs us."""
    return [sys.executable, "-m", f"services.{service}", *arguments]


@dataclass(frozen=True, slots=True)
class Process:
    """One process of a service: its name in the logs, what to run, and the port it answers on, if any."""

    name: str
    arguments: list[str]
    environment: Mapping[str, str]
    port: int | None = None


@dataclass(frozen=True, slots=True)
class Topology:
    """The processes of one suite, each with the settings that are not the same everywhere."""

    gateway_port: int
    ports: Mapping[str, Sequence[int]]
    """The replicas' ports, per service."""
    database_urls: Mapping[str, str]
    credentials: Credentials
    gateway_config_file: Path
    admin_port: int = 0
    """Of the gateway's admin API; 0: whichever is free."""
    command: Command = module_command
    log_format: str = "text"

    def replicas_in_turn(self) -> tuple[list[Process], list[Process]]:
        """The first replica of each service, and the others."""
        every = self.replicas()
        first = [process for process in every if process.name.endswith("-1")]
        return first, [process for process in every if process not in first]

    def replicas(self) -> list[Process]:
        """Every replica of every service."""
        return [
            Process(
                name := f"{service}-{number}",
                self.command(service),
                self._service_environment(service, instance=name, port=port),
                port,
            )
            for service in SERVICES
            for number, port in enumerate(self.ports[service], start=1)
        ]

    def gateway(self) -> Process:
        """What the world talks to: a process that keeps the gateway's worker, and serves its admin API."""
        environment = {
            "GATEWAY_HOST": HOST,
            "GATEWAY_PORT": str(self.gateway_port),
            "GATEWAY_CONFIG_FILE": str(self.gateway_config_file),
            "GATEWAY_IDENTITY_PRIVATE_KEY_FILE": str(self.credentials.identity_private_key_file),
            "GATEWAY_API_KEYS_FILE": str(self.credentials.api_keys_file),
            "GATEWAY_LOG_FORMAT": self.log_format,
            "GATEWAY_INSTANCE": "gateway-1",
            "GATEWAY_ADMIN_HOST": HOST,
            "GATEWAY_ADMIN_PORT": str(self.admin_port),
            "GATEWAY_ADMIN_KEY_FILE": str(self.credentials.gateway_admin_key_file),
        }
        return Process("gateway", self.command("gateway"), environment, self.gateway_port)

    def workers(self) -> list[Process]:
        """One process per service for its background jobs."""
        return [
            Process(
                name := f"{service}-worker",
                self.command(service, "worker"),
                self._service_environment(service, instance=name),
            )
            for service in SERVICES
        ]

    def migration(self, service: str) -> Process:
        """The process that brings a service's database to the newest schema, and ends."""
        name = f"{service}-migrate"
        environment = self._service_environment(service, instance=name)
        return Process(name, self.command(service, "migrate"), environment)

    def gateway_document(self) -> str:
        """What `GATEWAY_CONFIG_FILE` holds. (JSON, which is YAML too, and needs no package to write.)"""
        document = {
            # More would wait for the same services on the same CPUs, and each takes 40 MB and 0.4 s of CPU to start.
            "workers": 1,
            "routes": [route for service in SERVICES for route in _routes(service)],
            "upstreams": {service: _upstream(service, self.ports[service]) for service in SERVICES},
        }
        return json.dumps(document, indent=2) + "\n"

    def _service_environment(self, service: str, *, instance: str, port: int = 0) -> dict[str, str]:
        prefix = service.upper()
        return {
            f"{prefix}_HOST": HOST,
            f"{prefix}_PORT": str(port),
            f"{prefix}_DATABASE_URL": self.database_urls[service],
            f"{prefix}_IDENTITY_PUBLIC_KEY_FILE": str(self.credentials.identity_public_key_file),
            f"{prefix}_CURSOR_KEY_FILE": str(self.credentials.cursor_key_file),
            f"{prefix}_LOG_FORMAT": self.log_format,
            f"{prefix}_INSTANCE": instance,
        }


def _routes(service: str) -> list[dict[str, Any]]:
    resources = [
        {
            "name": resource.replace("/", "-"),
            "prefix": f"/v1/{resource}",
            "upstream": service,
            # Who looks at an import looks at its progress, which is another one each time.
            **({} if resource.endswith("/imports") else {"cache": {}}),
        }
        for resource in _RESOURCES[service]
    ]
    # The documentation is open to everybody who can reach this machine's loopback address.
    public = {"upstream": service, "public": True}
    return [
        *resources,
        {"name": f"{service}-docs", "prefix": f"/docs/{service}", "rewrite": "/docs", **public},
        {
            "name": f"{service}-openapi",
            "prefix": f"/openapi/{service}.json",
            "rewrite": "/openapi.json",
            **public,
        },
    ]


def _upstream(service: str, ports: Sequence[int]) -> dict[str, Any]:
    return {
        "audience": service,
        "replicas": [{"host": HOST, "port": port} for port in ports],
        "health": {"path": "/readyz", "interval_s": 0.5},
        "changes": True,
    }
