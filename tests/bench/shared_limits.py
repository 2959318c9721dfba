"""What several gateways give of a limit that they hold together, and what keeping in step costs.

make bench BENCH=shared_limits [ARGS="--quick"]

Needs the wheel of Valkey. Gateways of one worker each are asked for three times what one caller may have, at each of
them; what counts is what was given. The cost is a worker's CPU with so many callers less that without a common limit.
"""

import argparse
import asyncio
import json
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import psutil

from services.gateway.caching.second.rule import ServersRule
from services.gateway.limits.common_rule import CommonRule
from services.gateway.limits.rate_limiter import RateLimiter
from services.gateway.limits.stepping import Stepper
from services.gateway.limits.token_bucket import Rate
from tests.bench import harness
from tests.gateway.caching.second.servers import Valkey, until
from tests.gateway.processes import free_port

_RATE = Rate(per_second=500, burst=500)
_CONNECTIONS = 8
_PAUSE_S = _CONNECTIONS / (3 * _RATE.per_second)
"""Between an answer and the next request on a connection: three times the limit, at each gateway."""
_CALLERS = 10_000
_TICK_S = 0.1


@contextmanager
def _gateway(folder: Path, valkey: Valkey | None) -> Iterator[int]:
    """One whose only route leads nowhere: what is not refused is answered by 503."""
    port = free_port()
    limit: dict[str, Any] = {"per_second": _RATE.per_second, "burst": _RATE.burst}
    if valkey is not None:
        limit["shared"] = {"servers": [{"host": "127.0.0.1", "port": valkey.port}]}
    document = {
        "auth": {"mode": "none"},
        "workers": 1,
        "rate_limit": limit,
        "routes": [{"name": "all", "prefix": "/", "upstream": "u"}],
        "upstreams": {"u": {"replicas": [{"host": "127.0.0.1", "port": free_port()}]}},
    }
    file = folder / f"gateway-{port}.yaml"
    file.write_text(json.dumps(document))
    arguments = ["-m", "services.gateway", "--config", str(file), "--port", str(port)]
    with harness.served(arguments, {"GATEWAY_LOG_FORMAT": "text"}, port, "/livez"):
        yield port


class _Asked:
    """What was given, and when it began."""

    def __init__(self) -> None:
        self.given = 0
        self.refused = 0

    async def ask(self, port: int, seconds: float) -> None:
        """On one connection, at the pace of all."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        end = perf_counter() + seconds
        while perf_counter() < end:
            writer.write(b"GET /x HTTP/1.1\r\nHost: bench\r\n\r\n")
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            await reader.readexactly(int(head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0]))
            refused = head.startswith(b"http/1.1 429")
            self.refused += refused
            self.given += not refused
            await asyncio.sleep(_PAUSE_S)
        writer.close()


async def _given(gateways: int, valkey: Valkey | None, seconds: float) -> tuple[float, float]:
    """What was given from rest, as a share of what the limit allows; and from the second third on."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        ports = [stack.enter_context(_gateway(Path(folder), valkey)) for _ in range(gateways)]
        if valkey is not None:
            await asyncio.sleep(0.5)  # until they are connected
        asked, began = _Asked(), perf_counter()
        load = asyncio.gather(*(asked.ask(port, seconds) for port in ports for _ in range(_CONNECTIONS)))
        await asyncio.sleep(seconds / 3)
        early, then = asked.given, perf_counter()
        await load
        now = perf_counter()
        if not asked.refused:
            raise RuntimeError("nobody was refused: the machine is too slow for this load")
        allowed = _RATE.burst + _RATE.per_second * (now - began)
        return asked.given / allowed, (asked.given - early) / (_RATE.per_second * (now - then))


async def _callers_s(limiter: RateLimiter, count: int, seconds: float) -> float:
    """CPU seconds per second of a process in which so many callers ask once a second each."""
    names = [f"caller-{number}" for number in range(count)]
    each = round(count * _TICK_S)
    began, burned = perf_counter(), process_time()
    for tick in range(round(seconds / _TICK_S)):
        for number in range(tick * each, (tick + 1) * each):
            limiter.take(names[number % count])
        await asyncio.sleep(max(0, began + (tick + 1) * _TICK_S - perf_counter()))
    return (process_time() - burned) / (perf_counter() - began)


async def _cost(valkey: Valkey, callers: int, seconds: float) -> tuple[float, float, int]:
    """CPU seconds per second of a worker and of Valkey, and how many callers were told of in a second."""
    alone = await _callers_s(RateLimiter(_RATE), callers, seconds)
    limiter = RateLimiter(_RATE)
    server = ServersRule((("127.0.0.1", valkey.port),), timeout_s=2.0)
    stepper = Stepper(CommonRule(server), limiter, _RATE)
    stepper.start()
    await until(lambda: bool(stepper.describe()["in_step"]))
    process = psutil.Process(valkey.process.pid)
    before = sum(process.cpu_times()[:2])
    together = await _callers_s(limiter, callers, seconds)
    spent = sum(process.cpu_times()[:2]) - before
    told = stepper.counts["answered"]
    await stepper.stop()
    return together - alone, spent / seconds, round(told / seconds)


async def main() -> None:
    """Cases take turns, round by round."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="short turns, for a look")
    seconds, rounds = (6.0, 1) if parser.parse_args().quick else (15.0, 3)
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        valkey = Valkey(Path(folder))
        try:
            for _ in range(rounds):
                for gateways, server in ((1, valkey), (2, valkey), (3, valkey), (3, None)):
                    valkey.flush()
                    name = f"{gateways}_gateways" if server is not None else f"{gateways}_gateways_each_alone"
                    from_rest, steady = await _given(gateways, server, seconds)
                    found.setdefault(f"given_from_rest_{name}", []).append(from_rest)
                    found.setdefault(f"given_{name}", []).append(steady)
                worker, server_s, told = await _cost(valkey, _CALLERS, seconds)
                found.setdefault("worker_cpu_s_per_s", []).append(worker)
                found.setdefault("valkey_cpu_s_per_s", []).append(server_s)
                found.setdefault("callers_told_per_s", []).append(told)
        finally:
            valkey.stop()
    figures = {name: statistics.median(several) for name, several in found.items()}
    for name, figure in figures.items():
        print(f"{name:44} {figure:12,.3f}   {min(found[name]):,.3f} to {max(found[name]):,.3f}")
    harness.finish("shared_limits", figures)


if __name__ == "__main__":
    harness.run(main)
