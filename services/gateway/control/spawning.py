"""Starting a worker process.

The parent starts the first before it imports anything else, and leaves it to it to read the settings and documents:
it has to import what that takes anyway, half a second of which would be spent twice.
"""

import json
import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Spawned:
    """A worker process, and the parent's end of the socket pair between the two."""

    process: subprocess.Popen[bytes]
    control: socket.socket

    def told(self) -> dict[str, Any]:
        """What the first worker has read: `commands.check`. Blocks until it has.

        Raises `SystemExit` with one sentence, of the worker, when there is a mistake in it.
        """
        line = b""
        while not line.endswith(b"\n"):
            part = self.control.recv(1 << 20)
            if not part:
                sys.exit("gateway: the first worker ended before it had read the settings")
            line += part
        told: dict[str, Any] = json.loads(line)
        if "mistake" in told:
            sys.exit(f"gateway: {told['mistake']}")
        return told

    def kill(self) -> None:
        """End it at once."""
        self.control.close()
        self.process.kill()
        self.process.wait()


def spawn_worker(*, first: bool = False) -> Spawned:
    """Start a worker. It waits for a listening socket and for a question, and dies with this process.

    The `first` one tells before what it has read.
    Call it on the main thread: what the kernel ties the worker's life to is the thread that started it.
    """
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(  # noqa: S603 - nothing in it comes from outside
            [
                # Unbuffered: a batch of log lines is then one write, which no other worker's can cut in two.
                *(sys.executable, "-u", "-m", "services.gateway.control.worker"),
                *(str(theirs.fileno()), str(os.getpid()), *(["first"] if first else [])),
            ],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
        )
    return Spawned(process, ours)
