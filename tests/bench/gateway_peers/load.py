"""The load: wrk with one thread and requests made by load.lua."""

import asyncio
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from tests.bench.gateway_peers.processes import HERE, on_core

_PATIENCE_S = 30  # after that an answer counts as an error


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of request; `answer_bytes` is the least that a good answer has."""

    name: str
    answer_bytes: int
    targets: int = 8192


CASES = {case.name: case for case in (Case("1k", 1000), Case("64k", 65_536), Case("post1k", 1000))}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What wrk saw; latencies in microseconds."""

    requests: int
    seconds: float
    p50_us: float
    p99_us: float


def find_wrk() -> str | None:
    """wrk, when it is on this machine."""
    return shutil.which("wrk")


async def put_load(
    wrk: str, port: int, case: Case, *, keys_file: Path, connections: int, seconds: int, core: int | None
) -> Outcome:
    """Ask 127.0.0.1 on kept connections for some seconds. Raises RuntimeError when any answer was not good."""
    command = [
        *(wrk, "--threads", "1", "--connections", str(connections), "--duration", f"{seconds}s"),
        *("--timeout", f"{_PATIENCE_S}s", "--script", str(HERE / "load.lua"), f"http://127.0.0.1:{port}"),
        *("--", str(keys_file), case.name, str(case.targets)),
    ]
    process = await asyncio.create_subprocess_exec(
        *on_core(core, command), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        printed, _ = await asyncio.wait_for(process.communicate(), seconds + _PATIENCE_S)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return _outcome(printed.decode(errors="replace"), case)


def _outcome(printed: str, case: Case) -> Outcome:
    last = printed.strip().rpartition("\n")[2]
    if not last.startswith("{"):
        raise RuntimeError(f"wrk did not finish: {printed}")
    seen = json.loads(last)
    if seen["refused"] or seen["broken"] or seen["timed_out"] or not seen["requests"]:
        raise RuntimeError(f"not every answer was good: {last}")
    # wrk takes 3xx for good; an answer without its body is found out by its size.
    if seen["bytes"] < seen["requests"] * case.answer_bytes:
        raise RuntimeError(f"answers were too short for {case.name}: {last}")
    return Outcome(seen["requests"], seen["duration_us"] / 1e6, seen["p50_us"], seen["p99_us"])
