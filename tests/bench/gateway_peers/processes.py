"""Processes on chosen cores, and the CPU time that they burn."""

import os
import shutil
import string
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.bench.harness import ROOT

HERE = Path(__file__).parent


class _Template(string.Template):
    """`@@name` is filled in: `$`, `%` and a single `@` mean something in the peers' own languages."""

    delimiter = "@@"


def write_config(name: str, folder: Path, **values: str | int | Path) -> Path:
    """Fill the template `name` of this package, which may also name its folder, into a file of `folder`."""
    path = folder / name
    path.write_text(_Template((HERE / name).read_text()).substitute(values, folder=folder))
    return path


@dataclass(frozen=True, slots=True)
class Cores:
    """Who runs where; None when nothing is pinned."""

    candidate: int | None = None
    upstream: int | None = None
    load: int | None = None

    def __str__(self) -> str:
        if self.candidate is None:
            return "Nothing is pinned (that takes taskset and two cores)."
        return (
            f"Pinned: candidate to core {self.candidate}, upstream to {self.upstream}, load to {self.load}."
        )


def choose_cores() -> Cores:
    """The candidate alone on one core; upstream and load on a second one, or on two more where there are."""
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2 or shutil.which("taskset") is None:
        return Cores()
    return Cores(candidate=allowed[0], upstream=allowed[1], load=allowed[min(2, len(allowed) - 1)])


def on_core(core: int | None, command: Sequence[str]) -> list[str]:
    """The command, kept on one core together with all its children."""
    return [*command] if core is None else ["taskset", "--cpu-list", str(core), *command]


@contextmanager
def running(
    command: Sequence[str],
    output: Path,
    *,
    core: int | None,
    question: urllib.request.Request,
    environment: Mapping[str, str] | None = None,
) -> Iterator[psutil.Process]:
    """A process from its first 200 on `question` until the end of the block; prints into `output`.

    Raises RuntimeError with what it printed when it ends early or is not ready within 30 s.
    """
    # Appended to, so that the file may be cut while the process writes.
    with output.open("ab") as sink:
        process = subprocess.Popen(
            on_core(core, command),
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait_for_answer(process, question, output)
        yield psutil.Process(process.pid)
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    # Known before the parent ends: a worker that outlives it could not be found any more.
    family = [] if process.poll() is not None else psutil.Process(process.pid).children(recursive=True)
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for member in family:
        with suppress(psutil.NoSuchProcess):
            member.kill()


def _wait_for_answer(
    process: subprocess.Popen[bytes], question: urllib.request.Request, output: Path
) -> None:
    complaint = "no answer"
    deadline = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(question, timeout=2):  # noqa: S310 (our own server on 127.0.0.1)
                return  # anything but 2xx raises
        except (urllib.error.URLError, OSError) as error:
            complaint = str(error)
            time.sleep(0.05)
    printed = output.read_text(errors="replace")[-2000:]
    raise RuntimeError(f"{process.args!r} is not ready ({complaint}, exit {process.poll()}): {printed}")


@dataclass(frozen=True, slots=True)
class CpuTime:
    """Seconds, of a process and all its children together."""

    user: float
    system: float

    def __sub__(self, earlier: "CpuTime") -> "CpuTime":
        return CpuTime(self.user - earlier.user, self.system - earlier.system)


def cpu_time(process: psutil.Process) -> CpuTime:
    """From /proc/PID/stat, in clock ticks of usually 10 ms."""
    times = [member.cpu_times() for member in (process, *process.children(recursive=True))]
    return CpuTime(sum(one.user for one in times), sum(one.system for one in times))
