"""The section `peers`: other gateways before the same services."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from services.gateway.caching.peers.plan import PeersPlan
from services.gateway.caching.peers.rule import PeersRule
from services.gateway.config.shared_cache import SharedCacheSection
from services.gateway.documents import Section

_RULE = PeersRule()
_Short = Annotated[float, Field(ge=0.1, le=60, allow_inf_nan=False)]


class PeersSection(Section):
    """How long they trust one another: the same in all of them. They meet where `shared_cache` is."""

    freshness_s: _Short = _RULE.freshness_ns / 1e9
    lease_s: _Short = _RULE.lease_ns / 1e9

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.lease_s < self.freshness_s:
            raise ValueError("lease_s must not be shorter than freshness_s")
        return self

    def plan(self, shared: SharedCacheSection | None, folder: Path) -> PeersPlan:
        """As the gateway takes it; files are looked for in `folder`."""
        rule = PeersRule(round(self.freshness_s * 1e9), round(self.lease_s * 1e9))
        if shared is None:
            return PeersPlan(rule, None, "")
        level = shared.rule(folder)
        # A miss waits for them as briefly as the document says; who asks for nobody can be more patient.
        patience_s = max(level.servers.timeout_s, rule.ask_every_ns / 1e9)
        return PeersPlan(rule, replace(level.servers, timeout_s=patience_s), level.prefix)
