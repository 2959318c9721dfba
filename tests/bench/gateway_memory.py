"""What the gateway holds of a body that passes through it: peak memory at uploads and downloads of 2 GiB.

`make bench BENCH=gateway_memory ARGS="--mib 2048"`. A real gateway in front of a real replica; the slow reader takes
nothing for its first two seconds, when a gateway without back-pressure would swallow all of it.
"""

import argparse
import asyncio
import json
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from time import monotonic

from tests.gateway.caller import calling
from tests.gateway.echo import BLOCK
from tests.gateway.processes import GatewayProcess, Replica

MIB = 1024 * 1024
PAUSE_S = 2.0

Passage = Callable[[int, int, bytes], Coroutine[None, None, None]]


class Memory:
    """The highest resident memory of a process since `reset`, in bytes."""

    def __init__(self, pid: int) -> None:
        self._folder = Path(f"/proc/{pid}")

    def reset(self) -> int:
        """Forget the peak; gives what is resident now."""
        (self._folder / "clear_refs").write_text("5")
        return self.peak()

    def peak(self) -> int:
        """As the kernel has noted it."""
        status = (self._folder / "status").read_text()
        return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) * 1024


async def upload(port: int, size: int, key: bytes, *, chunked: bool) -> None:
    framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % size
    async with calling(port) as caller:
        await caller.send(b"POST /sink HTTP/1.1\r\nHost: a\r\nX-Api-Key: %b\r\n%b\r\n\r\n" % (key, framing))
        block = b"%x\r\n%b\r\n" % (len(BLOCK), BLOCK) if chunked else BLOCK
        for _ in range(size // len(BLOCK)):
            await caller.send(block)
        if chunked:
            await caller.send(b"0\r\n\r\n")
        answer = json.loads((await caller.answer(b"POST")).body)
    if answer["bytes"] != size:
        raise RuntimeError(f"{answer['bytes']} bytes arrived of {size}")


async def download(port: int, size: int, key: bytes, *, chunked: bool, slow: bool) -> None:
    target = b"/source?bytes=%d%b" % (size, b"" if chunked else b"&length=1")
    async with calling(port) as caller:
        await caller.send(b"GET %b HTTP/1.1\r\nHost: a\r\nX-Api-Key: %b\r\n\r\n" % (target, key))
        await caller.until(b"\r\n\r\n")
        if slow:
            await asyncio.sleep(PAUSE_S)
        left = size
        while left > 0:
            piece = await caller.read()
            if not piece:
                raise RuntimeError(f"the answer ended {left} bytes early")
            left -= len(piece)


PASSAGES: dict[str, Passage] = {
    "upload_counted": lambda port, size, key: upload(port, size, key, chunked=False),
    "upload_chunked": lambda port, size, key: upload(port, size, key, chunked=True),
    "download_counted": lambda port, size, key: download(port, size, key, chunked=False, slow=False),
    "download_chunked": lambda port, size, key: download(port, size, key, chunked=True, slow=False),
    "slow_reader_counted": lambda port, size, key: download(port, size, key, chunked=False, slow=True),
    "slow_reader_chunked": lambda port, size, key: download(port, size, key, chunked=True, slow=True),
}


async def measure(size: int) -> dict[str, float]:
    replica = Replica("a")
    with tempfile.TemporaryDirectory() as folder:
        gateway = GatewayProcess(Path(folder), [replica])
        try:
            await replica.until("requests", 0)
            await gateway.until_ready()
            memory, key = Memory(gateway.process.pid), gateway.keys[0].encode()
            await upload(gateway.port, MIB, key, chunked=True)  # what is needed at all is there from now on
            return {
                name: await _one(name, passage, memory, gateway.port, size, key)
                for name, passage in PASSAGES.items()
            }
        finally:
            gateway.stop()
            replica.stop()


async def _one(name: str, passage: Passage, memory: Memory, port: int, size: int, key: bytes) -> float:
    """By how many MiB the gateway's peak rose above what it held before."""
    before, started = memory.reset(), monotonic()
    await passage(port, size, key)
    rise = (memory.peak() - before) / MIB
    seconds = monotonic() - started
    print(
        f"{name:20} {size // MIB:5} MiB in {seconds:6.1f} s: {before / MIB:6.1f} MiB before, {rise:5.1f} MiB more"
    )
    return round(rise, 2)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mib", type=int, default=2048)
    options = parser.parse_args()
    rises = asyncio.run(measure(options.mib * MIB))
    print(json.dumps({f"gateway_memory_{name}_mib": rise for name, rise in rises.items()}))


if __name__ == "__main__":
    main()
