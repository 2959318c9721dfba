"""A service's side: believe nothing but a valid token of the gateway for this service."""

import re
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from uuid import UUID

from joserfc import jwt
from joserfc.errors import (
    BadSignatureError,
    JoseError,
    MissingAlgorithmError,
    UnsupportedAlgorithmError,
)

from shared.identity.keys import load_key
from shared.identity.model import ALGORITHM, ISSUER, MAX_LIFE_S, Identity, IdentityError, IdentityFault

MAX_TOKEN_BYTES = 8_192
CACHE_SIZE = 10_000
# How far the gateway's wall clock may run ahead of ours.
CLOCK_SKEW_S = 10

# Compact serialisation (RFC 7515, 7.1). The signature may be empty here so that it gets its own fault.
_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.([A-Za-z0-9_-]*)")


class IdentityVerifier:
    """Checks tokens with the gateway's Ed25519 public key (PEM) on behalf of one service.

    A verified token is remembered until it expires, in a bounded table, because a verification costs
    some 75 µs and a look-up a fraction of one. Refused tokens are not remembered. `clock` gives
    seconds since the epoch.

    Raises `ValueError` from the constructor when the PEM is no Ed25519 key.
    """

    def __init__(
        self,
        public_key_pem: bytes,
        audience: str,
        clock: Callable[[], float] = time.time,
        cache_size: int = CACHE_SIZE,
    ) -> None:
        self._key = load_key(public_key_pem, private=False)
        self._audience = audience
        self._clock = clock
        self._cache_size = cache_size
        self._verified: OrderedDict[str, tuple[int, Identity]] = OrderedDict()

    def verify(self, token: str | None) -> Identity:
        """The identity a token proves.

        Raises `IdentityError` for a token that is missing, malformed, unsigned, signed otherwise, expired,
        or made for another service.
        """
        if not token:
            raise IdentityError(IdentityFault.MISSING, "no identity token")
        known = self._verified.get(token)
        if known is not None:
            return self._recall(token, *known)
        expires, identity = self._examine(token)
        self._verified[token] = (expires, identity)
        if len(self._verified) > self._cache_size:
            self._verified.popitem(last=False)
        return identity

    def _recall(self, token: str, expires: int, identity: Identity) -> Identity:
        if self._clock() >= expires:
            del self._verified[token]
            raise IdentityError(IdentityFault.EXPIRED, "the identity token has expired")
        return identity

    def _examine(self, token: str) -> tuple[int, Identity]:
        _check_shape(token)
        try:
            claims = jwt.decode(token, self._key, algorithms=[ALGORITHM]).claims
        except (UnsupportedAlgorithmError, MissingAlgorithmError) as error:
            raise IdentityError(IdentityFault.ALGORITHM, f"only {ALGORITHM} is accepted") from error
        except BadSignatureError as error:
            raise IdentityError(IdentityFault.SIGNATURE, "the signature does not match") from error
        except (JoseError, ValueError, TypeError) as error:
            # The library lets some parsers' own errors through: bad UTF-8, a header that is no object.
            raise IdentityError(IdentityFault.MALFORMED, "not a JSON Web Token") from error
        if claims.get("iss") != ISSUER:
            raise IdentityError(IdentityFault.ISSUER, "not issued by the gateway")
        if claims.get("aud") != self._audience:
            raise IdentityError(IdentityFault.AUDIENCE, f"not meant for {self._audience}")
        return _check_life(claims, self._clock()), _read_identity(claims)


def _check_shape(token: str) -> None:
    if len(token) > MAX_TOKEN_BYTES:
        raise IdentityError(IdentityFault.MALFORMED, f"longer than {MAX_TOKEN_BYTES} bytes")
    parts = _COMPACT.fullmatch(token)
    if parts is None:
        raise IdentityError(IdentityFault.MALFORMED, "not a JSON Web Token")
    if not parts[1]:
        raise IdentityError(IdentityFault.UNSIGNED, "the token carries no signature")


def _check_life(claims: Mapping[str, object], now: float) -> int:
    """The token's expiry in seconds since the epoch, once its times are found to be in order."""
    issued, expires = claims.get("iat"), claims.get("exp")
    # `type() is int` also refuses booleans and floats, NaN among them, which compares with nothing.
    if type(issued) is not int or type(expires) is not int or not 0 < expires - issued <= MAX_LIFE_S:
        raise IdentityError(IdentityFault.MALFORMED, f"iat and exp must span at most {MAX_LIFE_S} s")
    if now >= expires:
        raise IdentityError(IdentityFault.EXPIRED, "the identity token has expired")
    if issued > now + CLOCK_SKEW_S:
        raise IdentityError(IdentityFault.NOT_YET_VALID, "the identity token is from the future")
    return expires


def _read_identity(claims: Mapping[str, object]) -> Identity:
    principal, tenant, scopes = claims.get("sub"), claims.get("tenant"), claims.get("scopes")
    if not isinstance(principal, str) or not principal:
        raise IdentityError(IdentityFault.MALFORMED, "sub must be a non-empty string")
    if not isinstance(tenant, str):
        raise IdentityError(IdentityFault.MALFORMED, "tenant must be a string")
    if not isinstance(scopes, list) or not all(isinstance(scope, str) for scope in scopes):
        raise IdentityError(IdentityFault.MALFORMED, "scopes must be a list of strings")
    try:
        tenant_id = UUID(tenant)
    except ValueError as error:
        raise IdentityError(IdentityFault.MALFORMED, "tenant must be a UUID") from error
    return Identity(tenant_id, principal, frozenset(scopes))
