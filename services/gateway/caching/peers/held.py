"""An answer that must not reach its caller yet, although it has begun to come."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from services.gateway.protocol.client import ClientConnection


class HeldAnswer:
    """Takes the place of a caller's transport, and keeps what is written to it until `release`.

    Until then the caller counts as one that does not keep up, so that the replica is not asked for more and no
    further request is taken from it: what is kept is what had been read already.
    """

    def __init__(self, client: "ClientConnection") -> None:
        self._client = client
        self._transport = client.transport
        self._kept: list[bytes] = []
        self._last: str = ""
        client.transport = self  # type: ignore[assignment] # by its methods
        client.pause_writing()

    def release(self) -> None:
        """Pass on what was kept; the caller has its own transport again."""
        client, transport = self._client, self._transport
        client.transport = transport
        if transport.is_closing():
            return
        transport.write(b"".join(self._kept))
        if self._last:
            getattr(transport, self._last)()
        client.resume_writing()

    # As a transport

    def write(self, data: bytes) -> None:
        """Keep it."""
        self._kept.append(data)

    def close(self) -> None:
        """Once all is passed on."""
        self._last = "close"

    def write_eof(self) -> None:
        """As above."""
        self._last = self._last or "write_eof"

    def abort(self) -> None:
        """At once: nobody gets what was kept."""
        self._transport.abort()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
