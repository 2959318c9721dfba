"""From a request to the one answer that the caller gets, over as many replicas as it takes."""

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace

from services.gateway.balancing.policy import Replica
from services.gateway.forwarding.body import CallerBody
from services.gateway.forwarding.failures import AttemptError, FailureKind
from services.gateway.forwarding.forwarder import Forwarder, UpstreamAnswer, UpstreamRequest
from services.gateway.resilience.board import Board
from services.gateway.resilience.retry import IDEMPOTENT_METHODS, may_retry
from services.gateway.routing.policy import Route
from shared.problems import Problem, unavailable
from shared.telemetry.client import client_span, inject
from shared.telemetry.setup import Telemetry


class Attempts:
    """Balances each attempt anew, notes refused connections on the board, records a CLIENT span for each."""

    def __init__(self, board: Board, forwarder: Forwarder, telemetry: Telemetry) -> None:
        self._board = board
        self._forwarder = forwarder
        self._telemetry = telemetry

    @asynccontextmanager
    async def answer(
        self, route: Route, request: UpstreamRequest, body: CallerBody
    ) -> AsyncIterator[UpstreamAnswer]:
        """The answer of the first replica that gives one; closed on leaving.

        Raises the `Problem` (502, 503, 504) of the last failure when no attempt may follow it.
        """
        idempotent = is_idempotent(request)
        tried: list[Replica] = []
        retries = 0
        replica = self._board.pick(route.upstream)
        failure: AttemptError | None = None
        while replica is not None:
            try:
                async with self._attempt(route, request, replica, resend_count=len(tried)) as answer:
                    body.abandon()
                    yield answer
                    return
            except AttemptError as caught:
                failure = caught
            if failure.kind is FailureKind.REFUSED:
                self._board.mark_down(replica, str(failure))
            if not may_retry(
                failure.kind, idempotent=idempotent, replayable=body.replayable, retries=retries
            ):
                break
            retries += failure.kind is not FailureKind.REFUSED
            tried.append(replica)
            # The same replica again is better than nothing: it may have closed just that connection.
            replica = self._board.pick(route.upstream, tried) or self._board.pick(route.upstream)
        raise _problem(route, failure) from failure

    @asynccontextmanager
    async def _attempt(
        self, route: Route, request: UpstreamRequest, replica: Replica, *, resend_count: int
    ) -> AsyncIterator[UpstreamAnswer]:
        path = request.target.decode("latin-1")
        with client_span(
            self._telemetry,
            method=request.method,
            url=f"http://{replica.address}{path}",
            resend_count=resend_count,
            template=route.prefix,
            attributes={"crm.upstream.name": route.upstream},
        ) as span:
            trace: dict[str, str] = {}
            inject(span, trace)
            traced = [(name.encode("ascii"), value.encode("ascii")) for name, value in trace.items()]
            sent = replace(request, headers=request.headers + traced)
            async with aclosing(await self._forwarder.send(replica, sent)) as answer:
                span.answered(answer.status)
                yield answer


def is_idempotent(request: UpstreamRequest) -> bool:
    """Whether twice does no harm: by its method, or because the service recognises the repetition."""
    return request.method in IDEMPOTENT_METHODS or any(
        name == b"idempotency-key" for name, _ in request.headers
    )


def _problem(route: Route, failure: AttemptError | None) -> Problem:
    if failure is None or failure.kind is FailureKind.REFUSED:
        return unavailable(f"No replica of {route.upstream} can take requests at the moment.")
    if failure.kind is FailureKind.BUSY:
        return unavailable(f"All connections to {route.upstream} are in use.")
    if failure.kind is FailureKind.TIMED_OUT:
        detail = f"{route.upstream} did not answer within {route.timeout_s:g} s."
        return Problem(504, "upstream_timeout", "Gateway timeout", detail)
    detail = f"{route.upstream} closed the connection before its answer."
    return Problem(502, "upstream_broke", "Bad gateway", detail)
