"""How fast a connection's round trip can be, as the kernel has seen it: `tcpi_min_rtt` of TCP_INFO.

The fastest round trip of the last five minutes (`net.ipv4.tcp_min_rtt_wlen`) is what the way itself takes. The
smoothed one is useless for that: it counts how long the other side lets its acknowledgements wait.
"""

import ctypes
import socket
import sys
from typing import Final, Protocol

_FIRST_INTERVAL_NS: Final = 10_000_000
_LONGEST_INTERVAL_NS: Final = 10_000_000_000
_NEVER: Final = (1 << 63) - 1
_NO_SAMPLE: Final = 0xFFFF_FFFF


class _TcpInfo(ctypes.Structure):
    """`struct tcp_info` of linux/tcp.h, up to the one field that is read here; the kernel only ever appends."""

    _fields_ = (
        ("states", ctypes.c_uint8 * 8),
        ("timers_to_rcv_space", ctypes.c_uint32 * 23),
        ("total_retrans", ctypes.c_uint32),
        ("rates_and_bytes", ctypes.c_uint64 * 4),
        ("segs_out", ctypes.c_uint32),
        ("segs_in", ctypes.c_uint32),
        ("notsent_bytes", ctypes.c_uint32),
        ("min_rtt", ctypes.c_uint32),
    )


_MIN_RTT: Final[int] = _TcpInfo.min_rtt.offset
_SIZE: Final = _MIN_RTT + 4


class Socket(Protocol):
    """What an event loop gives as `get_extra_info("socket")`."""

    def getsockopt(self, level: int, name: int, size: int, /) -> bytes:
        """The option's bytes. Raises OSError."""


def read_min_rtt(sock: Socket) -> int:
    """The fastest round trip (ns), or 0 when none was measured yet. Raises OSError where the kernel cannot tell."""
    if not sys.platform.startswith("linux"):
        raise OSError("TCP_INFO is read on Linux only")
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _SIZE)
    if len(info) < _SIZE:
        raise OSError("the kernel is older than tcpi_min_rtt (4.6)")
    microseconds = int.from_bytes(info[_MIN_RTT:], sys.byteorder)
    return 0 if microseconds == _NO_SAMPLE else microseconds * 1_000


class MinRtt:
    """The fastest round trip of one connection, remembered: asking costs 3 us, a request's share of it is nothing.

    Read with the first request, then again 10 ms later, 20 ms, 40 ms … and at last every 10 s: within its window
    the figure only falls, and mostly with the first packets. Where the kernel does not tell, it is 0 for good,
    so that all of R counts as a wait.
    """

    __slots__ = ("_interval_ns", "_ns", "_renew_at_ns", "_socket")

    def __init__(self, sock: Socket | None) -> None:
        self._socket = sock
        self._ns = 0
        self._interval_ns = _FIRST_INTERVAL_NS
        self._renew_at_ns = 0 if sock is not None else _NEVER

    def at(self, now_ns: int) -> int:
        """The fastest round trip in ns; `now_ns` is any recent reading of the monotonic clock."""
        if now_ns >= self._renew_at_ns:
            self._renew(now_ns)
        return self._ns

    def _renew(self, now_ns: int) -> None:
        if self._socket is None:
            return
        self._renew_at_ns = now_ns + self._interval_ns
        self._interval_ns = min(2 * self._interval_ns, _LONGEST_INTERVAL_NS)
        try:
            self._ns = read_min_rtt(self._socket)
        except OSError:  # no TCP, an old kernel, or the connection has just ended: what is known stays
            self._renew_at_ns = _NEVER
