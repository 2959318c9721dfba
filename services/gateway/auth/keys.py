"""API keys in memory: looked up by digest. Pure.

A plain SHA-256 is enough because a key is 32 random bytes, which nobody guesses, and not a password.
"""

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass

from shared.identity import Identity

KEY_PREFIX = "kontor_"


@dataclass(frozen=True, slots=True)
class Caller:
    """Whom a key stands for: its id for logs and limits, its identity for the services."""

    key_id: str
    identity: Identity


_MOST_RECOGNISED = 10_000


class KeyRing:
    """An immutable set of keys.

    `recognised` spares frequent callers the digest: it holds the credentials that were found good, as they were
    sent, which are no more than there are keys, times the ways to write one down.
    """

    def __init__(self, callers: Iterable[tuple[bytes, Caller]]) -> None:
        self._by_digest = dict(callers)
        self.recognised: dict[bytes, Caller] = {}

    def recognise(self, credentials: bytes, caller: Caller) -> None:
        """Remember good credentials."""
        if len(self.recognised) >= _MOST_RECOGNISED:
            self.recognised.clear()
        self.recognised[credentials] = caller

    def __len__(self) -> int:
        return len(self._by_digest)

    def find(self, key: bytes) -> Caller | None:
        """The caller whose key this is. Timing tells nothing: a digest is compared, not the key."""
        return self._by_digest.get(hashlib.sha256(key).digest())


def new_key() -> tuple[str, str]:
    """A fresh key, and its digest as the keys file wants it."""
    key = KEY_PREFIX + secrets.token_urlsafe(32)
    return key, hashlib.sha256(key.encode()).hexdigest()
