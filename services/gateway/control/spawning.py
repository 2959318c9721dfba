"""Starting a worker process. The parent does it before it imports anything else: both then load at the same time."""

import os
import socket
import subprocess
import sys
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spawned:
    """A worker process, and the parent's end of the socket pair between the two."""

    process: subprocess.Popen[bytes]
    control: socket.socket

    def kill(self) -> None:
        """End it at once."""
        self.control.close()
        self.process.kill()
        self.process.wait()


def spawn_worker() -> Spawned:
    """Start a worker. It waits for a listening socket and for the first question, and dies with this process.

    Call it on the main thread: what the kernel ties the worker's life to is the thread that started it.
    """
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(  # noqa: S603 - nothing in it comes from outside
            [
                # Unbuffered: a batch of log lines is then one write, which no other worker's can cut in two.
                *(sys.executable, "-u", "-m", "services.gateway.control.worker"),
                *(str(theirs.fileno()), str(os.getpid())),
            ],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
        )
    return Spawned(process, ours)
