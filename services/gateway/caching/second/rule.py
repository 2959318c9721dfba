"""What a document may choose of the second level."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ServersRule:
    """Where Valkey or Redis is, and how long it is waited for.

    `addresses` (host, port) are of one server and its stand-ins, of which the primary is used, or of some of a
    cluster's, which then tell the rest. `password_file` is read with every connection, `ca_file` instead of the
    system's authorities. An answer that takes longer than `timeout_s` counts as none, and ends the connection.
    """

    addresses: tuple[tuple[str, int], ...]
    cluster: bool = False
    database: int = 0
    username: str | None = None
    password_file: Path | None = None
    tls: bool = False
    ca_file: Path | None = None
    timeout_s: float = 0.05
    connect_timeout_s: float = 1.0


@dataclass(frozen=True, slots=True)
class SecondLevelRule:
    """`prefix` begins all keys: whoever shares it shares answers. An answer lives for `longest_s` at most.

    Bodies of at least `compress_bytes` are compressed where that makes them smaller.
    """

    servers: ServersRule
    prefix: str = "kontor"
    longest_s: int = 3600
    compress_bytes: int = 4096
