"""An instant of ours that is never after the one at which a server's clock showed a time."""

from hypothesis import given
from hypothesis import strategies as st

from services.gateway.caching.second.server_clock import ServerClock

S = 1_000_000_000
WINDOW = 3600 * S
AHEAD_US = 5_000_000_000_000
"""How far the server's clock is ahead of ours, to begin with."""


class Server:
    """A server whose clock may be set, and run a little fast or slow; asked over a line that takes its time."""

    def __init__(self) -> None:
        self.now_ns = 1_000 * S
        self.set_us = 0
        self.drift = 0.0
        self.clock = ServerClock(WINDOW)
        self.issued: list[tuple[int, int]] = []

    def shows(self) -> int:
        return self.now_ns // 1000 + AHEAD_US + self.set_us + round(self.now_ns / 1000 * self.drift)

    def wait(self, ns: int) -> None:
        self.now_ns += ns

    def observe(self, there_ns: int = 0, back_ns: int = 0) -> None:
        sent_ns = self.now_ns
        self.wait(there_ns)
        shown = self.shows()
        self.wait(back_ns)
        self.clock.observe(sent_ns, self.now_ns, shown)

    def issue(self) -> None:
        """Somebody reads the time there."""
        self.issued.append((self.shows(), self.now_ns))


def test_nothing_is_known_before_the_first_observation() -> None:
    server = Server()
    server.issue()
    assert server.clock.instant(server.shows()) is None
    server.wait(S)
    server.observe()
    assert server.clock.instant(server.issued[0][0]) is None  # the clock may have been set between


def test_an_instant_is_close_on_a_quick_line() -> None:
    server = Server()
    server.observe()
    server.wait(S)
    server.issue()
    server.observe(100_000, 100_000)
    shown_us, truly_ns = server.issued[0]
    instant = server.clock.instant(shown_us)
    assert instant is not None
    assert truly_ns - 1_200_000 <= instant <= truly_ns


steps = st.lists(
    st.tuples(
        st.sampled_from(["issue", "set back", "set forward", "nothing"]),
        st.integers(0, 900_000_000),
        st.integers(0, 20_000_000),
        st.integers(0, 20_000_000),
        st.integers(1_000_000, 30_000_000),
    ),
    max_size=40,
)


@given(steps, st.sampled_from([-0.0005, 0.0, 0.0005]))
def test_an_instant_is_never_late(steps: list[tuple[str, int, int, int, int]], drift: float) -> None:
    server = Server()
    server.drift = drift
    server.observe()
    for what, wait_ns, there_ns, back_ns, by_us in steps:
        server.wait(wait_ns)
        if what == "issue":
            server.issue()
        elif what == "set back":
            server.set_us -= by_us
        elif what == "set forward":
            server.set_us += by_us
        server.wait(10_000_000)
        server.observe(there_ns, back_ns)
        for shown_us, truly_ns in server.issued:
            instant = server.clock.instant(shown_us)
            assert instant is None or instant <= truly_ns


def test_after_the_clock_was_set_back_what_it_showed_before_is_not_dated() -> None:
    server = Server()
    server.observe()
    server.wait(S)
    server.issue()
    server.set_us -= 500_000
    server.wait(S)
    server.observe()
    assert server.clock.instant(server.issued[0][0]) is None
    server.wait(2 * S)
    server.issue()
    server.observe()
    assert server.clock.instant(server.issued[1][0]) is not None


def test_a_wide_bound_is_forgotten_after_a_while() -> None:
    server = Server()
    server.observe()
    server.wait(S)
    server.observe(S // 2)
    for _ in range(3):
        server.wait(WINDOW + S)
        server.observe()
    server.issue()
    shown_us, truly_ns = server.issued[0]
    instant = server.clock.instant(shown_us)
    assert instant is not None
    assert instant >= truly_ns - 2_000_000
