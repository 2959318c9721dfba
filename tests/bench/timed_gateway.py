"""A gateway for the benchmark of telemetry: `python -m tests.bench.timed_gateway FORM PORT REPLICA`.

Timing cannot be switched off in the product. Here `off` takes it out: no terms, no `Server-Timing`, nothing counted and
nothing logged; `timing` counts and logs nothing, and everything else is the product. Spans are exported as the
environment says.
"""

import asyncio
import os
import signal
import socket
import sys
from typing import Any

import uvloop

from services.gateway import accelerator, config
from services.gateway.app import Gateway
from services.gateway.auth.keys import KeyRing
from services.gateway.exchange import Exchange
from services.gateway.server import Server
from services.gateway.timing.recorder import Recorder
from shared.logs.setup import configure_logging
from shared.telemetry.setup import configure

OFF, TIMING = "off", "timing"
DOCUMENT = """
auth: {{mode: none}}
rate_limit: {{enabled: false}}
routes: [{{name: accounts, prefix: /v1, upstream: customers}}]
upstreams: {{customers: {{replicas: [{{host: 127.0.0.1, port: {port}}}]}}}}
"""


def _untimed(self: Exchange, connection: Any, head: Any, now_ns: int) -> bytes:
    self.done_ns = now_ns
    self.status = head.status
    return b""


def _untold(self: Recorder, exchange: Exchange) -> None:
    """Nobody is told."""


def take_out(form: str) -> None:
    """What the form does without."""
    if accelerator.form() != "pure Python":
        raise SystemExit("This benchmark is of the pure form: make clean-accelerator")
    if form == OFF:
        Exchange._measure = _untimed  # type: ignore[method-assign]
    if form in (OFF, TIMING):
        Recorder.note = _untold  # type: ignore[method-assign]


async def serve(port: int, replica: int) -> None:
    """Until SIGTERM."""
    telemetry = configure("gateway", version="1", instance_id="bench", environ=os.environ)
    gateway = Gateway(config.parse(DOCUMENT.format(port=replica)), KeyRing(()), None, telemetry)
    server = Server(gateway, socket.create_server(("127.0.0.1", port)))
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    await server.start()
    await stopping.wait()
    await server.stop(1.0)


if __name__ == "__main__":
    take_out(sys.argv[1])
    configure_logging("text", "gateway", "bench")
    uvloop.run(serve(int(sys.argv[2]), int(sys.argv[3])))
