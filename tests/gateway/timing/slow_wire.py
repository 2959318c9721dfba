"""A wire that takes its time: every packet to `SlowWire.far` comes back to this machine `delay_s` later.

A relay that takes connections and opens others would not do: the kernel would still measure the way to the relay
and call it the round trip. This one passes the packets themselves, so that TCP sees the delay, as on a real way.
Linux, and the right to make network interfaces.
"""

import fcntl
import os
import select
import struct
import subprocess
import time
from collections import deque
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Self

_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000
_DEVICE = Path("/dev/net/tun")


class NoWireError(Exception):
    """Such a wire cannot be made here."""


class SlowWire:
    """`with SlowWire(0.005) as wire:` what listens on `near` is reached at `far`, 5 ms later each way.

    Packets to `far` come back with the two addresses changed for one another: the kernel takes them for a far
    machine's. Checksums stay right, as the sum does not mind the order. Raises `NoWireError`.
    """

    def __init__(self, delay_s: float) -> None:
        self.delay_s = delay_s
        # Set aside for tests of network devices (RFC 2544); by process, as several may test at a time.
        network = f"198.{18 + os.getpid() // 256 % 2}.{os.getpid() % 256}"
        self.near = f"{network}.1"
        self.far = f"{network}.2"
        self._thread = Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        try:
            self._device = os.open(_DEVICE, os.O_RDWR)
        except OSError as error:
            raise NoWireError(str(error)) from error
        try:
            wanted = struct.pack("16sH22x", b"slow%d", _IFF_TUN | _IFF_NO_PI)
            name = fcntl.ioctl(self._device, _TUNSETIFF, wanted)[:16].rstrip(b"\0").decode("ascii")
            subprocess.run(["ip", "addr", "add", f"{self.near}/30", "dev", name], check=True)
            subprocess.run(["ip", "link", "set", name, "up"], check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            os.close(self._device)
            raise NoWireError(str(error)) from error
        self._stop_reading, self._stop = os.pipe()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._stop)
        self._thread.join()
        os.close(self._device)  # the interface goes with it
        os.close(self._stop_reading)

    def _run(self) -> None:
        under_way: deque[tuple[float, bytes]] = deque()
        while True:
            patience_s = max(0.0, under_way[0][0] - time.monotonic()) if under_way else None
            readable, _, _ = select.select([self._device, self._stop_reading], [], [], patience_s)
            if self._stop_reading in readable:
                return
            now = time.monotonic()
            if readable:
                packet = os.read(self._device, 65_536)
                if packet[0] >> 4 == 4:
                    turned = packet[:12] + packet[16:20] + packet[12:16] + packet[20:]
                    under_way.append((now + self.delay_s, turned))
            while under_way and under_way[0][0] <= now:
                os.write(self._device, under_way.popleft()[1])
