"""The section `shared_cache`: a second level of the caches, which several gateways share."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from services.gateway.caching.second.rule import SecondLevelRule, ServersRule
from services.gateway.config.values import Name, Port, ReplicaHost, Seconds, Text
from services.gateway.documents import Section

_SERVERS = ServersRule(addresses=())
_LEVEL = SecondLevelRule(_SERVERS)


class ServerSection(Section):
    """One server, or one of a cluster's."""

    host: ReplicaHost
    port: Port = 6379


def _some(servers: tuple[Any, ...]) -> tuple[Any, ...]:
    # pydantic's own minimum would also count servers that have a mistake as absent.
    if not servers:
        raise ValueError("must have at least one server")
    return servers


class SharedCacheSection(Section):
    """Where the servers are and what they hold; files are relative to the document's folder."""

    servers: Annotated[tuple[ServerSection, ...], AfterValidator(_some)]
    cluster: bool = _SERVERS.cluster
    database: Annotated[int, Field(ge=0, le=1_000_000)] = _SERVERS.database
    username: Text | None = None
    password_file: Text | None = None
    tls: bool = _SERVERS.tls
    ca_file: Text | None = None
    timeout_s: Annotated[float, Field(ge=0.001, le=5, allow_inf_nan=False)] = _SERVERS.timeout_s
    connect_timeout_s: Seconds = _SERVERS.connect_timeout_s
    prefix: Name = _LEVEL.prefix
    longest_s: Annotated[int, Field(ge=1, le=86_400)] = _LEVEL.longest_s
    compress_bytes: Annotated[int, Field(ge=64)] = _LEVEL.compress_bytes

    def rule(self, folder: Path) -> SecondLevelRule:
        """As the second level takes it."""
        return SecondLevelRule(
            servers=ServersRule(
                addresses=tuple((one.host.strip("[]"), one.port) for one in self.servers),
                cluster=self.cluster,
                database=self.database,
                username=self.username,
                password_file=_in(folder, self.password_file),
                tls=self.tls,
                ca_file=_in(folder, self.ca_file),
                timeout_s=self.timeout_s,
                connect_timeout_s=self.connect_timeout_s,
            ),
            prefix=self.prefix,
            longest_s=self.longest_s,
            compress_bytes=self.compress_bytes,
        )


def _in(folder: Path, name: str | None) -> Path | None:
    return None if name is None else folder / name
