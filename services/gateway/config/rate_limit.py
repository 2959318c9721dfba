"""The section `rate_limit`: how often somebody may ask, one gateway or several together."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from services.gateway.caching.second.rule import ServersRule
from services.gateway.config.servers import AnswerSeconds, ServersSection
from services.gateway.config.values import Count, Name
from services.gateway.documents import Section
from services.gateway.limits.common_rule import CommonRule
from services.gateway.limits.token_bucket import Rate

_COMMON = CommonRule(ServersRule(addresses=()))


class SharedRateSection(ServersSection):
    """Where gateways meet that hold the limit together. No request waits for those servers, so they may be slower."""

    timeout_s: AnswerSeconds = 0.25
    prefix: Name = _COMMON.prefix
    interval_s: Annotated[float, Field(ge=0.01, le=5, allow_inf_nan=False)] = _COMMON.interval_ns / 1e9

    def rule(self, folder: Path) -> CommonRule:
        """As the limits take it; files are looked for in `folder`."""
        return CommonRule(self.servers_rule(folder), self.prefix, round(self.interval_s * 1e9))


class RateSection(Section):
    """Requests per key (or per address on public routes)."""

    enabled: bool = True
    per_second: Count = Rate().per_second
    burst: Count = Rate().burst
    shared: SharedRateSection | None = None

    def rate(self) -> Rate:
        """As the buckets take it."""
        return Rate(self.per_second, self.burst)
