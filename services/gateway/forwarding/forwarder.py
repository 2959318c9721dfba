"""One attempt at one replica. The client library's errors end here."""

import ssl
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

import httpx2

from services.gateway.balancing.policy import Replica
from services.gateway.forwarding.failures import AttemptError, CutShortError, FailureKind
from services.gateway.forwarding.headers import Header
from shared.problems import Problem

CONNECT_TIMEOUT_S = 2.0
POOL_TIMEOUT_S = 5.0
# The services' servers close an idle connection after 5 s (uvicorn's default); we must be first.
KEEP_ALIVE_S = 4.0
CONNECTIONS_PER_REPLICA = 512
IDLE_PER_REPLICA = 64


@dataclass(frozen=True, slots=True)
class UpstreamRequest:
    """What is sent: `target` is the raw path with its query, `headers` without `Host`."""

    method: str
    target: bytes
    headers: list[Header]
    body: httpx2.AsyncByteStream
    timeout_s: float


class UpstreamAnswer:
    """A replica's answer: the head is here, the body streams. Must be closed."""

    def __init__(self, response: httpx2.Response) -> None:
        self._response = response
        self.status = response.status_code
        self.headers = response.headers.raw

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives, content coding untouched. Raises `CutShortError`."""
        try:
            async for chunk in self._response.aiter_raw():
                yield chunk
        except httpx2.TransportError as error:
            raise CutShortError(f"{type(error).__name__}: {error}") from error

    async def aclose(self) -> None:
        """Give the connection back, or cut it when the body was not read to its end."""
        await self._response.aclose()


class Forwarder:
    """A connection pool per replica, so that a slow one cannot use up the connections of the others.

    Transports, not clients: a client would keep cookies, and one caller's would reach the next.
    """

    def __init__(self, replicas: Iterable[Replica]) -> None:
        limits = httpx2.Limits(
            max_connections=CONNECTIONS_PER_REPLICA,
            max_keepalive_connections=IDLE_PER_REPLICA,
            keepalive_expiry=KEEP_ALIVE_S,
        )
        # Replicas speak plain HTTP; one unused context spares loading the certificate store for each.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._transports = {
            replica: httpx2.AsyncHTTPTransport(verify=context, trust_env=False, limits=limits)
            for replica in replicas
        }

    async def send(self, replica: Replica, request: UpstreamRequest) -> UpstreamAnswer:
        """Send, and wait for the head of the answer.

        Raises `AttemptError`, or whatever the body raises while it is read.
        """
        outgoing = httpx2.Request(
            request.method,
            f"http://{replica.address}/",
            headers=[(b"host", replica.address.encode("ascii")), *request.headers],
            stream=request.body,
            extensions={"target": request.target, "timeout": _timeouts(request.timeout_s)},
        )
        try:
            return UpstreamAnswer(await self._transports[replica].handle_async_request(outgoing))
        except httpx2.LocalProtocolError as error:
            raise Problem(400, "malformed_request", "Malformed request", str(error)) from error
        except httpx2.TransportError as error:
            raise AttemptError(_kind(error), f"{type(error).__name__}: {error}") from error

    async def aclose(self) -> None:
        """Close all connections."""
        for transport in self._transports.values():
            await transport.aclose()


def _timeouts(silence_s: float) -> dict[str, float]:
    return {
        "connect": min(CONNECT_TIMEOUT_S, silence_s),
        "pool": min(POOL_TIMEOUT_S, silence_s),
        "read": silence_s,
        "write": silence_s,
    }


def _kind(error: httpx2.TransportError) -> FailureKind:
    if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout):
        return FailureKind.REFUSED
    if isinstance(error, httpx2.PoolTimeout):
        return FailureKind.BUSY
    if isinstance(error, httpx2.TimeoutException):
        return FailureKind.TIMED_OUT
    return FailureKind.BROKEN
