"""The gateway's code alone: whole requests between transports that go nowhere, so that only its own CPU is measured.

All forms take turns in one process, some hundred requests each. The exporting thread's CPU is the requests', and what
another process does meanwhile on the same core moves the lowest of many turns least.
"""

import asyncio
import gc
from collections.abc import Callable, Mapping
from time import process_time_ns, thread_time_ns
from typing import Any, NamedTuple

from services.gateway.exchange import Exchange
from services.gateway.timing.recorder import Recorder
from shared.telemetry.setup import Telemetry
from tests.bench import timed_gateway
from tests.bench.timed_replica import ANSWER
from tests.gateway import puppets

ROUNDS = 60
REQUESTS = 256
_REQUEST = (
    b"GET /v1/accounts/0192f0c1-7c1e-7cc5-b1a5-%012x HTTP/1.1\r\n"
    b"Host: crm.example.com\r\nAccept: */*\r\nUser-Agent: bench\r\n\r\n"
)
_WHOLE = Exchange._measure, Recorder.note


class Cost(NamedTuple):
    """Of a request, in µs of CPU: all of the process, and the event loop's thread alone."""

    cpu: float
    loop_cpu: float


class _Nowhere(puppets.PuppetTransport):
    """Swallows what is written."""

    def write(self, data: Any) -> None:
        """Gone."""

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """A caller of this machine."""
        return {"peername": ("127.0.0.1", 5), "sockname": ("127.0.0.1", 8_000)}.get(name, default)


class Alone:
    """A gateway, a caller and a replica in one process."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._outbox = telemetry.outbox
        self._stage = puppets.Stage({"prefix": "/v1"}, telemetry=telemetry, transport=_Nowhere)
        self._client = self._stage.gateway.connection()
        self._client.connection_made(_Nowhere(self._client))
        self._count = 0

    async def begin(self) -> None:
        """A few requests, until there are connections to all replicas."""
        for _ in range(20):
            self._send()
            await self._stage.connect_all()
            self._answer()

    def _send(self) -> None:
        self._count += 1
        self._client.data_received(_REQUEST % self._count)

    def _answer(self) -> None:
        exchange = self._client.exchange
        if exchange is None or exchange.connection is None:
            raise RuntimeError("the request did not reach a replica")
        exchange.connection.data_received(ANSWER)

    async def turn(self) -> Cost:
        """What its requests cost, their export included."""
        began, loop_began = process_time_ns(), thread_time_ns()
        for _ in range(REQUESTS):
            self._send()
            self._answer()
        self._stage.gateway.metrics.flush()
        on_loop = thread_time_ns() - loop_began
        if self._outbox is not None:
            while self._outbox.waiting:  # noqa: ASYNC110 (another thread empties it)
                await asyncio.sleep(0.05)
        await asyncio.sleep(0)
        return Cost((process_time_ns() - began) / REQUESTS / 1_000, on_loop / REQUESTS / 1_000)

    def close(self) -> None:
        """Give the event loop back."""
        self._stage.close()


async def bench_alone(forms: Mapping[str, Telemetry]) -> dict[str, float]:
    """Prints and gives what every form adds to `off`; the names are those of `timed_gateway`."""
    gateways = {}
    for name, telemetry in forms.items():
        gateways[name] = Alone(telemetry)
        await gateways[name].begin()
    seen: dict[str, list[Cost]] = {name: [] for name in forms}
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 100)  # as in a worker
    for _ in range(ROUNDS):
        for name, gateway in gateways.items():
            with_out(name)
            seen[name].append(await gateway.turn())
    with_out("")
    for gateway in reversed(gateways.values()):
        gateway.close()
    return _print(seen)


def with_out(form: str) -> None:
    """The process's gateways in this form from now on."""
    Exchange._measure, Recorder.note = _WHOLE  # type: ignore[method-assign]
    timed_gateway.take_out(form)


def _print(seen: Mapping[str, list[Cost]]) -> dict[str, float]:
    def least(name: str, of: Callable[[Cost], float]) -> float:
        return min(map(of, seen[name]))

    figures: dict[str, float] = {}
    print(f"{'gateway alone':26}{'CPU µs':>9}{'added':>8}{'on the loop':>13}")
    for name in seen:
        cpu = least(name, lambda cost: cost.cpu)
        added = cpu - least(timed_gateway.OFF, lambda cost: cost.cpu)
        on_loop = least(name, lambda cost: cost.loop_cpu) - least(
            timed_gateway.OFF, lambda cost: cost.loop_cpu
        )
        print(f"{name:26}{cpu:9.1f}{added:8.1f}{on_loop:13.1f}")
        key = name.replace(", ", "_").replace(" ", "_").replace("%", "")
        figures |= {f"alone_added_us_{key}": added, f"alone_loop_us_{key}": on_loop}
    return figures
