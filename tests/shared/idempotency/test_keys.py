"""Reading idempotency keys: quoted or bare, bounded, and bound to the request they came with."""

from uuid import UUID

import pytest

from shared.idempotency import IdempotencyKey, read_key
from shared.problems import Problem

TENANT = UUID(int=1)


def read(header: str | None, payload: bytes = b"{}", target: str = "/v1/x") -> IdempotencyKey | None:
    """The key of a POST."""
    return read_key(header, tenant_id=TENANT, principal="p", method="POST", target=target, payload=payload)


def test_without_a_header_there_is_no_key() -> None:
    assert read(None) is None


@pytest.mark.parametrize(
    ("header", "key"), [("abc", "abc"), ('"abc"', "abc"), ('  "a b" ', "a b"), (r'"a\"b\\c"', r'a"b\c')]
)
def test_quoted_and_bare_are_the_same(header: str, key: str) -> None:
    found = read(header)
    assert found is not None
    assert found.key == key


@pytest.mark.parametrize("header", ["", '""', "a" * 256, "ä", "a\x7f", "a\tb"])
def test_unusable_keys(header: str) -> None:
    with pytest.raises(Problem) as caught:
        read(header)
    assert (caught.value.status, caught.value.code) == (400, "bad_idempotency_key")


def test_the_fingerprint_is_of_the_whole_request() -> None:
    keys = [read("k"), read("k", b"[]"), read("k", target="/v1/y")]
    assert len({key.fingerprint for key in keys if key is not None}) == 3


def test_lock_numbers_fit_into_64_bits_and_differ_by_scope() -> None:
    numbers = {
        IdempotencyKey(UUID(int=tenant), principal, "k", b"").lock_number
        for tenant in (1, 2)
        for principal in ("a", "b")
    }
    assert len(numbers) == 4
    assert all(-(2**63) <= number < 2**63 for number in numbers)
