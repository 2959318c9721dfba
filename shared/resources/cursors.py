"""Cursors: opaque, signed, and bound to the tenant and the question they continue.

A cursor holds the last row's sort value and id. It is no secret (the caller has seen both), but it must not be
made up: it goes into a statement's parameters and must be of the sort's type.
"""

import hashlib
import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from shared.problems import Problem, bad_query

_SIGNATURE_BYTES = 16


@dataclass(frozen=True)
class Position:
    """Where a page ended: the last row's sort value (None where the field is empty) and its id."""

    value: Any
    record_id: UUID


class CursorSigner:
    """Writes and reads cursors with one deployment's key (HMAC-SHA-256, 128 bits kept)."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def write(self, position: Position, *, tenant_id: UUID, question: str) -> str:
        """`question` is whatever must not change between pages: the resource, the sort and the filters."""
        body = json.dumps([_plain(position.value), position.record_id.hex], separators=(",", ":")).encode()
        return urlsafe_b64encode(self._sign(body, tenant_id, question) + body).rstrip(b"=").decode()

    def read(self, cursor: str, *, tenant_id: UUID, question: str) -> tuple[str | int | None, UUID]:
        """The sort value as it was written (text, or a whole number) and the id. Raises a 400 `Problem`."""
        try:
            raw = urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
        except (Base64Error, UnicodeEncodeError, ValueError):
            raise _bad() from None
        signature, body = raw[:_SIGNATURE_BYTES], raw[_SIGNATURE_BYTES:]
        if not hmac.compare_digest(signature, self._sign(body, tenant_id, question)):
            raise _bad()
        value, record_id = json.loads(body)
        return value, UUID(hex=record_id)

    def _sign(self, body: bytes, tenant_id: UUID, question: str) -> bytes:
        message = b"\0".join((tenant_id.bytes, question.encode("utf-8", "surrogatepass"), body))
        return hmac.digest(self._key, message, hashlib.sha256)[:_SIGNATURE_BYTES]


def _bad() -> Problem:
    return bad_query(
        "cursor", "bad_cursor", "This cursor is damaged, or belongs to another list, filter or sort."
    )


def _plain(value: Any) -> str | int | None:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, date | Decimal | UUID):
        return str(value)
    if value is None or isinstance(value, str | int):
        return value
    raise TypeError(f"no cursor for {type(value).__name__}")
