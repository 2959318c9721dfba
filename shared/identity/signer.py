"""The gateway's side: vouch for an identity towards one service."""

import time
from collections import OrderedDict
from collections.abc import Callable

from joserfc import jwt

from shared.identity.keys import load_key
from shared.identity.model import ALGORITHM, ISSUER, Identity

# A reused token still has two thirds of its life left, enough for any clock difference worth running with.
LIFE_S = 90
REUSE_S = 30
CACHE_SIZE = 10_000


class IdentitySigner:
    """Signs identities with an Ed25519 private key (PEM, PKCS#8).

    A signature costs some 50 µs, so a token is reused for the same identity and audience for
    `REUSE_S` seconds. `clock` gives seconds since the epoch.

    Raises `ValueError` from the constructor when the PEM is no Ed25519 private key.
    """

    def __init__(self, private_key_pem: bytes, clock: Callable[[], float] = time.time) -> None:
        self._key = load_key(private_key_pem, private=True)
        self._clock = clock
        self._tokens: OrderedDict[tuple[Identity, str], tuple[float, str]] = OrderedDict()

    def sign(self, identity: Identity, audience: str) -> str:
        """A token for `audience` (a service's name), valid for at least a minute from now."""
        now = self._clock()
        wanted = (identity, audience)
        known = self._tokens.get(wanted)
        # The lower bound matters when the wall clock was set back: a token "from the future" is no use.
        if known is not None and 0 <= now - known[0] < REUSE_S:
            return known[1]
        token = self._make(identity, audience, int(now))
        self._tokens[wanted] = (now, token)
        self._tokens.move_to_end(wanted)
        if len(self._tokens) > CACHE_SIZE:
            self._tokens.popitem(last=False)
        return token

    def _make(self, identity: Identity, audience: str, now_s: int) -> str:
        claims = {
            "iss": ISSUER,
            "aud": audience,
            "sub": identity.principal,
            "tenant": str(identity.tenant_id),
            "scopes": sorted(identity.scopes),
            "iat": now_s,
            "exp": now_s + LIFE_S,
        }
        return jwt.encode({"alg": ALGORITHM}, claims, self._key, algorithms=[ALGORITHM])
