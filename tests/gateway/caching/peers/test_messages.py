"""What gateways say to one another."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.caching.peers.messages import Written, acknowledgement, read_acknowledgement

TAGS = st.none() | st.lists(st.binary(max_size=20), max_size=4).map(tuple)


@given(st.integers(0, 2**63), st.text("0123456789abcdef", min_size=1), st.binary(max_size=30), TAGS)
def test_what_is_said_is_understood(
    number: int, gateway: str, reply: bytes, tags: tuple[bytes, ...] | None
) -> None:
    written = Written(gateway, reply, number, "customers", b"-", tags)
    assert Written.decode(written.encode()) == written
    assert read_acknowledgement(acknowledgement(number, gateway)) == (number, gateway)


@pytest.mark.parametrize(
    "message",
    [b"", b"{}", b"[]", b"1", b'["a", 1, 2, "c", "-", []]', b'["a", "b", 2, "c", "-", [1]]', b"\xff"],
)
def test_anything_else_is_not(message: bytes) -> None:
    with pytest.raises(ValueError, match="not what a gateway says"):
        Written.decode(message)


@pytest.mark.parametrize("message", [b"", b"x 1", b" a", b"1 \xff"])
def test_nor_is_any_other_acknowledgement(message: bytes) -> None:
    with pytest.raises(ValueError, match="not an acknowledgement"):
        read_acknowledgement(message)
