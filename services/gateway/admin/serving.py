"""The admin API's server, beside everything else that the parent does."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterator

import uvicorn

from services.gateway.admin.api import create_app
from services.gateway.control.parent import Parent

log = logging.getLogger("kontor.gateway.admin")


class _Server(uvicorn.Server):
    """One of several things on its event loop: signals are its parent's business."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


async def serve_admin(parent: Parent, listener: socket.socket, key: str) -> None:
    """Serve until cancelled."""
    config = uvicorn.Config(
        create_app(parent, key),
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        lifespan="off",
        loop="none",
        timeout_graceful_shutdown=1,
    )
    server = _Server(config)
    host, port = listener.getsockname()[:2]
    log.info("the admin API listens on %s:%d", host, port)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        await asyncio.shield(serving)
    finally:
        server.should_exit = True
        await serving
