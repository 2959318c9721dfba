"""Running a request at most once per key.

The key's row is written in the transaction of the effect, so the two are stored together or not at all, whichever
process dies when. While a request runs, a transaction-level advisory lock on its key makes a second one step back
with 409; the lock goes with its connection, so nothing is left "in flight" by a process that was killed.
An answer without an effect (a 4xx) is not stored: the transaction it came from was rolled back.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from shared.idempotency.table import IDEMPOTENCY_TABLE, KEPT
from shared.problems import Problem

MAX_KEY_LENGTH = 255
REPLAYED = "Idempotency-Replayed"

_LOCK = text("SELECT pg_try_advisory_xact_lock(:number)")
_FIND = text(
    f"SELECT fingerprint, status, headers, body FROM {IDEMPOTENCY_TABLE} "  # noqa: S608 (a constant)
    "WHERE tenant_id = :tenant_id AND principal = :principal AND key = :key "
    "AND created_at > now() - CAST(:kept AS interval)"
)
_STORE = text(
    f"INSERT INTO {IDEMPOTENCY_TABLE} (tenant_id, principal, key, fingerprint, status, headers, body) "  # noqa: S608
    "VALUES (:tenant_id, :principal, :key, :fingerprint, :status, CAST(:headers AS jsonb), :body) "
    "ON CONFLICT (tenant_id, principal, key) DO UPDATE SET fingerprint = excluded.fingerprint, "
    "status = excluded.status, headers = excluded.headers, body = excluded.body, created_at = now()"
)


@dataclass(frozen=True)
class Answer:
    """A finished answer: status, headers and the bytes of its body."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class IdempotencyKey:
    """A caller's key and the fingerprint of the request that it stands for."""

    tenant_id: UUID
    principal: str
    key: str
    fingerprint: bytes

    @property
    def lock_number(self) -> int:
        """64 bits of digest; a collision would only send a caller away with 409 for a moment."""
        name = "\0".join((self.tenant_id.hex, self.principal, self.key)).encode()
        return int.from_bytes(blake2b(name, digest_size=8).digest(), signed=True)


def read_key(
    header: str | None, *, tenant_id: UUID, principal: str, method: str, target: str, payload: bytes
) -> IdempotencyKey | None:
    """The request's key, quoted (as the draft has it) or bare. Raises 400 for an unusable one."""
    if header is None:
        return None
    key = header.strip()
    if len(key) >= 2 and key[0] == key[-1] == '"':
        key = key[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    if not 1 <= len(key) <= MAX_KEY_LENGTH or not key.isascii() or not key.isprintable():
        detail = f"Idempotency-Key takes 1 to {MAX_KEY_LENGTH} printable ASCII characters."
        raise Problem(400, "bad_idempotency_key", "Bad Idempotency-Key", detail)
    digest = blake2b(f"{method} {target}\0".encode() + payload, digest_size=32).digest()
    return IdempotencyKey(tenant_id, principal, key, digest)


async def run_once(
    session: AsyncSession, key: IdempotencyKey | None, execute: Callable[[], Awaitable[Answer]]
) -> Answer:
    """Executes and remembers, or returns the first answer. Raises 409 in flight, 422 for another payload."""
    if key is None:
        return await execute()
    if not (await session.execute(_LOCK, {"number": key.lock_number})).scalar_one():
        raise Problem(
            409,
            "request_in_flight",
            "Conflict",
            "A request with this Idempotency-Key is being executed right now.",
            headers={"Retry-After": "1"},
        )
    names: dict[str, Any] = {"tenant_id": key.tenant_id, "principal": key.principal, "key": key.key}
    first = (await session.execute(_FIND, names | {"kept": KEPT})).one_or_none()
    if first is not None:
        if first.fingerprint != key.fingerprint:
            detail = "This Idempotency-Key was used for another request before."
            raise Problem(422, "idempotency_key_reused", "Idempotency-Key reused", detail)
        return Answer(first.status, bytes(first.body), {**first.headers, REPLAYED: "true"})
    answer = await execute()
    await session.execute(_STORE, names | _stored(key, answer))
    return answer


def _stored(key: IdempotencyKey, answer: Answer) -> dict[str, Any]:
    return {
        "fingerprint": key.fingerprint,
        "status": answer.status,
        "headers": json.dumps(dict(answer.headers)),
        "body": answer.body,
    }
