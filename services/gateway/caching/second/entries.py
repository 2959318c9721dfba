"""Answers as the second level holds them: bytes that mean one thing, or nothing at all. Pure.

What comes back was written by another process, by another version, or by whoever else can write there. It is taken
only if every length fits, the checksum is right, and the key is the one that was asked for: then it is the answer
that somebody stored under exactly this key, with tenant and audience.
"""

import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from services.gateway.caching.http.keys import MOST_VARYING, Selecting
from services.gateway.caching.rule import LARGEST_STORED

_MAGIC: Final = b"Kontor1\n"
"""With another number wherever the same bytes would mean something else."""
_LEVEL: Final = 1
_SMALLER: Final = 0.9
"""Below so much of its size a compressed body is worth the time that reading it takes."""
_NONE: Final = 0xFFFF_FFFF
# Flags, status, microseconds of the server's clock, nanoseconds until it was here, seconds since the epoch, and the
# lengths of key, lines, tags, visibility, vary, body as it is here, and body.
_FIXED: Final = struct.Struct(">BHQQQIIIIIII")
_CHECKSUM: Final = struct.Struct(">I")
_LENGTH: Final = struct.Struct(">I")
_COMPRESSED: Final = 1
_LONGEST_HEAD: Final = 256 * 1024


class EntryError(ValueError):
    """These bytes are no entry, or not the one that was asked for."""


@dataclass(frozen=True, slots=True)
class SharedAnswer:
    """An answer as it came from a replica, and what has to be known of the request to use it again.

    `lines` are its header lines, each with its line end; `tags` and `visibility` what the service said besides, None
    for no tags. `vary` names fields of the request, in order, whose values were `selecting`. It was asked for when
    the server's clock showed `asked_us`, and was here `took_ns` later, at `wall_s` since the epoch.
    """

    key: bytes
    status: int
    lines: bytes
    tags: bytes | None
    visibility: bytes
    vary: tuple[bytes, ...]
    selecting: Selecting
    asked_us: int
    took_ns: int
    wall_s: int
    body: bytes


def encode(answer: SharedAnswer, compress_bytes: int) -> bytes:
    """As bytes; the body compressed, if it has at least `compress_bytes` and that pays: some 5 µs per KiB."""
    flags, body = 0, answer.body
    if len(body) >= compress_bytes:
        compressed = zlib.compress(body, _LEVEL)
        if len(compressed) < _SMALLER * len(body):
            flags, body = _COMPRESSED, compressed
    vary = _join(value for pair in zip(answer.vary, answer.selecting, strict=True) for value in pair)
    fixed = _FIXED.pack(
        flags,
        answer.status,
        answer.asked_us,
        answer.took_ns,
        answer.wall_s,
        len(answer.key),
        len(answer.lines),
        _NONE if answer.tags is None else len(answer.tags),
        len(answer.visibility),
        len(vary),
        len(body),
        len(answer.body),
    )
    content = b"".join((fixed, answer.key, answer.lines, answer.tags or b"", answer.visibility, vary, body))
    return b"".join((_MAGIC, _CHECKSUM.pack(zlib.crc32(content)), content))


def decode(data: bytes, key: bytes) -> SharedAnswer:
    """What `encode` has made bytes of for this key. Raises `EntryError`."""
    content = _checked(data)
    try:
        flags, status, asked_us, took_ns, wall_s, *lengths = _FIXED.unpack_from(content)
    except struct.error as error:
        raise EntryError("it ends too early") from error
    whole = lengths.pop()
    tagged = lengths[2] != _NONE
    if not tagged:
        lengths[2] = 0
    if len(content) != _FIXED.size + sum(lengths) or sum(lengths[:-1]) > _LONGEST_HEAD:
        raise EntryError("its lengths do not fit")
    parts = []
    at = _FIXED.size
    for length in lengths:
        parts.append(content[at : at + length])
        at += length
    found, lines, tags, visibility, vary, body = parts
    if found != key:
        raise EntryError("it belongs to another key")
    if not 100 <= status <= 599 or flags & ~_COMPRESSED or (lines and not lines.endswith(b"\r\n")):
        raise EntryError("it is no answer")
    names, selecting = _read_vary(vary)
    return SharedAnswer(
        key=key,
        status=status,
        lines=lines,
        tags=tags if tagged else None,
        visibility=visibility,
        vary=names,
        selecting=selecting,
        asked_us=asked_us,
        took_ns=took_ns,
        wall_s=wall_s,
        body=_body(body, whole, compressed=bool(flags)),
    )


def _checked(data: bytes) -> bytes:
    """What the checksum is about."""
    start = len(_MAGIC) + _CHECKSUM.size
    if not data.startswith(_MAGIC) or len(data) < start:
        raise EntryError("it is something else")
    content = data[start:]
    if _CHECKSUM.unpack_from(data, len(_MAGIC)) != (zlib.crc32(content),):
        raise EntryError("its checksum is wrong")
    return content


def _body(data: bytes, whole: int, *, compressed: bool) -> bytes:
    if whole > LARGEST_STORED:
        raise EntryError("its body is too large")
    if compressed:
        reader = zlib.decompressobj()
        try:
            # One byte more shows what is too long, and a bomb gets no further.
            data = reader.decompress(data, whole + 1)
        except zlib.error as error:
            raise EntryError(f"its body cannot be read: {error}") from error
        if not reader.eof or reader.unused_data:
            raise EntryError("its body does not end where it should")
    if len(data) != whole:
        raise EntryError("its body has another length")
    return data


def _join(values: Iterable[bytes | None]) -> bytes:
    parts = []
    for value in values:
        parts += [_LENGTH.pack(_NONE if value is None else len(value)), value or b""]
    return b"".join(parts)


def _read_vary(data: bytes) -> tuple[tuple[bytes, ...], Selecting]:
    values: list[bytes | None] = []
    at = 0
    while at < len(data):
        if at + _LENGTH.size > len(data):
            raise EntryError("what it varies by cannot be read")
        (length,) = _LENGTH.unpack_from(data, at)
        at += _LENGTH.size
        if length == _NONE:
            values.append(None)
            continue
        if at + length > len(data):
            raise EntryError("what it varies by cannot be read")
        values.append(data[at : at + length])
        at += length
    names = tuple(name for name in values[::2] if name is not None)
    if len(values) != 2 * len(names) or len(names) > MOST_VARYING:
        raise EntryError("what it varies by cannot be read")
    return names, tuple(values[1::2])
