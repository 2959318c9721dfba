"""The section `shared_cache`: a second level of the caches, which several gateways share."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from services.gateway.caching.second.rule import SecondLevelRule, ServersRule
from services.gateway.config.servers import ServersSection
from services.gateway.config.values import Name

_LEVEL = SecondLevelRule(ServersRule(addresses=()))


class SharedCacheSection(ServersSection):
    """Where the servers are and what they hold."""

    prefix: Name = _LEVEL.prefix
    longest_s: Annotated[int, Field(ge=1, le=86_400)] = _LEVEL.longest_s
    compress_bytes: Annotated[int, Field(ge=64)] = _LEVEL.compress_bytes

    def rule(self, folder: Path) -> SecondLevelRule:
        """As the second level takes it."""
        return SecondLevelRule(
            servers=self.servers_rule(folder),
            prefix=self.prefix,
            longest_s=self.longest_s,
            compress_bytes=self.compress_bytes,
        )
