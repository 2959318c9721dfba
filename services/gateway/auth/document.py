"""The keys file. Only digests are kept in it, never a key.

keys:
  - id: demo                    # appears in logs
    sha256: 9f86d081884c7d65…   # hex, of the whole key text, "kontor_" included
    tenant_id: 01900000-0000-7000-8000-000000000001
    principal: key:demo         # optional; "key:" and the id unless told
    scopes: ["*"]               # optional; none unless told
"""

from collections import Counter
from typing import Annotated, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, StringConstraints, model_validator

from services.gateway.auth.keys import Caller, KeyRing
from shared.identity import Identity


class ApiKey(BaseModel):
    """One line of the keys file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,100}$")]
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    tenant_id: UUID
    principal: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = None
    scopes: frozenset[str] = frozenset()

    def caller(self) -> Caller:
        """Whom the key stands for."""
        return Caller(self.id, Identity(self.tenant_id, self.principal or f"key:{self.id}", self.scopes))


class KeysDocument(BaseModel):
    """The whole file. Ids and digests are unique in it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    keys: tuple[ApiKey, ...]

    @model_validator(mode="after")
    def _no_doubles(self) -> Self:
        for field in ("id", "sha256"):
            for value, count in Counter(getattr(key, field) for key in self.keys).items():
                if count > 1:
                    raise ValueError(f"the {field} {value} appears {count} times")
        return self

    def ring(self) -> KeyRing:
        """The keys, ready to be looked up."""
        return KeyRing((bytes.fromhex(key.sha256), key.caller()) for key in self.keys)
