"""Who may follow a service's changes: the gateway itself, signed like every caller, but for itself and no tenant."""

from uuid import UUID

from shared.identity import Identity

FOLLOW_SCOPE = "internal:changes"
SYSTEM_TENANT = UUID(int=0)
GATEWAY = Identity(SYSTEM_TENANT, "system:gateway", frozenset({FOLLOW_SCOPE}))
"""What the gateway signs for the service (its audience) when it asks for changes on its own behalf."""


def may_follow(identity: Identity) -> bool:
    """Whether this is the gateway itself. A caller's key grants neither the tenant nor, by `*`, the scope."""
    return identity.tenant_id == SYSTEM_TENANT and FOLLOW_SCOPE in identity.scopes
