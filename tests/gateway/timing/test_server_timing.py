"""The line can be read by the header's own grammar, and says the terms to the microsecond."""

import re

from hypothesis import example, given
from hypothesis import strategies as st

from services.gateway.timing.server_timing import server_timing

TERMS = st.integers(0, 10**14)  # more than a day


def test_example() -> None:
    assert server_timing(1_234_567, 12_345, 0) == (
        b"server-timing: processing;dur=1.235, network;dur=0.012, system;dur=0.000\r\n"
    )
    assert server_timing(1_234_567, 0, 0) == (
        b"server-timing: processing;dur=1.235, network;dur=0.000, system;dur=0.000\r\n"
    )


@given(TERMS, TERMS, TERMS)
@example(1, 0, 0)
def test_any_terms(processing: int, network: int, system: int) -> None:
    name, _, value = server_timing(processing, network, system).partition(b": ")
    assert name == b"server-timing"
    metrics = re.findall(rb"([a-z]+);dur=([0-9]+\.[0-9]{3})(?:, |\r\n)", value)
    assert b"".join(b"%b;dur=%b, " % metric for metric in metrics)[:-2] + b"\r\n" == value
    told = {name: float(ms) * 1e6 for name, ms in metrics}
    assert list(told) == [b"processing", b"network", b"system"]
    for name, ns in zip(told, (processing, network, system), strict=True):
        assert abs(told[name] - ns) <= 501
