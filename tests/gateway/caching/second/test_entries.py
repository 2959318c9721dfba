"""Bytes that mean one answer, or nothing at all."""

import dataclasses
import random
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.caching.rule import LARGEST_STORED
from services.gateway.caching.second.entries import EntryError, SharedAnswer, decode, encode

ANSWER = SharedAnswer(
    key=b"all\n-\nhttp://a/x\n*",
    status=200,
    lines=b'ETag: "1"\r\nContent-Length: 2\r\n',
    tags=b"contacts contacts/*",
    visibility=b"tenant",
    vary=(b"accept", b"accept-language"),
    selecting=(b"text/html", None),
    asked_us=1_763_740_000_000_000,
    took_ns=12_345_678,
    wall_s=1_763_740_000,
    body=b"ok" * 5_000,
)
NOISE = random.Random(1).randbytes(5_000)  # noqa: S311 - the same each time
NEVER = LARGEST_STORED + 1
FIXED = [
    *("flags", "status", "asked_us", "took_ns", "wall_s"),
    *("key", "lines", "tags", "visibility", "vary", "body", "whole"),
]

texts = st.binary(max_size=50)
answers = st.builds(
    lambda vary, **fields: SharedAnswer(
        vary=tuple(name for name, _ in vary), selecting=tuple(value for _, value in vary), **fields
    ),
    vary=st.lists(st.tuples(texts, st.none() | texts), max_size=16),
    key=texts,
    status=st.integers(100, 599),
    lines=texts.map(lambda text: text + b"\r\n") | st.just(b""),
    tags=st.none() | texts,
    visibility=texts,
    asked_us=st.integers(0, 2**63),
    took_ns=st.integers(0, 2**63),
    wall_s=st.integers(0, 2**63),
    body=st.binary(max_size=200) | st.binary(min_size=1, max_size=20).map(lambda part: part * 300),
)


@given(answers, st.sampled_from([0, 100, NEVER]))
def test_what_is_read_is_what_was_written(answer: SharedAnswer, compress_bytes: int) -> None:
    assert decode(encode(answer, compress_bytes), answer.key) == answer


def test_a_body_is_compressed_where_that_pays() -> None:
    assert len(encode(ANSWER, 4096)) < len(ANSWER.body) // 10
    assert len(encode(ANSWER, NEVER)) > len(ANSWER.body)
    noise = dataclasses.replace(ANSWER, body=NOISE)
    assert len(encode(noise, 0)) > len(noise.body)


def test_an_entry_of_another_key_is_none() -> None:
    with pytest.raises(EntryError, match="another key"):
        decode(encode(ANSWER, 0), ANSWER.key + b",")


@given(st.data(), answers)
def test_what_was_damaged_is_no_entry(data: st.DataObject, answer: SharedAnswer) -> None:
    written = bytearray(encode(answer, 100))
    at = data.draw(st.integers(0, len(written) - 1))
    written[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(EntryError):
        decode(bytes(written), answer.key)


@given(st.data(), answers)
def test_what_was_cut_or_added_to_is_no_entry(data: st.DataObject, answer: SharedAnswer) -> None:
    written = encode(answer, 100)
    cut = written[: data.draw(st.integers(0, len(written) - 1))]
    for wrong in (cut, written + data.draw(st.binary(min_size=1, max_size=9))):
        with pytest.raises(EntryError):
            decode(wrong, answer.key)


@given(st.binary(max_size=300))
def test_any_bytes_are_an_entry_or_refused(data: bytes) -> None:
    for wrong in (data, sealed(data), encode(ANSWER, NEVER)[:12] + data):
        with pytest.raises(EntryError):
            decode(wrong, ANSWER.key)


def sealed(content: bytes) -> bytes:
    """With the opening and the checksum of an entry: as whoever means it would write it."""
    return b"Kontor1\n" + struct.pack(">I", zlib.crc32(content)) + content


def forged(**changes: int) -> bytes:
    """An entry with some of its fixed numbers changed, and the right checksum."""
    content = encode(ANSWER, 100)[12:]
    layout = struct.Struct(">BHQQQIIIIIII")
    fixed = dict(zip(FIXED, layout.unpack_from(content), strict=True)) | changes
    return sealed(layout.pack(*fixed.values()) + content[layout.size :])


@pytest.mark.parametrize(
    "changes",
    [
        {"status": 99},
        {"status": 600},
        {"flags": 0},
        {"flags": 3},
        {"whole": 9_999},
        {"whole": 10_001},
        {"whole": LARGEST_STORED + 1},
        {"key": 5},
        {"lines": 0},
        {"lines": 2**31},
        {"tags": 2**32 - 1},
        {"vary": 3},
    ],
    ids=str,
)
def test_what_is_forged_without_care_is_no_entry(changes: dict[str, int]) -> None:
    assert decode(forged(), ANSWER.key) == ANSWER
    with pytest.raises(EntryError):
        decode(forged(**changes), ANSWER.key)


def test_a_bomb_is_not_unpacked() -> None:
    bomb = dataclasses.replace(ANSWER, body=b"\0" * LARGEST_STORED)
    decode(encode(bomb, 0), bomb.key)
    with pytest.raises(EntryError, match="too large"):
        decode(encode(dataclasses.replace(bomb, body=bomb.body + b"\0"), 0), bomb.key)
