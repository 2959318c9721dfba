import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.telemetry.terms import Latency, ServiceTerms, read_latency, read_terms, write_terms

TIMES = st.integers(0, 10**18)
TERMS = st.builds(ServiceTerms, *[TIMES] * 8)


@given(TERMS)
def test_what_is_written_reads_back(terms: ServiceTerms) -> None:
    assert read_terms(write_terms(terms)) == terms


def test_the_order_on_the_wire() -> None:
    terms = ServiceTerms(
        queue=1, db_wait=2, db=3, processing=4, sched=5, down_processing=6, down_network=7, down_system=8
    )
    assert write_terms(terms) == b"".join(b"%016x" % number for number in range(1, 9))


@given(TERMS)
def test_the_formula_loses_nothing(terms: ServiceTerms) -> None:
    assert terms.latency.total_ns == terms.total_ns == sum(terms)


def test_each_component_belongs_to_one_term() -> None:
    terms = ServiceTerms(1, 20, 300, 4_000, 50_000, 600_000, 7_000_000, 80_000_000)
    assert terms.latency == Latency(processing_ns=604_300, network_ns=7_000_000, system_ns=80_050_021)


@pytest.mark.parametrize(
    ("latency", "dominant"),
    [
        (Latency(3, 2, 1), "processing"),
        (Latency(1, 3, 2), "network"),
        (Latency(1, 2, 3), "system"),
        (Latency(0, 0, 0), "processing"),
        (Latency(1, 2, 2), "network"),
    ],
)
def test_the_dominant_term(latency: Latency, dominant: str) -> None:
    assert latency.dominant == dominant


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"0" * 127,
        b"0" * 129,
        b"0" * 112,
        b"0" * 144,
        b"0" * 128 + b"\n",
        b" " + b"0" * 127,
        b"-" + b"0" * 127,
        b"+" + b"0" * 127,
        b"0x" + b"0" * 126,
        b"0_" + b"0" * 126,
        b"g" + b"0" * 127,
        b"\xff" * 128,
        "\N{ARABIC-INDIC DIGIT ONE}".encode() * 64,
        b"1,2,3,4,5,6,7,8",
    ],
)
def test_anything_else_is_no_terms(value: bytes) -> None:
    assert read_terms(value) is None


@given(
    st.binary(max_size=250) | st.binary(min_size=128, max_size=128) | st.from_regex(rb"\A[0-9a-fA-F]{128}\Z")
)
def test_no_bytes_break_the_reader(value: bytes) -> None:
    terms = read_terms(value)
    assert terms is None or write_terms(terms) == value.lower()


@given(TERMS)
def test_the_short_way_to_the_three_terms(terms: ServiceTerms) -> None:
    assert read_latency(write_terms(terms)) == terms.latency
    assert read_latency(write_terms(terms)[1:]) is None
