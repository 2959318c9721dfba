"""What a document may choose of a limit that several gateways hold together. Pure."""

from dataclasses import dataclass

from services.gateway.caching.second.rule import ServersRule


@dataclass(frozen=True, slots=True)
class CommonRule:
    """`prefix` begins all keys: gateways that share it count together. They tell what was spent every `interval_ns`."""

    servers: ServersRule
    prefix: str = "kontor"
    interval_ns: int = 100_000_000
