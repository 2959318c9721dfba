"""Which memory the gateway's processes share."""

import os
import signal
import sys
from pathlib import Path

import pytest

from tests.gateway.operated import Operated, operated
from tests.gateway.processes import eventually

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells what a process maps"),
]


def shared_memory(pid: int) -> set[str]:
    """The inodes of the stamps that a process has mapped."""
    mapped = Path(f"/proc/{pid}/maps").read_text().splitlines()
    return {line.split()[4] for line in mapped if "memfd:kontor-stamps" in line}


async def other_than(house: Operated, pids: list[int]) -> list[int]:
    """The workers, once one of these has a successor."""

    async def replaced() -> bool:
        return set(house.gateway.workers()) != set(pids) and len(house.gateway.workers()) == len(pids)

    await eventually(replaced)
    return await house.workers(len(pids))


async def test_all_workers_have_the_same_stamps_and_successors_too(tmp_path: Path) -> None:
    async with operated(tmp_path, {"workers": 2}) as house:
        first = await house.workers(2)
        memory = shared_memory(first[0])
        assert len(memory) == 1
        assert shared_memory(first[1]) == memory
        os.kill(first[0], signal.SIGKILL)
        for pid in await other_than(house, first):
            assert shared_memory(pid) == memory
