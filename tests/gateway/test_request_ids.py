"""Request ids: those of callers, and our own."""

import uuid

import pytest

from services.gateway.request_ids import RandomHex, RequestIds, accepted


def test_random_digits_never_come_twice() -> None:
    digits = RandomHex()
    counts = [1, 16, 18, 32] * 2000
    seen = [digits.take(count) for count in counts]
    assert [len(one) for one in seen] == counts
    assert set(b"".join(seen)) <= set(b"0123456789abcdef")
    long = [one for one in seen if len(one) >= 16]
    assert len(set(long)) == len(long)


def test_ids_are_uuids_that_sort_by_time() -> None:
    ids = RequestIds()
    made = [ids.next().decode() for _ in range(5000)]
    parsed = [uuid.UUID(one) for one in made]
    assert [str(one) for one in parsed] == made
    assert {(one.version, one.variant) for one in parsed} == {(7, uuid.RFC_4122)}
    assert len(set(made)) == len(made)
    stamps = [one.int >> 80 for one in parsed]
    assert stamps == sorted(stamps)


@pytest.mark.parametrize("sent", [b"1", b"abc-1", b"x" * 128, b"\"{}<>'"])
def test_decent_ids_are_kept(sent: bytes) -> None:
    assert accepted(sent)


@pytest.mark.parametrize(
    "sent", [None, b"", b"x" * 129, b"a b", b"a\tb", b"a\nb", b"a\x00", b"caf\xe9", b"\x7f"]
)
def test_others_are_not(sent: bytes | None) -> None:
    assert not accepted(sent)
