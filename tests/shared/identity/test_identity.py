"""The signed identity: what is believed, and everything that is not."""

import base64
import hashlib
import hmac
import json
import subprocess
import sys
from typing import Any
from uuid import UUID

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from shared.identity import Identity, IdentityError, IdentityFault
from shared.identity.signer import LIFE_S, REUSE_S, IdentitySigner
from shared.identity.verifier import CLOCK_SKEW_S, MAX_TOKEN_BYTES, IdentityVerifier

NOW = 1_800_000_000
ADA = Identity(UUID("01900000-0000-7000-8000-000000000001"), "key:ada", frozenset({"accounts:read"}))


class Clock:
    def __init__(self) -> None:
        self.now = float(NOW)

    def __call__(self) -> float:
        return self.now


def pem_pair(key: Any = None) -> tuple[bytes, bytes]:
    key = key or Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return private, public


KEY = Ed25519PrivateKey.generate()
PRIVATE, PUBLIC = pem_pair(KEY)


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def forge(claims: Any = None, header: Any = None, signer: Any = None, **changes: Any) -> str:
    """A token made by hand, rightly signed unless `signer` says otherwise."""
    if claims is None:
        claims = {
            "iss": "kontor-gateway",
            "aud": "sales",
            "sub": "key:ada",
            "tenant": str(ADA.tenant_id),
            "scopes": ["accounts:read"],
            "iat": NOW,
            "exp": NOW + 60,
        } | changes
    head = b64(json.dumps(header or {"alg": "Ed25519", "typ": "JWT"}).encode())
    signed = f"{head}.{b64(json.dumps(claims).encode())}"
    signature = (signer or KEY.sign)(signed.encode())
    return f"{signed}.{b64(signature)}"


def refused(token: str | None, clock: Clock | None = None) -> IdentityFault:
    with pytest.raises(IdentityError) as caught:
        IdentityVerifier(PUBLIC, "sales", clock or Clock()).verify(token)
    return caught.value.fault


def test_what_was_signed_is_what_is_read() -> None:
    token = IdentitySigner(PRIVATE, Clock()).sign(ADA, "sales")
    assert IdentityVerifier(PUBLIC, "sales", Clock()).verify(token) == ADA


def test_a_hand_made_valid_token_is_accepted() -> None:
    """Without this the attacks below could all be refused for a trivial reason."""
    assert IdentityVerifier(PUBLIC, "sales", Clock()).verify(forge()) == ADA


def test_a_token_is_reused_then_renewed_before_it_is_old() -> None:
    clock = Clock()
    signer = IdentitySigner(PRIVATE, clock)
    first = signer.sign(ADA, "sales")
    clock.now += REUSE_S - 1
    assert signer.sign(ADA, "sales") == first
    clock.now += 1
    second = signer.sign(ADA, "sales")
    assert second != first
    assert REUSE_S < LIFE_S <= 120
    clock.now -= 3600
    IdentityVerifier(PUBLIC, "sales", clock).verify(signer.sign(ADA, "sales"))


def test_identities_and_audiences_do_not_share_tokens() -> None:
    signer = IdentitySigner(PRIVATE, Clock())
    more = Identity(ADA.tenant_id, ADA.principal, frozenset())
    assert len({signer.sign(ADA, "sales"), signer.sign(ADA, "tickets"), signer.sign(more, "sales")}) == 3


def test_another_service_refuses_it() -> None:
    assert refused(IdentitySigner(PRIVATE, Clock()).sign(ADA, "tickets")) is IdentityFault.AUDIENCE


@pytest.mark.parametrize("aud", [["sales"], ["sales", "tickets"], "SALES", "", None, 7])
def test_the_audience_is_one_exact_name(aud: Any) -> None:
    assert refused(forge(aud=aud)) is IdentityFault.AUDIENCE


@pytest.mark.parametrize("token", [None, ""])
def test_missing(token: str | None) -> None:
    assert refused(token) is IdentityFault.MISSING


def test_expired_also_when_it_was_accepted_before() -> None:
    clock = Clock()
    verifier = IdentityVerifier(PUBLIC, "sales", clock)
    token = IdentitySigner(PRIVATE, clock).sign(ADA, "sales")
    verifier.verify(token)
    clock.now += LIFE_S - 1
    verifier.verify(token)
    clock.now += 1
    for _ in range(2):
        with pytest.raises(IdentityError) as caught:
            verifier.verify(token)
        assert caught.value.fault is IdentityFault.EXPIRED


def test_alg_none_and_cut_signature() -> None:
    assert refused(forge(header={"alg": "none"}, signer=lambda _: b"")) is IdentityFault.UNSIGNED
    assert refused(forge(header={"alg": "none"})) is IdentityFault.ALGORITHM
    assert refused(forge().rpartition(".")[0] + ".") is IdentityFault.UNSIGNED
    assert refused(forge().rpartition(".")[0]) is IdentityFault.MALFORMED


@pytest.mark.parametrize("alg", ["HS256", "HS512"])
def test_hmac_with_the_public_key_as_secret(alg: str) -> None:
    def with_public_key(message: bytes) -> bytes:
        return hmac.new(PUBLIC, message, getattr(hashlib, f"sha{alg[2:]}")).digest()

    assert refused(forge(header={"alg": alg}, signer=with_public_key)) is IdentityFault.ALGORITHM


@pytest.mark.parametrize("alg", ["EdDSA", "ed25519", "Ed448", "ES256", "RS256", "", None, 5, ["Ed25519"]])
def test_no_other_algorithm_name(alg: Any) -> None:
    assert refused(forge(header={"alg": alg})) in {IdentityFault.ALGORITHM, IdentityFault.MALFORMED}


def test_another_key_or_a_key_brought_along() -> None:
    stranger = Ed25519PrivateKey.generate()
    assert refused(forge(signer=stranger.sign)) is IdentityFault.SIGNATURE
    raw = stranger.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    header = {"alg": "Ed25519", "jwk": {"kty": "OKP", "crv": "Ed25519", "x": b64(raw)}}
    assert refused(forge(header=header, signer=stranger.sign)) is IdentityFault.SIGNATURE


def test_changed_claims_break_the_signature() -> None:
    head, _, signature = forge().split(".")
    other = forge(tenant="01900000-0000-7000-8000-000000000002").split(".")[1]
    assert refused(f"{head}.{other}.{signature}") is IdentityFault.SIGNATURE


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"iss": "someone"}, IdentityFault.ISSUER),
        ({"exp": NOW}, IdentityFault.MALFORMED),
        ({"iat": NOW - 60, "exp": NOW}, IdentityFault.EXPIRED),
        ({"exp": NOW + 121}, IdentityFault.MALFORMED),
        ({"exp": float("nan")}, IdentityFault.MALFORMED),
        ({"exp": float("inf")}, IdentityFault.MALFORMED),
        ({"exp": str(NOW + 60)}, IdentityFault.MALFORMED),
        ({"exp": None}, IdentityFault.MALFORMED),
        ({"iat": True}, IdentityFault.MALFORMED),
        (
            {"iat": NOW + CLOCK_SKEW_S + 1, "exp": NOW + CLOCK_SKEW_S + 61},
            IdentityFault.NOT_YET_VALID,
        ),
        ({"tenant": "acme"}, IdentityFault.MALFORMED),
        ({"tenant": None}, IdentityFault.MALFORMED),
        ({"sub": ""}, IdentityFault.MALFORMED),
        ({"sub": {"a": 1}}, IdentityFault.MALFORMED),
        ({"scopes": "admin"}, IdentityFault.MALFORMED),
        ({"scopes": [1]}, IdentityFault.MALFORMED),
    ],
)
def test_signed_but_wrong_claims(changes: dict[str, Any], fault: IdentityFault) -> None:
    assert refused(forge(**changes)) is fault


@pytest.mark.parametrize("claims", [[], "text", 5, [["iss", "kontor-gateway"]]])
def test_signed_but_no_claims_object(claims: Any) -> None:
    assert refused(forge(claims=claims)) in {IdentityFault.MALFORMED, IdentityFault.ISSUER}


def test_huge() -> None:
    assert refused("a" * (MAX_TOKEN_BYTES + 1)) is IdentityFault.MALFORMED
    assert refused(forge(scopes=["x" * MAX_TOKEN_BYTES])) is IdentityFault.MALFORMED


@given(st.text(max_size=200) | st.lists(st.binary(max_size=60).map(b64), max_size=5).map(".".join))
def test_garbage_is_always_an_identity_error(token: str) -> None:
    with pytest.raises(IdentityError):
        IdentityVerifier(PUBLIC, "sales", Clock()).verify(token)


@given(st.data())
def test_any_changed_character_is_refused(data: st.DataObject) -> None:
    token = forge()
    # The last character of an unpadded signature carries bits that no byte uses.
    at = data.draw(st.integers(0, len(token) - 2))
    to = data.draw(st.characters(codec="ascii").filter(lambda c: c != token[at]))
    with pytest.raises(IdentityError):
        IdentityVerifier(PUBLIC, "sales", Clock()).verify(token[:at] + to + token[at + 1 :])


def test_the_memory_of_tokens_is_bounded_and_forgetting_is_harmless() -> None:
    verifier = IdentityVerifier(PUBLIC, "sales", Clock(), cache_size=2)
    tokens = [forge(sub=f"key:{n}") for n in range(4)]
    for token in [*tokens, *tokens]:
        assert verifier.verify(token).principal == f"key:{tokens.index(token)}"
    assert len(verifier._verified) == 2


def test_only_ed25519_keys_are_taken() -> None:
    private, public = pem_pair(ec.generate_private_key(ec.SECP256R1()))
    with pytest.raises(ValueError, match="key"):
        IdentitySigner(private)
    with pytest.raises(ValueError, match="key"):
        IdentityVerifier(public, "sales")
    with pytest.raises(ValueError, match="private"):
        IdentitySigner(PUBLIC)
    with pytest.raises(ValueError, match="public"):
        IdentityVerifier(PRIVATE, "sales")
    with pytest.raises(ValueError, match="key"):
        IdentityVerifier(b"no pem at all", "sales")


def test_handling_identities_does_not_load_cryptography() -> None:
    code = "import sys, shared.identity; sys.exit('joserfc' in sys.modules or 'cryptography' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
