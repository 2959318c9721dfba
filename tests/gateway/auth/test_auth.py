"""API keys: where they may stand, what is refused, and the file they come from."""

from uuid import UUID

import pytest

from services.gateway.auth.document import KeysDocument
from services.gateway.auth.keys import KEY_PREFIX, KeyRing, new_key
from services.gateway.auth.policy import authenticate
from services.gateway.documents import DocumentError, parse_document
from shared.problems import Problem

TENANT = "01900000-0000-7000-8000-000000000001"
KEY, DIGEST = new_key()
OTHER_KEY, OTHER_DIGEST = new_key()


def document(*lines: str) -> str:
    return "keys:\n" + "\n".join(f"- {{{line}}}" for line in lines)


def entry(name: str, digest: str, more: str = "") -> str:
    return f"id: {name}, sha256: {digest}, tenant_id: {TENANT}{more}"


@pytest.fixture
def ring() -> KeyRing:
    text = document(entry("one", DIGEST), entry("two", OTHER_DIGEST, ", principal: 'user:2', scopes: [a, b]"))
    return parse_document(text, KeysDocument).ring()


@pytest.mark.parametrize(
    "headers",
    [
        [(b"authorization", f"Bearer {KEY}".encode())],
        [(b"authorization", f"bearer  {KEY}".encode())],
        [(b"x-api-key", KEY.encode())],
        [(b"x-api-key", KEY.encode()), (b"authorization", f"Bearer {KEY}".encode())],
    ],
)
def test_both_places(ring: KeyRing, headers: list[tuple[bytes, bytes]]) -> None:
    caller = authenticate(headers, ring)
    assert (caller.key_id, caller.identity.principal) == ("one", "key:one")
    assert caller.identity.tenant_id == UUID(TENANT)
    assert caller.identity.scopes == frozenset()


def test_what_the_file_says_of_a_key(ring: KeyRing) -> None:
    identity = authenticate([(b"x-api-key", OTHER_KEY.encode())], ring).identity
    assert (identity.principal, identity.scopes) == ("user:2", frozenset({"a", "b"}))


@pytest.mark.parametrize(
    ("headers", "code", "challenge"),
    [
        ([], "missing_credentials", 'Bearer realm="kontor"'),
        (
            [(b"authorization", b"Basic eDp5")],
            "bad_credentials",
            'Bearer realm="kontor", error="invalid_request"',
        ),
        (
            [(b"authorization", f"Bearer {KEY}".encode()), (b"x-api-key", OTHER_KEY.encode())],
            "bad_credentials",
            'Bearer realm="kontor", error="invalid_request"',
        ),
        (
            [(b"x-api-key", KEY[:-1].encode())],
            "invalid_credentials",
            'Bearer realm="kontor", error="invalid_token"',
        ),
        ([(b"x-api-key", b"\xff")], "invalid_credentials", 'Bearer realm="kontor", error="invalid_token"'),
        (
            [(b"authorization", b"Bearer")],
            "invalid_credentials",
            'Bearer realm="kontor", error="invalid_token"',
        ),
        (
            [(b"x-api-key", KEY.removeprefix(KEY_PREFIX).encode())],
            "invalid_credentials",
            'Bearer realm="kontor", error="invalid_token"',
        ),
        (
            [(b"x-api-key", DIGEST.encode())],
            "invalid_credentials",
            'Bearer realm="kontor", error="invalid_token"',
        ),
    ],
)
def test_refusals(ring: KeyRing, headers: list[tuple[bytes, bytes]], code: str, challenge: str) -> None:
    with pytest.raises(Problem) as caught:
        authenticate(headers, ring)
    assert (caught.value.status, caught.value.code) == (401, code)
    assert caught.value.headers == {"WWW-Authenticate": challenge}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "the document"),
        ("keys: [", "not YAML"),
        (document("id: x"), "keys[0].sha256"),
        (document(entry("x", "12")), "keys[0].sha256"),
        (document(entry("x", DIGEST, ", colour: red")), "keys[0].colour"),
        (document(entry("x", DIGEST), entry("x", OTHER_DIGEST)), "the id x appears 2 times"),
        (document(entry("x", DIGEST), entry("y", DIGEST)), "the sha256"),
        (document(f"id: x, sha256: {DIGEST}, tenant_id: acme"), "keys[0].tenant_id"),
    ],
)
def test_mistakes_in_the_file_name_the_field(text: str, complaint: str) -> None:
    with pytest.raises(DocumentError) as caught:
        parse_document(text, KeysDocument)
    assert complaint in str(caught.value)
