"""What our parser accepts, llhttp and h11 accept with the same meaning; what it remembers changes nothing."""

import re

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.gateway.protocol.agreement import Reference, assert_agreed, assert_same_end, verdict
from tests.gateway.protocol.heads import nearly
from tests.gateway.protocol.memory import forget_requests
from tests.gateway.protocol.references import by_h11, by_httptools

_TAB_AROUND_CODING = re.compile(rb"(?i)transfer-encoding:(?: *\t|[^\r\n]*\t *(?:\r|$))")


@pytest.mark.parametrize("reference", [by_httptools, by_h11])
@settings(max_examples=200, deadline=None)
@given(block=nearly)
def test_accepted_by_us_is_accepted_by_others_with_the_same_meaning(
    reference: Reference, block: bytes
) -> None:
    # Allowed around any value, but llhttp takes it for part of this one; what is sent on is a line of our own.
    assume(_TAB_AROUND_CODING.search(block) is None)
    assert_agreed(reference, block)


@settings(max_examples=100, deadline=None)
@given(st.lists(nearly, min_size=1, max_size=6))
def test_what_was_seen_before_changes_nothing(blocks: list[bytes]) -> None:
    cold = []
    for block in blocks:
        forget_requests()
        cold.append(verdict(block))
    forget_requests()
    assert [verdict(block) for block in blocks] == cold
    assert [verdict(block) for block in blocks] == cold


CHUNKS = st.lists(
    st.sampled_from(
        [
            b"0",
            b"3",
            b"a",
            b"\r\n",
            b"\r",
            b"\n",
            b"abc",
            b";x",
            b" ",
            b"0\r\n\r\n",
            b"3\r\nabc\r\n",
            b"x: y",
            b"00",
        ]
    ),
    max_size=10,
).map(b"".join)


@pytest.mark.parametrize("reference", [by_httptools, by_h11])
@settings(max_examples=200, deadline=None)
@given(wire=CHUNKS)
def test_chunked_bodies_end_where_others_see_the_end(reference: Reference, wire: bytes) -> None:
    assert_same_end(reference, wire)
