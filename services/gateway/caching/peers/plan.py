"""What a document says of other gateways."""

from dataclasses import dataclass

from services.gateway.caching.peers.rule import PeersRule
from services.gateway.caching.second.rule import ServersRule


@dataclass(frozen=True, slots=True)
class PeersPlan:
    """Without `servers` nobody can be told, and all writes wait.

    Gateways of one `group` at the same servers are each other's peers.
    """

    rule: PeersRule
    servers: ServersRule | None
    group: str
