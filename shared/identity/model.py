"""The identity itself, and the one error of the package."""

from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID

IDENTITY_HEADER = "X-Kontor-Identity"
ISSUER = "kontor-gateway"
# The name RFC 9864 gives to EdDSA over Curve25519. The older name "EdDSA" leaves the curve open,
# is deprecated there, and is refused here like every other algorithm.
ALGORITHM = "Ed25519"
MAX_LIFE_S = 120


@dataclass(frozen=True, slots=True)
class Identity:
    """A caller inside a tenant.

    `scopes` is what the caller may do, by name; an empty set grants nothing.
    """

    tenant_id: UUID
    principal: str
    scopes: frozenset[str] = field(default_factory=frozenset)


class IdentityFault(StrEnum):
    """Why a token was refused; stable names, fit for a log line or a metric label."""

    MISSING = "missing"
    MALFORMED = "malformed"
    UNSIGNED = "unsigned"
    ALGORITHM = "algorithm"
    SIGNATURE = "signature"
    ISSUER = "issuer"
    AUDIENCE = "audience"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"


class IdentityError(Exception):
    """The token does not prove an identity. `fault` says why; the token itself is never in the text."""

    def __init__(self, fault: IdentityFault, detail: str) -> None:
        super().__init__(f"{fault}: {detail}")
        self.fault = fault
        self.detail = detail
