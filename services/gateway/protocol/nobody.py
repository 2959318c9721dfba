"""The caller of a request that nobody waits for: what the gateway asks for by itself, to renew what it has stored."""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from services.gateway.exchange import Exchange
    from services.gateway.protocol.client import ClientConnection


class Nobody:
    """Takes the place of a `ClientConnection`, whose methods these are: takes every answer and never sends more.

    `ended` is called once, when the request is over. It comes from where the request came from that it is made for.
    """

    closing = False
    full = False
    held_up = False
    trusted = False
    unread = False

    def __init__(self, like: "ClientConnection", ended: Callable[["Nobody"], None]) -> None:
        self.peer = like.peer
        self.forwarded_line = like.forwarded_line
        self.transport = self
        self.exchange: Exchange | None = None
        self._ended = ended

    # As a connection

    def pause(self) -> None:
        """There is nothing to wait for."""

    def resume(self) -> None:
        """As above."""

    def over(self, close: bool, now_ns: int) -> None:
        """The exchange has ended."""
        self.exchange = None
        self._ended(self)

    def cut(self) -> None:
        """The answer ended before its end."""
        self.over(True, 0)

    def drain(self) -> bool:
        """Whether nothing is under way."""
        return self.exchange is None

    def close(self) -> None:
        """Nothing is open."""

    def sweep(self, now_ns: int) -> None:
        """Nobody can be slow."""

    # As a transport

    def write(self, data: bytes) -> None:
        """Nobody reads it."""

    def abort(self) -> None:
        """The gateway ends."""
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.client_left()
            self._ended(self)

    def is_closing(self) -> bool:
        """It never is."""
        return False

    def get_extra_info(self, name: str, default: object = None) -> object:
        """There is no socket."""
        return default
