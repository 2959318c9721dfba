import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.telemetry.tracecontext import Parent, parse_state, remote_parent

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
VALID = f"00-{TRACE}-{SPAN}-01"

MALFORMED = [
    "",
    " ",
    "00",
    VALID[:-1],
    VALID + "0",
    VALID + "-",
    VALID + "-extra",
    VALID.upper(),
    VALID.replace("-", "_"),
    f"00-{TRACE.upper()}-{SPAN}-01",
    f"00-{TRACE}-{SPAN.upper()}-01",
    f"00-{'0' * 32}-{SPAN}-01",
    f"00-{TRACE}-{'0' * 16}-01",
    f"00-{TRACE[:-1]}-{SPAN}-01",
    f"00-{TRACE}0-{SPAN}-01",
    f"00-{TRACE}-{SPAN}-1",
    f"00-{TRACE}-{SPAN}-0x",
    f"00-{TRACE}-{SPAN}",
    f"00-{TRACE[:-1]}g-{SPAN}-01",
    f"ff-{TRACE}-{SPAN}-01",
    f"ff-{TRACE}-{SPAN}-01-what-the-future-brings",
    f"cc-{TRACE}-{SPAN}-01.what-the-future-brings",
    f"0-{TRACE}-{SPAN}-01",
    f"{VALID},{VALID}",
    f"{VALID}\n",
    f"{VALID}\x00",
    "00-" + "٤" * 32 + f"-{SPAN}-01",  # digits, but not ASCII ones
    "x" * 100_000,
]


def read(traceparent: str, *tracestate: str) -> Parent | None:
    """What a request with these fields continues."""
    states = [(b"tracestate", state.encode("latin-1", "replace")) for state in tracestate]
    return remote_parent([(b"traceparent", traceparent.encode()), *states])


@pytest.mark.parametrize("value", MALFORMED, ids=lambda value: repr(value)[:60])
def test_a_malformed_traceparent_names_no_parent(value: str) -> None:
    assert read(value) is None


@pytest.mark.parametrize("version", ["01", "cc", "fe"])
@pytest.mark.parametrize("rest", ["", "-", "-what-the-future-brings"])
def test_a_future_version_is_read_as_far_as_it_is_known(version: str, rest: str) -> None:
    context = read(f"{version}-{TRACE}-{SPAN}-01{rest}")
    assert context is not None
    assert context.traceparent == VALID


@pytest.mark.parametrize("flags", ["00", "01", "02", "03"])
def test_known_flags_are_kept(flags: str) -> None:
    context = read(f"00-{TRACE}-{SPAN}-{flags}")
    assert context is not None
    assert context.traceparent.endswith(f"-{flags}")


def test_unknown_flags_are_cleared() -> None:
    context = read(f"00-{TRACE}-{SPAN}-ff")
    assert context is not None
    assert context.traceparent.endswith("-03")


def test_several_traceparent_fields_name_no_parent() -> None:
    field = (b"traceparent", VALID.encode())
    assert remote_parent([field]) is not None
    assert remote_parent([field, field]) is None


def test_tracestate_fields_are_joined_in_order() -> None:
    headers = [(b"traceparent", VALID.encode()), (b"tracestate", b"a=1, b=2"), (b"tracestate", b",t@v=3,")]
    context = remote_parent(headers)
    assert context is not None
    assert context.state == "a=1,b=2,t@v=3"


@pytest.mark.parametrize(
    "state",
    [
        "a=1,a=2",
        "A=1",
        "a",
        "a=",
        "=1",
        "a=1=2",
        "a=\xe4",
        "a=\x01",
        "1a=1",
        "a" * 257 + "=1",
        "a=" + "1" * 257,
        ",".join(f"k{n}=1" for n in range(33)),
    ],
    ids=lambda state: repr(state)[:40],
)
def test_a_malformed_tracestate_is_dropped_but_not_the_trace(state: str) -> None:
    assert parse_state([state]) == ""
    context = read(VALID, state)
    assert context is not None
    assert (context.traceparent, context.state) == (VALID, "")


def test_many_members_pass_and_long_ones_go_first() -> None:
    many = ",".join(f"k{n}=1" for n in range(32))
    assert parse_state([many]) == many
    state = parse_state([f"long={'x' * 200}," + ",".join(f"k{n}={'y' * 20}" for n in range(20))])
    assert "long" not in state
    assert len(state) <= 512
    assert state.startswith("k0=")


@given(st.text(max_size=80))
def test_no_text_breaks_the_parser(text: str) -> None:
    context = read(text, text)
    assert context is None or (context.trace_id and context.span_id)


@given(st.sampled_from([VALID, *MALFORMED, f"cc-{TRACE}-{SPAN}-ff-x", f" {VALID}\t"]), st.integers(0, 60))
def test_white_space_around_it_says_nothing(value: str, cut: int) -> None:
    """And takes it from the quick way of reading to the thorough one."""
    for text in (value, value[:cut]):
        assert read(text) == read(f"\t{text} ")


@given(
    trace=st.integers(1, 2**128 - 1),
    span=st.integers(1, 2**64 - 1),
    flags=st.integers(0, 3),
)
def test_what_is_written_reads_back(trace: int, span: int, flags: int) -> None:
    text = f"00-{trace:032x}-{span:016x}-{flags:02x}"
    context = read(text)
    assert context is not None
    assert context.traceparent == text
