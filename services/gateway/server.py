"""The process around the gateway: its socket, its signals, and a clean end."""

import asyncio
import signal
import socket
import sys
from collections.abc import Callable

import uvloop

from services.gateway.app import Gateway

_BACKLOG = 2048


def serve(
    gateway: Gateway, listener: socket.socket, *, drain_s: float, on_hangup: Callable[[], None]
) -> None:
    """Serve until SIGTERM or SIGINT; returns when what was under way is finished, or after `drain_s` seconds."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(gateway, listener, drain_s, on_hangup))


async def _serve(
    gateway: Gateway, listener: socket.socket, drain_s: float, on_hangup: Callable[[], None]
) -> None:
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    loop.add_signal_handler(signal.SIGHUP, on_hangup)
    await gateway.start()
    server = await loop.create_server(gateway.connection, sock=listener, backlog=_BACKLOG)
    await told.wait()
    server.close()
    await gateway.stop(drain_s)


def listen(host: str, port: int) -> socket.socket:
    """A bound socket. Raises `SystemExit` with one sentence when the address cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        sys.exit(f"gateway: cannot listen on {host}:{port}: {error.strerror or error}")
    return listener
