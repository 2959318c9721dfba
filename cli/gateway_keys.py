"""`kontor gateway new-key`: an API key for a caller, and its entry in the gateway's file of keys."""

from collections.abc import Sequence
from uuid import UUID

import yaml
from pydantic import ValidationError

from services.gateway.auth.document import ApiKey
from services.gateway.auth.keys import new_key


class KeyEntryError(ValueError):
    """There can be no such entry; the message is one sentence."""


def make_key(key_id: str, tenant_id: UUID, principal: str | None, scopes: Sequence[str]) -> tuple[str, str]:
    """A fresh key, and its entry under `keys`, as YAML with the indentation of a list there. Raises `KeyEntryError`."""
    key, digest = new_key()
    said = {"principal": principal} if principal is not None else {}
    try:
        entry = ApiKey(id=key_id, sha256=digest, tenant_id=tenant_id, scopes=frozenset(scopes), **said)
    except ValidationError as error:
        first = error.errors()[0]
        raise KeyEntryError(f"{first['loc'][0]}: {first['msg']}") from None
    document = entry.model_dump(mode="json", exclude_none=True) | {"scopes": sorted(entry.scopes)}
    lines = yaml.safe_dump([document], sort_keys=False, default_flow_style=None, width=200).splitlines()
    return key, "\n".join(f"  {line}" for line in lines)
