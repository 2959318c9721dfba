"""The quick reader of `traceparent` says what the suite's own says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.timing.trace_context import read_traceparent
from shared.telemetry.tracecontext import parse, traceparent

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def said(value: str) -> str | None:
    """Both readers' verdict, as the parent that would be passed on."""
    parent = read_traceparent(value.encode("latin-1"))
    context = parse(value)
    quick = None if parent is None else b"00-%b-%b-%b" % parent
    assert quick == (None if context is None else traceparent(context).encode())
    return None if quick is None else quick.decode()


@pytest.mark.parametrize(
    ("value", "parent"),
    [
        (f"00-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-01"),
        (f"00-{TRACE}-{SPAN}-00", f"00-{TRACE}-{SPAN}-00"),
        # Flags that this version does not know are not passed on (Trace Context, 3.2.2.5).
        (f"00-{TRACE}-{SPAN}-ff", f"00-{TRACE}-{SPAN}-03"),
        (f"cc-{TRACE}-{SPAN}-09-more", f"00-{TRACE}-{SPAN}-01"),
        (f"00-{TRACE}-{SPAN}-01-more", None),
        (f"ff-{TRACE}-{SPAN}-01", None),
        (f"00-{'0' * 32}-{SPAN}-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        (f"00-{TRACE.upper()}-{SPAN}-01", None),
        (f"00-{TRACE}-{SPAN}", None),
        ("", None),
    ],
)
def test_examples(value: str, parent: str | None) -> None:
    assert said(value) == parent


parts = st.tuples(
    st.sampled_from(["00", "01", "cc", "ff", "0", "FF", "0g"]),
    st.sampled_from([TRACE, "0" * 32, TRACE[1:], TRACE.upper(), TRACE + "0"]) | st.text("0123456789abcdef"),
    st.sampled_from([SPAN, "0" * 16, SPAN[1:], "x" * 16]) | st.text("0123456789abcdef"),
    st.text("0123456789abcdef", max_size=3),
    st.sampled_from(["", "-", "-more", "-x-y", "x", "\n", "-\n", "-\xe9"]),
)


@given(parts)
def test_the_same_verdict(parts: tuple[str, str, str, str, str]) -> None:
    said("-".join(parts[:4]) + parts[4])


@given(st.text(st.characters(min_codepoint=33, max_codepoint=255), max_size=70))
def test_the_same_verdict_on_anything(value: str) -> None:
    said(value)
