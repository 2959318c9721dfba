"""Driving a suite (with fake services) from outside, as a person and the kernel would."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from deploy.local.ports import free_port
from deploy.local.postgres import ram_disk
from deploy.local.programs import PROJECT

PATIENCE_S = 30.0


def eventually(condition: Callable[[], object], what: str) -> None:
    """Wait for the condition; a timeout is a failure that says what was waited for."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"waited {PATIENCE_S:.0f} s for {what}"
        time.sleep(0.02)


@contextmanager
def passable_directory() -> Iterator[Path]:
    """A directory in memory, where possible, that other accounts can pass.

    pytest's own is closed, and root's server is another account.
    """
    path = Path(tempfile.mkdtemp(prefix="kontor-test-", dir=ram_disk()))
    path.chmod(0o755)
    try:
        yield path
    finally:
        shutil.rmtree(path)


def processes_of(data: Path) -> dict[int, str]:
    """Every process that has to do with that data directory, going by what /proc tells of it."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        if entry.name == str(os.getpid()):
            continue
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            directory = (entry / "cwd").readlink()
            environment = (entry / "environ").read_bytes()
        except OSError:
            continue
        if str(data).encode() in environment or str(data) in command or directory.is_relative_to(data):
            found[int(entry.name)] = command
    return found


class SuiteProcess:
    """`make run` on a port and a data directory of its own; with fake services unless told otherwise."""

    def __init__(
        self,
        data: Path,
        state: Path,
        *arguments: str,
        module: str = "tests.deploy.fake_suite",
        **environment: str,
    ) -> None:
        self.data = data
        self.state = state
        self.port = free_port()
        state.mkdir(exist_ok=True)
        # Files, not pipes: reading a pipe line by line first and to its end later loses lines in between.
        self._output, self._errors = state / "output.txt", state / "errors.txt"
        with self._output.open("w") as output, self._errors.open("w") as errors:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", module),
                    *("--port", str(self.port), "--data", str(data), *arguments),
                ],
                cwd=PROJECT,
                env={**os.environ, **environment, "FAKE_STATE": str(state)},
                stdout=output,
                stderr=errors,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_up(self) -> Self:
        """Until the closing words are printed."""

        def is_up() -> bool:
            assert self._process.poll() is None, f"the suite ended: {self._errors.read_text()}"
            return "Kontor is up" in self._output.read_text()

        eventually(is_up, "the suite")
        return self

    def output(self) -> str:
        """What it has printed so far."""
        return self._output.read_text()

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def finish(self) -> tuple[int, str, str]:
        """Wait for its end: status, output, errors."""
        status = self._process.wait(PATIENCE_S)
        return status, self._output.read_text(), self._errors.read_text()

    def started(self, name: str) -> list[int]:
        """The process ids of all starts of a fake service, oldest first."""
        starts = sorted(self.state.glob(f"{name}.*[0-9]"), key=lambda path: path.stat().st_mtime_ns)
        return [int(path.suffix[1:]) for path in starts]

    def get(self, path: str) -> str:
        """What the gateway answers."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
            return str(answer.read().decode())

    def end(self) -> None:
        """For the end of a test, whatever state it is in."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait(PATIENCE_S)
        eventually(lambda: not processes_of(self.data), "the suite's processes to go")


@contextmanager
def running_suite(
    data: Path, state: Path, *arguments: str, module: str = "tests.deploy.fake_suite", **environment: str
) -> Iterator[SuiteProcess]:
    """A suite that is ended however the test ends."""
    suite = SuiteProcess(data, state, *arguments, module=module, **environment)
    try:
        yield suite
    finally:
        suite.end()
