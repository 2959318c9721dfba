"""One of the simulator's replicas as a process: `python -m tests.bench.live_fleet.replica PORT INDEX SCENARIO`.

The model decides when a request is started and how long it takes; here that much time really passes, asleep, so that
many replicas fit on few cores. `POST /begin` is the beginning of the scenario's time.
"""

import asyncio
import json
import sys
from time import monotonic_ns
from urllib.parse import parse_qs

import uvloop

from tests.simulation.world import MS, ReplicaModel, Scenario, build

TIMEOUT_HEADER = b"x-kontor-timeout-ms: "
_EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
_FULL = b"HTTP/1.1 503 Full\r\nContent-Length: 0\r\n\r\n"


class Clock:
    """Nanoseconds of the scenario's time."""

    def __init__(self) -> None:
        self.origin_ns = monotonic_ns()

    def now(self) -> int:
        return monotonic_ns() - self.origin_ns


class Connection(asyncio.Protocol):
    """GET requests, one after the other; each comes in one piece, as the gateway sends it."""

    def __init__(self, model: ReplicaModel, clock: Clock) -> None:
        self._model = model
        self._clock = clock
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment] # uvloop's own class is no subclass

    def data_received(self, data: bytes) -> None:
        target = data.split(b" ", 2)[1]
        if not target.startswith(b"/work"):
            if target == b"/begin":
                self._clock.origin_ns = monotonic_ns()
            self._transport.write(_EMPTY)
            return
        model, now_ns = self._model, self._clock.now()
        if model.refuses(now_ns):
            self._transport.write(_FULL)
            return
        model.inflight += 1
        demand_ns = float(parse_qs(target.partition(b"?")[2])[b"ns"][0])
        start_ns, gives_up_ns = model.start_of_next(now_ns), now_ns + _patience_ns(data)
        # As our services do with the gateway's deadline: what nobody waits for any more is not begun.
        begun = start_ns < gives_up_ns
        done_ns = model.serve(start_ns, demand_ns) if begun else gives_up_ns
        asyncio.get_running_loop().call_later((done_ns - now_ns) / 1e9, self._done, begun)

    def _done(self, begun: bool) -> None:
        model = self._model
        if begun and not self._transport.is_closing():
            # As the simulator has it, and our services: the one that is answered here counts still.
            load = f"endpoint-load-metrics: TEXT named_metrics.inflight={model.inflight}"
            self._transport.write(f"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n{load}\r\n\r\nok".encode())
        model.inflight -= 1


def _patience_ns(request: bytes) -> int:
    return int(request.partition(TIMEOUT_HEADER)[2].partition(b"\r\n")[0]) * MS


async def main(port: int, index: int, scenario: Scenario) -> None:
    """Serve until killed."""
    model, clock = build(scenario).replicas[index], Clock()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(model, clock), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(int(sys.argv[1]), int(sys.argv[2]), Scenario(**json.loads(sys.argv[3]))))
