"""One attempt at one replica. The client library's errors end here."""

from collections.abc import AsyncIterable, AsyncIterator, Iterable
from dataclasses import dataclass

import httpcore2

from services.gateway.balancing.policy import Replica
from services.gateway.forwarding.connections import Connections
from services.gateway.forwarding.failures import AttemptError, CutShortError, FailureKind
from services.gateway.forwarding.headers import Header
from shared.problems import Problem

CONNECT_TIMEOUT_S = 2.0
POOL_TIMEOUT_S = 5.0
# The services' servers close an idle connection after 5 s (uvicorn's default); we must be first.
KEEP_ALIVE_S = 4.0
CONNECTIONS_PER_REPLICA = 512
IDLE_PER_REPLICA = 64

_FAILURES = (httpcore2.NetworkError, httpcore2.TimeoutException, httpcore2.RemoteProtocolError)


@dataclass(frozen=True, slots=True)
class UpstreamRequest:
    """What is sent: `target` is the raw path with its query, `headers` without `Host`."""

    method: str
    target: bytes
    headers: list[Header]
    body: AsyncIterable[bytes]
    timeout_s: float


class UpstreamAnswer:
    """A replica's answer: the head is here, the body streams. Must be closed."""

    def __init__(
        self,
        response: httpcore2.Response,
        connection: httpcore2.AsyncHTTP11Connection,
        connections: Connections,
    ) -> None:
        self._response = response
        self._connection = connection
        self._connections = connections
        self.status = response.status
        self.headers = response.headers

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives, content coding untouched. Raises `CutShortError`."""
        try:
            async for chunk in self._response.aiter_stream():
                yield chunk
        except _FAILURES as error:
            raise CutShortError(f"{type(error).__name__}: {error}") from error

    async def aclose(self) -> None:
        """Give the connection back, or cut it when the body was not read to its end."""
        try:
            await self._response.aclose()
        finally:
            await self._connections.release(self._connection)


class Forwarder:
    """Connections of its own for each replica, so that a slow one cannot use up those of the others."""

    def __init__(self, replicas: Iterable[Replica]) -> None:
        self._connections = {
            replica: Connections(
                replica.host,
                replica.port,
                most=CONNECTIONS_PER_REPLICA,
                idle=IDLE_PER_REPLICA,
                keep_s=KEEP_ALIVE_S,
            )
            for replica in replicas
        }

    async def send(self, replica: Replica, request: UpstreamRequest) -> UpstreamAnswer:
        """Send, and wait for the head of the answer.

        Raises `AttemptError`, or whatever the body raises while it is read.
        """
        host = replica.address.encode("ascii")
        outgoing = httpcore2.Request(
            request.method,
            httpcore2.URL(
                scheme=b"http", host=replica.host.encode("ascii"), port=replica.port, target=request.target
            ),
            headers=[(b"host", host), *request.headers],
            content=request.body,
            extensions={"timeout": {"read": request.timeout_s, "write": request.timeout_s}},
        )
        try:
            return await self._exchange(self._connections[replica], outgoing, request.timeout_s)
        except httpcore2.LocalProtocolError as error:
            raise Problem(400, "malformed_request", "Malformed request", str(error)) from error
        except _FAILURES as error:
            raise AttemptError(_kind(error), f"{type(error).__name__}: {error}") from error

    async def _exchange(
        self, connections: Connections, outgoing: httpcore2.Request, timeout_s: float
    ) -> UpstreamAnswer:
        connection = await connections.acquire(
            wait_s=min(POOL_TIMEOUT_S, timeout_s), connect_s=min(CONNECT_TIMEOUT_S, timeout_s)
        )
        try:
            response = await connection.handle_async_request(outgoing)
        except BaseException:
            await connections.release(connection)
            raise
        return UpstreamAnswer(response, connection, connections)

    async def aclose(self) -> None:
        """Close all connections."""
        for connections in self._connections.values():
            await connections.aclose()


def _kind(error: Exception) -> FailureKind:
    if isinstance(error, httpcore2.ConnectError | httpcore2.ConnectTimeout):
        return FailureKind.REFUSED
    if isinstance(error, httpcore2.PoolTimeout):
        return FailureKind.BUSY
    if isinstance(error, httpcore2.TimeoutException):
        return FailureKind.TIMED_OUT
    return FailureKind.BROKEN
