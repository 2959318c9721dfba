"""Sockets: where callers connect, and how a gateway lets go of one without losing anybody."""

import asyncio
import select
import socket
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:  # the parent makes the sockets, and has no gateway
    from services.gateway.app import Gateway

_BACKLOG = 2048


class Server:
    """One gateway on one listening socket. On the event loop that serves."""

    def __init__(self, gateway: "Gateway", listener: socket.socket) -> None:
        self._gateway = gateway
        # The event loop takes a connection by its methods, whatever its base.
        self._protocol = cast(Callable[[], asyncio.Protocol], gateway.connection)
        # The loop closes its own descriptor when the server is closed, before we could see who is still queued.
        self._queue = listener.dup()
        self._listener = listener

    async def start(self) -> None:
        """From here on callers are served."""
        await self._gateway.start()
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._protocol, sock=self._listener, backlog=_BACKLOG)

    async def stop(self, drain_s: float) -> None:
        """Accept nobody new, finish what is under way for at most `drain_s` seconds, and end.

        Whoever is queued has connected as far as he knows, and is served still; for that the socket must be
        closed everywhere else already.
        """
        self._gateway.drain()
        self._server.close()
        self._queue.setblocking(False)
        waiting = []
        with self._queue:
            while True:
                try:
                    waiting.append(self._queue.accept()[0])
                except OSError:  # BlockingIOError: that was the last
                    break
        loop = asyncio.get_running_loop()
        for connection in waiting:
            connection.setblocking(False)
            await loop.connect_accepted_socket(self._protocol, connection)
        await self._gateway.stop(drain_s)


def has_unread(transport: asyncio.Transport) -> bool:
    """Whether the kernel has something from the other side that the event loop has not read yet."""
    if transport.is_closing():
        return False  # it may have no descriptor any more
    poll = select.poll()
    poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
    return bool(poll.poll(0))


def listen(host: str, port: int) -> socket.socket:
    """A bound socket whose address `another` can share.

    Raises `SystemExit` with one sentence when the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        # Sockets that share addresses do not notice one another: first one that does looks whether it is free.
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            port = probe.getsockname()[1]
        return _shared(family, host, port)
    except OSError as error:
        sys.exit(f"gateway: cannot listen on {host}:{port}: {error.strerror or error}")


def another(listener: socket.socket) -> socket.socket:
    """A further socket on the address of one that `listen` made: the kernel shares callers out among them."""
    host, port = listener.getsockname()[:2]
    return _shared(listener.family, host, port)


def _shared(family: int, host: str, port: int) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener
