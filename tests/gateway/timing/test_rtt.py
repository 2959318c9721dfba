"""The fastest round trip: from a real socket, renewed rarely, and 0 where nobody knows."""

import socket
import sys

import pytest

from services.gateway.timing.rtt import MinRtt, read_min_rtt

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="TCP_INFO is Linux's")
MS = 1_000_000


class Kernel:
    """Answers TCP_INFO with these figures (us), one after the other, the last one for ever."""

    def __init__(self, *figures: int, size: int = 152) -> None:
        self.asked = 0
        self._figures = figures
        self._size = size

    def getsockopt(self, level: int, name: int, size: int) -> bytes:
        assert (level, name) == (socket.IPPROTO_TCP, socket.TCP_INFO)
        figure = self._figures[min(self.asked, len(self._figures) - 1)]
        self.asked += 1
        return (bytes(148) + figure.to_bytes(4, sys.byteorder))[: min(size, self._size)]


@linux
def test_a_real_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
        with client, server:
            for _ in range(10):
                client.sendall(b"ping")
                server.recv(4)
                server.sendall(b"pong")
                client.recv(4)
            # More than nothing, and less than a second on any machine.
            assert 0 < read_min_rtt(client) < 1_000 * MS
            assert read_min_rtt(client) % 1_000 == 0


@linux
def test_it_is_renewed_ever_more_rarely() -> None:
    kernel = Kernel(31, 14)
    rtt = MinRtt(kernel)
    assert rtt.at(1_000 * MS) == 31_000
    assert rtt.at(1_009 * MS) == 31_000
    assert rtt.at(1_010 * MS) == 14_000
    assert kernel.asked == 2
    for second in range(2, 3_602):
        assert rtt.at(second * 1_000 * MS) == 14_000
    assert kernel.asked <= 2 + 10 + 3_600 // 10


@linux
def test_no_sample_yet_is_nothing_known() -> None:
    rtt = MinRtt(Kernel(0xFFFF_FFFF, 20))
    assert rtt.at(1) == 0
    assert rtt.at(10 * MS + 1) == 20_000


def test_where_the_kernel_does_not_tell() -> None:
    assert MinRtt(None).at(5) == 0
    old = Kernel(14, size=104)
    rtt = MinRtt(old)
    assert [rtt.at(1), rtt.at(1 << 62)] == [0, 0]
    assert old.asked <= 1


def test_another_kind_of_socket() -> None:
    left, right = socket.socketpair()
    with left, right:
        rtt = MinRtt(left)
        assert [rtt.at(1), rtt.at(1 << 62)] == [0, 0]


@linux
def test_the_connection_ends() -> None:
    client, server = socket.socketpair()
    kernel = Kernel(14)
    rtt = MinRtt(kernel)
    assert rtt.at(1) == 14_000
    client.close()
    server.close()
    kernel.getsockopt = client.getsockopt  # type: ignore[assignment]
    assert rtt.at(1 << 62) == 14_000


@linux
def test_another_system(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel(14)
    monkeypatch.setattr(sys, "platform", "darwin")
    assert MinRtt(kernel).at(1) == 0
    assert kernel.asked == 0
