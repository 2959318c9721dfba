"""Whatever callers send: nobody is given from the cache what was not the service's answer to the same request.

The service is as talkative as can be: its answer says who asked, and each part of the request that could decide an
answer. So what a caller is given tells for whom it was made.
"""

import json
from hashlib import sha256
from typing import NamedTuple
from uuid import UUID

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from services.gateway import config
from services.gateway.app import Gateway
from services.gateway.auth.keys import Caller, KeyRing
from services.gateway.protocol.request_head import parse_request_head
from shared.identity import IDENTITY_HEADER, Identity
from shared.identity.signer import IdentitySigner
from shared.identity.verifier import IdentityVerifier
from shared.telemetry.setup import Telemetry
from tests.gateway.puppets import Stage, transport_of, turns

TENANTS = (UUID(int=1), UUID(int=2))
KEYS = {
    f"kontor_{tenant}-{principal}-{scopes.replace(' ', '-')}": Identity(
        TENANTS[tenant], principal, frozenset(scopes.split())
    )
    for tenant in (0, 1)
    for principal in ("ann", "bob")
    for scopes in ("read", "read write")
}
VARYING = b"Accept-Language"
# Fields that no key holds: what they say must not come back to anybody else.
_GAMES = (
    b"X-Forwarded-Host: evil",
    b"X-Forwarded-Proto: https",
    b"X-Forwarded-For: 6.6.6.6",
    b"Forwarded: host=evil",
    b"X-Kontor-Identity: forged",
    b"X-Kontor-Tags: contacts",
    b"X-HTTP-Method-Override: DELETE",
    b"X-Original-URL: /admin",
    b"Accept-Language: de",
    b"Accept-Language: fr",
    b"Cookie: a=1",
    b"Range: bytes=0-3",
    b"If-None-Match: *",
    b"Cache-Control: max-stale",
    b"Connection: Accept-Language",
    b"Connection: X-Kontor-Identity",
)
_HOSTS = (b"a", b"A", b"a:80", b"a:080", b"a:8080", b"b")
_TARGETS = (b"/x", b"/x?", b"/x?a=1&b=2", b"/x?b=2&a=1", b"/%78", b"/x/", b"//x", b"/X", b"/x?a=1%26b=2")


class Asked(NamedTuple):
    """What one caller sends."""

    key: str
    host: bytes
    target: bytes
    games: tuple[bytes, ...]
    form: str

    def data(self) -> bytes:
        credentials = {
            "bearer": f"Authorization: Bearer {self.key}",
            "key": f"X-API-Key: {self.key}",
            "absolute": f"Authorization: Bearer {self.key}",
        }[self.form].encode()
        target = b"http://" + self.host + self.target if self.form == "absolute" else self.target
        lines = [b"GET " + target + b" HTTP/1.1", b"Host: " + self.host, credentials, *self.games]
        return b"\r\n".join(lines) + b"\r\n\r\n"


requests = st.builds(
    Asked,
    st.sampled_from(sorted(KEYS)),
    st.sampled_from(_HOSTS),
    st.sampled_from(_TARGETS),
    st.lists(st.sampled_from(_GAMES), max_size=3).map(tuple),
    st.sampled_from(("bearer", "key", "absolute")),
)


class House(Stage):
    """A stage where callers need keys, and whose service tells all that it was asked."""

    def __init__(self, visibility: str, signer: IdentitySigner, verifier: IdentityVerifier) -> None:
        super().__init__()
        self._verifier = verifier
        document = {
            "rate_limit": {"enabled": False},
            "routes": [{"name": "all", "prefix": "/", "upstream": "u", "cache": {"visibility": visibility}}],
            "upstreams": {"u": {"audience": "u", "replicas": [{"host": "one", "port": 80}]}},
        }
        ring = KeyRing(
            (sha256(key.encode()).digest(), Caller(key, identity)) for key, identity in KEYS.items()
        )
        self.gateway = Gateway(config.parse(json.dumps(document)), ring, signer, Telemetry())
        for endpoint in self.upstream.endpoints:
            self.upstream.observe(endpoint, True, "it says so")

    async def ask(self, asked: Asked) -> bytes:
        """All that the caller is answered."""
        _, transport = self.call(asked.data())
        await self.connect_all()
        for exchange in self.exchanges():
            if exchange.connection is not None:
                upstream = transport_of(exchange.connection)
                written, upstream.written = upstream.written, b""
                upstream.protocol.data_received(self._answer(written))
        await turns()
        return transport.written

    def _answer(self, written: bytes) -> bytes:
        head = parse_request_head(written.partition(b"\r\n\r\n")[0])
        found = [line.partition(b": ")[::2] for line in written.split(b"\r\n")[1:] if line]
        fields: dict[bytes, list[bytes]] = {}
        for name, value in found:
            fields.setdefault(name.lower(), []).append(value)
        (token,) = fields.pop(IDENTITY_HEADER.lower().encode())
        identity = self._verifier.verify(token.decode())
        said = {
            "tenant": identity.tenant_id.int,
            "principal": identity.principal,
            "scopes": sorted(identity.scopes),
            "target": head.target.decode(),
            "host": fields[b"x-forwarded-host"][0].decode().lower(),
            "proto": fields[b"x-forwarded-proto"][0].decode(),
            "language": [one.decode() for one in fields.get(VARYING.lower(), [])],
            "override": sorted(
                name.decode() for name in fields if name.startswith((b"x-http-", b"x-original"))
            ),
            "tags": b"x-kontor-tags" in fields,
        }
        body = json.dumps(said).encode()
        return (
            b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nCache-Control: public, max-age=60\r\nVary: %b\r\n"
            b"ETag: %b\r\n\r\n%b"
        ) % (len(body), VARYING, b'"%b"' % sha256(body).hexdigest().encode(), body)


@pytest.fixture(scope="module")
def pair() -> tuple[IdentitySigner, IdentityVerifier]:
    private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return IdentitySigner(pem), IdentityVerifier(public, "u")


def plain_host(host: str) -> str:
    """Two spellings of one name and port (RFC 9110, 4.2.3)."""
    name, _, port = host.lower().partition(":")
    return name if port.lstrip("0") in ("", "80") else f"{name}:{port}"


@pytest.mark.parametrize("visibility", ["tenant", "scopes", "principal"])
@settings(deadline=None, max_examples=120)
@given(story=st.lists(requests, min_size=2, max_size=25))
async def test_what_comes_from_the_cache_was_made_for_the_same_request(
    pair: tuple[IdentitySigner, IdentityVerifier], visibility: str, story: list[Asked]
) -> None:
    house = House(visibility, *pair)
    try:
        for asked in story:
            head, _, body = (await house.ask(asked)).partition(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200 "):
                assert head.startswith((b"HTTP/1.1 206 ", b"HTTP/1.1 304 ", b"HTTP/1.1 400 ")), head
                continue
            said = json.loads(body)
            identity = KEYS[asked.key]
            assert said["tenant"] == identity.tenant_id.int
            if visibility == "scopes":
                assert said["scopes"] == sorted(identity.scopes)
            if visibility == "principal":
                assert said["principal"] == identity.principal
            assert said["target"] == asked.target.decode()
            assert plain_host(said["host"]) == plain_host(asked.host.decode())
            assert said["proto"] == "http"
            nominated = b"Connection: Accept-Language" in asked.games
            languages = [game.decode()[17:] for game in asked.games if game.startswith(VARYING)]
            assert sorted(", ".join(said["language"]).split(", ")) == sorted(
                ", ".join([] if nominated else languages).split(", ")
            )
            if b"cache-status: kontor; hit" in head:
                assert said["override"] == []
            assert not said["tags"]
    finally:
        house.close()


async def test_there_are_hits_to_be_wrong_about(pair: tuple[IdentitySigner, IdentityVerifier]) -> None:
    house = House("scopes", *pair)
    try:
        ann, bob = "kontor_0-ann-read", "kontor_0-bob-read"
        await house.ask(Asked(ann, b"a", b"/x", (), "bearer"))
        for key, host, form in ((bob, b"A", "bearer"), (ann, b"a:80", "key"), (bob, b"a", "absolute")):
            assert b"kontor; hit" in await house.ask(Asked(key, host, b"/x", (b"Cookie: a=1",), form))
    finally:
        house.close()
