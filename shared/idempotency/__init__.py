"""Idempotency keys (IETF draft-ietf-httpapi-idempotency-key-header): one key, one effect."""

from shared.idempotency.guard import Answer, IdempotencyKey, read_key, run_once
from shared.idempotency.table import IDEMPOTENCY_TABLE, add_idempotency_table, forget_old_keys

__all__ = [
    "IDEMPOTENCY_TABLE",
    "Answer",
    "IdempotencyKey",
    "add_idempotency_table",
    "forget_old_keys",
    "read_key",
    "run_once",
]
