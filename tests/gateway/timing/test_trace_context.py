"""The caller's trace context is read as the recommendation says, and as the suite's own reader says it.

https://www.w3.org/TR/trace-context/ (and /trace-context-2/ for the random flag); the cases follow its sections.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.protocol.request_head import parse_request_head
from services.gateway.timing.trace_context import onward_flags, read_traceparent, read_tracestate
from shared.problems import Problem
from shared.telemetry.tracecontext import parse_state, remote_parent

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
GOOD = f"00-{TRACE}-{SPAN}-01"


def said(value: str) -> str | None:
    """Both readers' verdict, as the parent that would be passed on."""
    parent = read_traceparent(value.encode("latin-1"))
    # A field with several values is given apart to the other reader.
    context = remote_parent([(b"traceparent", value.encode("latin-1"))]) if "," not in value else None
    quick = None if parent is None else b"00-%b-%b-%b" % parent
    assert quick == (None if context is None else context.traceparent.encode())
    return None if quick is None else quick.decode()


@pytest.mark.parametrize(
    ("value", "parent"),
    [
        (GOOD, GOOD),
        (f"00-{TRACE}-{SPAN}-00", f"00-{TRACE}-{SPAN}-00"),
        # Flags that this version does not know are not passed on (3.2.2.5).
        (f"00-{TRACE}-{SPAN}-ff", f"00-{TRACE}-{SPAN}-03"),
        # Of a later version what this one knows is read (3.2.2.1, 4.3).
        (f"cc-{TRACE}-{SPAN}-09-more", f"00-{TRACE}-{SPAN}-01"),
        (f"01-{TRACE}-{SPAN}-01", GOOD),
        (f"01-{TRACE}-{SPAN}-01-", GOOD),
        (f"01-{TRACE}-{SPAN}-01.more", None),
        (f"01-{TRACE}-{SPAN}-0123", None),
        (f"00-{TRACE}-{SPAN}-01-more", None),
        (f"00-{TRACE}-{SPAN}-01-", None),
        (f"ff-{TRACE}-{SPAN}-01", None),
        (f"0-{TRACE}-{SPAN}-01", None),
        # No id may be all zeros (3.2.2.3, 3.2.2.4).
        (f"00-{'0' * 32}-{SPAN}-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        (f"00-{TRACE.upper()}-{SPAN}-01", None),
        (f"00-{TRACE}-{SPAN.upper()}-01", None),
        (f"00-{TRACE}-{SPAN}-0A", None),
        (f"00-{TRACE[1:]}-{SPAN}-01", None),
        (f"00-{TRACE}0-{SPAN}-01", None),
        (f"00-{TRACE}-{SPAN[1:]}-01", None),
        (f"00-{TRACE}-{SPAN}0-01", None),
        (f"00-{TRACE}-{SPAN}-1", None),
        (f"00-{TRACE}-{SPAN}", None),
        (f"00-{TRACE}.{SPAN}-01", None),
        (f"00-{TRACE[:-1]}g-{SPAN}-01", None),
        ("", None),
        ("0" * 55, None),
        (GOOD + "0" * 10_000, None),
        (f"cc-{TRACE}-{SPAN}-01-" + "x" * 10_000, GOOD),
    ],
)
def test_traceparent(value: str, parent: str | None) -> None:
    assert said(value) == parent


def through_the_head(*lines: str) -> tuple[str | None, str]:
    """Parent and state as the gateway reads them from a request's head."""
    block = "\r\n".join(["GET / HTTP/1.1", "Host: a", *lines]).encode("latin-1")
    found = parse_request_head(block).fields.found
    parent = read_traceparent(found.get(b"traceparent", b""))
    state = read_tracestate(found[b"tracestate"]) if b"tracestate" in found else b""
    return (b"00-%b-%b-%b" % parent).decode() if parent is not None else None, state.decode()


OTHER = f"00-{TRACE[::-1]}-{SPAN}-01"
LATER = f"cc-{TRACE}-{SPAN}-01-x"


@pytest.mark.parametrize(
    "lines",
    [
        [GOOD, GOOD],
        [GOOD, OTHER],
        [GOOD, "nonsense"],
        [LATER, GOOD],
        [GOOD, LATER],
        [LATER, LATER],
        [GOOD, ""],
        ["", GOOD],
    ],
)
def test_several_traceparents_are_none(lines: list[str]) -> None:
    assert through_the_head(*(f"traceparent: {line}" for line in lines))[0] is None
    # A single field with several values is no better.
    assert through_the_head(f"traceparent: {','.join(lines)}")[0] is None


@pytest.mark.parametrize("name", ["traceparent", "TraceParent", "TRACEPARENT"])
def test_names_and_white_space(name: str) -> None:
    assert through_the_head(f"{name}: \t {GOOD} \t")[0] == GOOD
    assert through_the_head(f"{name}:{GOOD}")[0] == GOOD
    assert through_the_head(f"{name}: 00 -{TRACE}-{SPAN}-01")[0] is None


@pytest.mark.parametrize("name", ["trace-parent", "trace.parent", "trace_parent", "xtraceparent"])
def test_other_names_are_other_fields(name: str) -> None:
    assert through_the_head(f"{name}: {GOOD}")[0] is None


def test_several_tracestates_are_one_list() -> None:
    lines = ["tracestate: a=1,b=2", "tracestate: ", "TraceState:c=3 , d=4", "tracestate: e=5\t"]
    assert through_the_head(*lines)[1] == "a=1,b=2,c=3,d=4,e=5"
    assert through_the_head("tracestate: a=1", "tracestate: a=2")[1] == ""


def test_control_characters_do_not_come_so_far() -> None:
    with pytest.raises(Problem):
        through_the_head("tracestate: a=1\x01")


LONG_KEY = "k" * 256
MANY = [f"k{number}=v" for number in range(33)]


@pytest.mark.parametrize(
    ("value", "state"),
    [
        ("a=1", "a=1"),
        ("a=1,b=2", "a=1,b=2"),
        (" a=1 ,\tb=2\t", "a=1,b=2"),
        (",a=1,,b=2,", "a=1,b=2"),
        ("", ""),
        (" , ,", ""),
        ("a=1 2", "a=1 2"),
        ("a= 1", "a= 1"),
        ("a-_*/0=1", "a-_*/0=1"),
        ("0tenant@system=1", "0tenant@system=1"),
        (f"{'t' * 241}@{'s' * 14}=1", f"{'t' * 241}@{'s' * 14}=1"),
        (f"{LONG_KEY}=1", f"{LONG_KEY}=1"),
        (f"a={'v' * 256}", f"a={'v' * 256}"),
        # Anything malformed takes the whole with it: nobody can tell what else is wrong (3.3.1).
        ("a", ""),
        ("a=", ""),
        ("=1", ""),
        ("a=1=2", ""),
        ("A=1", ""),
        ("0=1", ""),
        ("a b=1", ""),
        ("a@=1", ""),
        ("@a=1", ""),
        ("a@0=1", ""),
        ("a@b@c=1", ""),
        ("a=1,b=\x7f", ""),
        ("a=1,b=\xe9", ""),
        ("a=1;b=2", ""),
        (f"{LONG_KEY}k=1", ""),
        (f"{'t' * 242}@s=1", ""),
        (f"t@{'s' * 15}=1", ""),
        (f"a={'v' * 257}", ""),
        ("a=1,b=2,a=3", ""),
        ("a=1,a=1", ""),
        (",".join(MANY[:32]), ",".join(MANY[:32])),
        (",".join(MANY), ""),
    ],
)
def test_tracestate(value: str, state: str) -> None:
    assert read_tracestate(value.encode("latin-1")).decode() == state
    assert parse_state([value]) == state


def test_a_long_tracestate_loses_its_longest_members_and_then_the_oldest() -> None:
    long, short = "a=" + "v" * 130, [f"k{number}=" + "v" * 60 for number in range(9)]
    state = read_tracestate(",".join([long, *short]).encode()).decode()
    assert state == ",".join(short[:8])
    assert len(state) <= 512
    kept = ",".join(short[:8]) + "v"
    assert len(kept) == 512
    assert read_tracestate(kept.encode()).decode() == kept


member = st.tuples(
    st.sampled_from(["a", "b", "k@v", "K", "", "0", "a" * 256, "a b"]) | st.text("ab*/@", max_size=4),
    st.sampled_from(["=", "", "=="]),
    st.text(st.characters(min_codepoint=31, max_codepoint=128), max_size=140) | st.just("v" * 257),
).map("".join)


@given(st.lists(member, max_size=40).map(",".join))
def test_the_same_verdict_on_any_state(value: str) -> None:
    raw = value.encode("latin-1")
    assert read_tracestate(raw).decode() == parse_state([value])


parts = st.tuples(
    st.sampled_from(["00", "01", "cc", "ff", "0", "FF", "0g"]),
    st.sampled_from([TRACE, "0" * 32, TRACE[1:], TRACE.upper(), TRACE + "0"]) | st.text("0123456789abcdef"),
    st.sampled_from([SPAN, "0" * 16, SPAN[1:], "x" * 16]) | st.text("0123456789abcdef"),
    st.text("0123456789abcdef", max_size=3),
    st.sampled_from(["", "-", "-more", "-x-y", "x", "\n", "-\n", "-\xe9", "-a,b"]),
)


@given(parts)
def test_the_same_verdict(parts: tuple[str, str, str, str, str]) -> None:
    said("-".join(parts[:4]) + parts[4])


@given(st.text(st.characters(min_codepoint=33, max_codepoint=255), max_size=70))
def test_the_same_verdict_on_anything(value: str) -> None:
    said(value)


@pytest.mark.parametrize(
    ("callers", "recorded", "flags"),
    [
        (None, True, b"03"),
        (None, False, b"02"),
        (b"00", True, b"01"),
        (b"01", True, b"01"),
        (b"00", False, b"00"),
        (b"01", False, b"00"),
        (b"02", True, b"03"),
        (b"03", False, b"02"),
    ],
)
def test_a_callers_sampled_flag_decides_nothing(callers: bytes | None, recorded: bool, flags: bytes) -> None:
    assert onward_flags(callers, recorded) == flags
