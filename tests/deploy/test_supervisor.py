"""The supervisor with processes of one line each."""

import asyncio
import io
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from deploy.local.children import Launch
from deploy.local.logs import Console, LogSink
from deploy.local.supervisor import Program, StartError, Supervisor

pytestmark = pytest.mark.process

_SLEEPER = "import sys, time; print('up', flush=True); time.sleep(60)"


@pytest.fixture
async def sink(tmp_path: Path) -> AsyncIterator[LogSink]:
    console = Console(io.StringIO())
    sink = LogSink(tmp_path, console, json_lines=False, width=8)
    yield sink
    sink.close()
    console.close()


@pytest.fixture
async def supervisor(sink: LogSink) -> AsyncIterator[Supervisor]:
    supervisor = Supervisor(sink)
    yield supervisor
    await supervisor.stop()


class _Pids(list[int]):
    """The process ids a program has had, as its readiness was asked for."""

    async def note(self, pid: int) -> bool:
        if pid not in self:
            self.append(pid)
        return True


def _program(
    name: str, script: str = _SLEEPER, *, pids: _Pids | None = None, may_finish: bool = False
) -> Program:
    launch = Launch([sys.executable, "-I", "-S", "-c", script], dict(os.environ))

    async def launch_again() -> Launch:
        return launch

    return Program(name, launch_again, (pids if pids is not None else _Pids()).note, may_finish=may_finish)


async def _eventually(condition: Callable[[], object], what: str) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - other processes send no event
            await asyncio.sleep(0.01)
    assert condition(), what


async def test_what_is_killed_comes_back(supervisor: Supervisor, sink: LogSink) -> None:
    pids = _Pids()
    await supervisor.start([_program("one", pids=pids)])
    os.kill(pids[0], signal.SIGKILL)
    await _eventually(lambda: len(pids) == 2, "a second life")
    os.kill(pids[1], signal.SIGKILL)
    await _eventually(lambda: len(pids) == 3, "a third life")
    assert "one: killed by SIGKILL; starting it again in 0.1 s" in sink.last_lines("kontor")


async def test_what_ends_by_itself_comes_back_too(supervisor: Supervisor) -> None:
    pids = _Pids()
    await supervisor.start([_program("one", "import time; time.sleep(0.2)", pids=pids)])
    await _eventually(lambda: len(pids) > 1, "another life")


async def test_what_may_finish_does(supervisor: Supervisor, sink: LogSink) -> None:
    await supervisor.start([_program("one", "print('done')", may_finish=True)])
    await asyncio.wait_for(supervisor.watch(), 30)
    assert sink.last_lines("kontor") == []


async def test_groups_stop_in_reverse_order(sink: LogSink, tmp_path: Path) -> None:
    supervisor = Supervisor(sink, stop_within_s=60)  # a busy machine must not make it kill anybody
    order = tmp_path / "order"
    script = (
        "import signal, sys, time\n"
        "def stop(*_):\n"
        "    time.sleep(0.1)\n"
        "    open({path!r}, 'a').write({name!r} + ' ')\n"
        "    sys.exit()\n"
        "signal.signal(signal.SIGTERM, stop)\n"
        "print('up', flush=True)\n"
        "time.sleep(60)\n"
    )
    programs = {name: _program(name, script.format(path=str(order), name=name)) for name in ("a", "b", "c")}
    await supervisor.start([programs["a"]])
    await supervisor.start([programs["b"]], [programs["c"]])
    await _eventually(lambda: all(sink.last_lines(name) == ["up"] for name in programs), "all handlers")
    await supervisor.stop()
    assert order.read_text() == "c b a "


async def test_a_failing_start_is_told_with_the_last_words(supervisor: Supervisor) -> None:
    failing = _program("two", "import sys; print('one', flush=True); sys.exit('no luck')")

    async def never(_: int) -> bool:
        return False

    with pytest.raises(
        StartError, match=r"two does not start: ended with status 1\. Its last words: .*no luck"
    ):
        await supervisor.start([_program("one")], [Program("two", failing.launch, never)])


async def test_a_program_that_is_not_there(supervisor: Supervisor) -> None:
    async def launch() -> Launch:
        return Launch(["/nowhere/program"], {})

    with pytest.raises(StartError, match="/nowhere/program"):
        await supervisor.start([Program("one", launch, _Pids().note)])


async def test_a_defect_in_the_readiness_is_not_swallowed(supervisor: Supervisor) -> None:
    async def broken(_: int) -> bool:
        raise ZeroDivisionError

    with pytest.raises(ExceptionGroup) as raised:
        await supervisor.start([Program("one", _program("one").launch, broken)])
    assert raised.group_contains(ZeroDivisionError)


async def test_a_killed_stop_is_quick_and_complete(supervisor: Supervisor) -> None:
    pids = _Pids()
    await supervisor.start([_program("one", pids=pids)])
    supervisor.kill()
    await supervisor.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)


async def test_the_children_of_a_killed_process_go_with_it(supervisor: Supervisor, sink: LogSink) -> None:
    script = (
        "import signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    await supervisor.start([_program("one", script)])
    await _eventually(lambda: sink.last_lines("one"), "the child")
    await supervisor.stop()
    child = Path("/proc", sink.last_lines("one")[0], "stat")
    await _eventually(lambda: not child.exists() or ") Z " in child.read_text(), "the child to go")
