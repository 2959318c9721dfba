"""Starting a process so that it never outlives the one that started it, and noticing its end."""

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import IO, TypedDict

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_POLL_S = 0.05


class Identity(TypedDict, total=False):
    """The keyword arguments of `subprocess.Popen` that change the user."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True, slots=True)
class Launch:
    """Everything needed to start one process.

    `death_signal` is what the kernel sends it when the thread that started it ends: SIGKILL, which is sure to
    work, unless the process has children of its own to take along.
    """

    arguments: list[str]
    environment: Mapping[str, str]
    directory: str = "/"
    death_signal: signal.Signals = signal.SIGKILL
    identity: Identity = field(default_factory=Identity)

    def spawn(self, output: int | IO[bytes]) -> subprocess.Popen[bytes]:
        """Start it with `output` as its standard output and error, in a session of its own.

        Its own session, because Ctrl-C in a terminal reaches the whole group, and stopping has an order.
        Raises OSError when the program cannot be started.
        """
        return subprocess.Popen(  # noqa: S603 - the deployment composes the arguments itself
            self.arguments,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=self.directory,
            env=dict(self.environment),
            start_new_session=True,
            preexec_fn=die_with_parent(self.death_signal),  # noqa: PLW1509 - it makes two system calls
            **self.identity,
        )


def die_with_parent(death_signal: signal.Signals) -> Callable[[], None]:
    """A `preexec_fn` that has the kernel signal the child when the thread that forks it ends.

    Python runs it after `user=` has taken effect, which matters: a change of user clears the setting.
    Without Linux there is no such promise from the kernel, and the function does nothing.
    """
    if not sys.platform.startswith("linux"):
        return lambda: None
    # Loaded before the fork: between fork and exec as little as possible should happen.
    libc = ctypes.CDLL(None, use_errno=True)
    parent = os.getpid()

    def arrange() -> None:
        if libc.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
        if os.getppid() != parent:
            # The parent died between fork and prctl: the signal is never going to come.
            os.kill(os.getpid(), signal.SIGKILL)

    return arrange


async def exit_status(process: subprocess.Popen[bytes]) -> int:
    """Wait for the process to end; its status as `Popen.returncode` has it (negative: the signal)."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except (AttributeError, OSError):  # not Linux, or a kernel before 5.3
        while process.poll() is None:  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(_POLL_S)
        return process.wait()
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(descriptor, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
    return process.wait()


def describe_status(status: int) -> str:
    """How a process ended, in words: `killed by SIGKILL`, `ended with status 1`."""
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"


def kill_group(process: subprocess.Popen[bytes], number: signal.Signals = signal.SIGKILL) -> None:
    """Signal the process and everything in its session that has not left its group."""
    if process.poll() is None:
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            return  # it ended in this moment
