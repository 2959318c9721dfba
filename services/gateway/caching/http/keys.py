"""What a stored answer is found by (RFC 9111, 2 and 4.1). Pure.

The primary key is the tenant, the target and the audience. Tenant and audience come from the identity that was
verified, never from what a caller sends; the target is the bytes that the service sees, because what is taken for
the same here and for two things there can be used to poison a cache.
"""

import re
from collections.abc import Iterable, Sequence
from enum import StrEnum
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from services.gateway.caching.http.fields import Fields
from services.gateway.protocol.fields import TOKEN, tokens
from shared.identity import Identity

if TYPE_CHECKING:
    from services.gateway.caching.http.stored import StoredAnswer

MOST_VARYING: Final = 16  # names in one `Vary`
MOST_VARIANTS: Final = 16  # stored answers of one key

Selecting: TypeAlias = tuple[bytes | None, ...]
"""The values of the fields that `Vary` names, in its order; None for a field that was absent."""

_OWN_PORTS: Final = {b"http": b"80", b"https": b"443"}
_ESCAPED: Final = re.compile(r"[^!-$&-~]")  # white space, control and percent signs, and what is beyond ASCII
_LONGEST_REMEMBERED: Final = 256


class Visibility(StrEnum):
    """Who may be given the same answer."""

    EVERYONE = "everyone"  # only for routes that ask nobody who he is
    TENANT = "tenant"
    SCOPES = "scopes"  # callers of a tenant with the same scopes
    PRINCIPAL = "principal"

    @property
    def shared(self) -> bool:
        """Whether this makes the cache a shared one (RFC 9111, 1)."""
        return self is not Visibility.PRINCIPAL


class Audience:
    """The part of a key that identity decides: to be made once per caller and visibility.

    `opening` and `closing` are what keys begin and end with. Raises `ValueError` without an identity, except for
    everyone.
    """

    __slots__ = ("closing", "opening", "shared", "tenant")

    def __init__(self, visibility: Visibility, identity: Identity | None) -> None:
        self.shared = visibility.shared
        self.tenant = b"-"
        if visibility is not Visibility.EVERYONE:
            if identity is None:
                raise ValueError(f"answers for one {visibility} need an identity")
            self.tenant = identity.tenant_id.hex.encode("ascii")
        self.opening = self.tenant + b"\n"
        self.closing = b"\n" + _who(visibility, identity)


def _who(visibility: Visibility, identity: Identity | None) -> bytes:
    """Which callers of a tenant."""
    if identity is not None and visibility is Visibility.SCOPES:
        return b"s" + b"".join(sorted(b"," + _escape(scope) for scope in identity.scopes))
    if identity is not None and visibility is Visibility.PRINCIPAL:
        return b"p" + _escape(identity.principal)
    return b"*"


def _escape(name: str) -> bytes:
    """Without the bytes that keys are put together with; no two names become the same."""
    plain = _ESCAPED.sub(lambda found: "".join(f"%{byte:02x}" for byte in found[0].encode()), name)
    return plain.replace(",", "%2c").encode("ascii")


def resource_key(tenant: bytes, scheme: bytes, host: bytes, target: bytes) -> bytes:
    """What begins the keys of all stored answers of one target in a tenant, whoever they are for.

    The host's case and the scheme's own port make no difference (RFC 9110, 4.2.3); nothing else is made the
    same.
    """
    return b"".join((tenant, b"\n", _origin(scheme, host), target, b"\n"))


def primary_key(audience: Audience, scheme: bytes, host: bytes, target: bytes) -> bytes:
    """The key of a GET, and of the HEAD that its answer also answers (RFC 9111, 2)."""
    return b"".join((audience.opening, _origin(scheme, host), target, audience.closing))


class Key(NamedTuple):
    """What a primary key was made of, without who exactly it is for."""

    tenant: bytes
    url: bytes
    target: bytes
    visibility: Visibility


def read_key(key: bytes) -> Key:
    """Of a key that `primary_key` has made."""
    tenant, url, who = key.split(b"\n", 2)
    target = url[url.index(b"/", url.index(b"://") + 3) :]
    return Key(tenant, url, target, _visibility(tenant, who))


def _visibility(tenant: bytes, who: bytes) -> Visibility:
    if who == b"*":
        return Visibility.EVERYONE if tenant == b"-" else Visibility.TENANT
    return Visibility.SCOPES if who.startswith(b"s") else Visibility.PRINCIPAL


def _origin(scheme: bytes, host: bytes) -> bytes:
    return (
        _remembered_origin(scheme, host) if len(host) <= _LONGEST_REMEMBERED else _read_origin(scheme, host)
    )


def _read_origin(scheme: bytes, host: bytes) -> bytes:
    host = host.lower()
    name, colon, port = host.rpartition(b":")
    if colon and port.lstrip(b"0") == _OWN_PORTS.get(scheme):
        host = name
    return scheme + b"://" + host


_remembered_origin = lru_cache(maxsize=1024)(_read_origin)


def parse_vary(value: bytes | None) -> tuple[bytes, ...] | None:
    """The names in `Vary`, sorted (RFC 9110, 12.5.5); None when no other request can match (RFC 9111, 4.1).

    That is `*`, what is no list of names, and more names than `MOST_VARYING`.
    """
    if value is None:
        return ()
    return _parse_vary(value) if len(value) <= _LONGEST_REMEMBERED else _read_vary(value)


def _read_vary(value: bytes) -> tuple[bytes, ...] | None:
    names = sorted(set(tokens(value)))
    sound = all(TOKEN.fullmatch(name) and name != b"*" for name in names)
    return tuple(names) if sound and len(names) <= MOST_VARYING else None


_parse_vary = lru_cache(maxsize=1024)(_read_vary)


def selecting(names: Iterable[bytes], fields: Fields) -> Selecting:
    """The secondary key of a request (RFC 9111, 4.1)."""
    return tuple([None if (value := fields.get(name)) is None else normalise(name, value) for name in names])


def normalise(name: bytes, value: bytes) -> bytes:
    """A field's value so that equal meaning is equal bytes, as far as that is known (RFC 9111, 4.1).

    `Accept-Encoding` and its kind are lists whose order and case say nothing; of `Accept` only the white space
    is known to say nothing, and of other fields not even that.
    """
    normaliser = _NORMALISERS.get(name)
    return value if normaliser is None else normaliser(value)


def _digest(value: bytes) -> bytes:
    return blake2b(value, digest_size=32).digest()


def _media_types(value: bytes) -> bytes:
    return value if b'"' in value else b",".join([part.strip(b" \t") for part in value.split(b",")])


def _fold(value: bytes) -> bytes:
    return b",".join(sorted(member.replace(b" ", b"").replace(b"\t", b"") for member in tokens(value)))


_remembered_fold = lru_cache(maxsize=1024)(_fold)


def _caseless(value: bytes) -> bytes:
    return _remembered_fold(value) if len(value) <= _LONGEST_REMEMBERED else _fold(value)


_NORMALISERS: Final = {
    b"accept": _media_types,
    b"accept-charset": _caseless,
    b"accept-encoding": _caseless,
    b"accept-language": _caseless,
    # What opens a session need not lie in a cache, which may be written elsewhere.
    b"authorization": _digest,
    b"cookie": _digest,
    b"x-api-key": _digest,
}


def select(variants: "Sequence[StoredAnswer]", fields: Fields) -> "StoredAnswer | None":
    """The stored answer that fits a request (RFC 9111, 4.1); of several, the latest by `Date` (4).

    Where some answers of a target say `Vary` and others do not, the latest that does decides: those without
    it then do not fit, because nobody noted what their requests said.
    """
    if len(variants) == 1:
        return variants[0] if matches(variants[0], fields) else None
    varying = [stored for stored in variants if stored.vary]
    fitting = varying or variants
    return max((stored for stored in fitting if matches(stored, fields)), key=recency, default=None)


def matches(stored: "StoredAnswer", fields: Fields) -> bool:
    """Whether a request has the secondary key of a stored answer (RFC 9111, 4.1)."""
    return not stored.vary or selecting(stored.vary, fields) == stored.selecting


def add_variant(
    variants: "Sequence[StoredAnswer]", added: "StoredAnswer", most: int = MOST_VARIANTS
) -> "tuple[StoredAnswer, ...]":
    """The stored answers of a key with one more, the latest first.

    It takes the place of the one with the same secondary key; of more than `most`, the oldest go.
    """
    kept = [stored for stored in variants if (stored.vary, stored.selecting) != (added.vary, added.selecting)]
    return (added, *sorted(kept, key=recency, reverse=True)[: most - 1])


def recency(stored: "StoredAnswer") -> tuple[int, int]:
    """What the latest of several answers has most of: `Date`, then the time of arrival."""
    return stored.date_s, stored.received_ns
