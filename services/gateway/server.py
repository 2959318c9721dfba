"""The process around the application: uvicorn, its signals, and a clean end."""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Generator

import uvicorn

from services.gateway.asgi import App
from services.gateway.protocol.http11 import GatewayProtocol


class GatewayServer(uvicorn.Server):
    """Drains on SIGTERM and SIGINT and then simply returns; calls `on_hangup` on SIGHUP.

    uvicorn's own handling raises the signal again once it has drained, so that the process would end by
    the signal instead of with status 0.
    """

    def __init__(self, config: uvicorn.Config, on_hangup: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_hangup = on_hangup

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        loop.add_signal_handler(signal.SIGHUP, self._on_hangup)
        yield


def serve(app: App, *, host: str, port: int, drain_s: int, on_hangup: Callable[[], None]) -> None:
    """Serve until told to stop; returns when what was under way is finished, or after `drain_s` seconds.

    Raises `SystemExit` when the address cannot be listened on.
    """
    options = uvicorn.Config(
        app,
        host=host,
        port=port,
        loop="uvloop",
        http=GatewayProtocol,
        ws="none",
        interface="asgi3",
        lifespan="on",
        log_config=None,
        access_log=False,
        # Where a request comes from is what the socket says: nobody in front of us is trusted.
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=drain_s,
    )
    GatewayServer(options, on_hangup).run()
