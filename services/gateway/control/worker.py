"""`python -m services.gateway.control.worker FD PARENT [first]`: one worker process. Only the parent starts it."""

import ctypes
import os
import signal
import socket
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main() -> None:
    """Serve what comes in on the socket that the parent sends, until it says stop or is gone."""
    control, parent = int(sys.argv[1]), int(sys.argv[2])
    # A terminal's Ctrl-C and a wrapper's SIGTERM reach the whole group: the parent tells us what to do.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    _die_with(parent)
    from services.gateway.control.commands import serve  # noqa: PLC0415 - the above comes before half a second of imports

    serve(socket.socket(fileno=control), first=sys.argv[3:] == ["first"])


def _die_with(parent: int) -> None:
    """Have the kernel kill us when the parent ends; without Linux, the end of the channel has to do."""
    if not sys.platform.startswith("linux"):
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:
        sys.exit(1)  # it died before that: the signal is never going to come


if __name__ == "__main__":
    main()
