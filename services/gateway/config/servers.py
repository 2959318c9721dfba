"""Where Valkey or Redis is, for the sections that need it."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from services.gateway.caching.second.rule import ServersRule
from services.gateway.config.values import Port, ReplicaHost, Seconds, Text
from services.gateway.documents import Section

_SERVERS = ServersRule(addresses=())

AnswerSeconds = Annotated[float, Field(ge=0.001, le=5, allow_inf_nan=False)]


class ServerSection(Section):
    """One server, or one of a cluster's."""

    host: ReplicaHost
    port: Port = 6379


def _some(servers: tuple[Any, ...]) -> tuple[Any, ...]:
    # pydantic's own minimum would also count servers that have a mistake as absent.
    if not servers:
        raise ValueError("must have at least one server")
    return servers


class ServersSection(Section):
    """Where the servers are, and how they are reached; files are relative to the document's folder."""

    servers: Annotated[tuple[ServerSection, ...], AfterValidator(_some)]
    cluster: bool = _SERVERS.cluster
    database: Annotated[int, Field(ge=0, le=1_000_000)] = _SERVERS.database
    username: Text | None = None
    password_file: Text | None = None
    tls: bool = _SERVERS.tls
    ca_file: Text | None = None
    timeout_s: AnswerSeconds = _SERVERS.timeout_s
    connect_timeout_s: Seconds = _SERVERS.connect_timeout_s

    def servers_rule(self, folder: Path) -> ServersRule:
        """As those take it who connect."""
        return ServersRule(
            addresses=tuple((one.host.strip("[]"), one.port) for one in self.servers),
            cluster=self.cluster,
            database=self.database,
            username=self.username,
            password_file=_in(folder, self.password_file),
            tls=self.tls,
            ca_file=_in(folder, self.ca_file),
            timeout_s=self.timeout_s,
            connect_timeout_s=self.connect_timeout_s,
        )


def _in(folder: Path, name: str | None) -> Path | None:
    return None if name is None else folder / name
