"""Ids made by the batch."""

from uuid import UUID

import pytest

from shared.imports.record_ids import MOST, record_ids

NOW_MS = 0x0190_1234_5678


def zeros(count: int) -> bytes:
    return bytes(count)


def test_they_are_uuids_of_version_7_and_of_their_instant() -> None:
    for text in record_ids(20_000, NOW_MS):
        value = UUID(text)
        assert str(value) == text
        assert (value.version, value.variant, value.int >> 80) == (7, "specified in RFC 4122", NOW_MS)


def test_they_are_in_order_and_differ_whatever_the_random_bytes() -> None:
    ids = record_ids(40_000, NOW_MS, zeros)
    assert ids == sorted(set(ids))
    assert max(ids) < record_ids(1, NOW_MS + 1, zeros)[0]


def test_two_makers_of_one_instant_differ() -> None:
    assert not set(record_ids(100, NOW_MS)) & set(record_ids(100, NOW_MS))


def test_none_are_none() -> None:
    assert record_ids(0, NOW_MS) == []


def test_more_than_an_instant_has_room_for_are_refused() -> None:
    with pytest.raises(ValueError, match="67,108,864"):
        record_ids(MOST + 1, NOW_MS)
