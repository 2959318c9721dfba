"""The composition root, and the one place that spells the order of the pipeline."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from functools import partial

from services.gateway import config
from services.gateway.admin import pages
from services.gateway.asgi import Answer, App, Header, Receive, Scope, Send
from services.gateway.auth.keys import Caller
from services.gateway.auth.policy import authenticate
from services.gateway.auth.store import KeyStore
from services.gateway.forwarding.body import CallerBody, CallerLeftError
from services.gateway.forwarding.departure import while_caller_stays
from services.gateway.forwarding.failures import CutShortError
from services.gateway.forwarding.forwarder import Forwarder, UpstreamRequest
from services.gateway.forwarding.headers import answer_headers, forwarded_headers, request_headers
from services.gateway.limits.rate_limiter import RateLimiter, too_many_requests
from services.gateway.limits.sizes import check_head
from services.gateway.request_ids import RequestIds
from services.gateway.resilience.attempts import Attempts
from services.gateway.resilience.board import Board
from services.gateway.resilience.prober import Prober
from services.gateway.routing.policy import Route, has_dot_segment
from shared.identity import IDENTITY_HEADER
from shared.identity.signer import IdentitySigner
from shared.logs.access import log_access
from shared.logs.context import request_id_var
from shared.problems import Problem, not_found
from shared.telemetry.server import ServedRequest, ServerSpans
from shared.telemetry.setup import Telemetry

log = logging.getLogger("kontor.gateway")

VERSION = "0.1.0"
_TEMPLATE = "kontor.route_template"
_IDENTITY = IDENTITY_HEADER.lower().encode("ascii")


class Exchange:
    """One request on its way through the pipeline, and what the stages found out about it."""

    __slots__ = ("_scope", "answer", "caller", "client", "headers", "limited", "method", "path", "query")

    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope = scope
        self.method: str = scope["method"]
        self.path: bytes = scope["raw_path"]
        self.query: bytes = scope["query_string"]
        self.headers: list[Header] = scope["headers"]
        self.client: str = scope["client"][0] if scope.get("client") else "unknown"
        self.answer = Answer(send)
        self.caller: Caller | None = None
        self.limited = False

    def header(self, name: bytes) -> bytes:
        """The first field of this name, empty when there is none."""
        return next((value for field, value in self.headers if field == name), b"")

    @property
    def scheme(self) -> str:
        scheme: str = self._scope["scheme"]
        return scheme

    def note_template(self, template: str) -> None:
        """Tell the span and the access log, which see the scope only, what this address is called."""
        self._scope[_TEMPLATE] = template


class Gateway:
    """The pipeline as an ASGI application; health, connections and counters live here, not in the config."""

    def __init__(
        self, snapshot: config.Snapshot, keys: KeyStore, signer: IdentitySigner, telemetry: Telemetry
    ) -> None:
        self._snapshot = snapshot
        self._keys = keys
        self._signer = signer
        self._telemetry = telemetry
        self._board = Board(snapshot.upstreams)
        self._prober = Prober(self._board)
        self._limiter = RateLimiter(snapshot.rate)
        self._forwarder = Forwarder(replica for replica, _ in self._board.checks())
        self._attempts = Attempts(self._board, self._forwarder, telemetry)
        self._pages: Mapping[bytes, Callable[[], pages.Page]] = {
            b"/livez": pages.livez,
            b"/readyz": partial(pages.readyz, self._board),
            b"/docs": partial(pages.docs, snapshot.routes),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        exchange = Exchange(scope, send)
        try:
            await self._pipeline(exchange, receive)
        except Problem as problem:
            await self._refuse(exchange, problem)
        except CallerLeftError:
            log.info("the caller left before its answer was complete")
        except CutShortError as error:
            # Returning without the end makes the server cut the connection, so that the caller notices.
            log.warning("the answer ended before its end: %s", error)
        except Exception:
            # A mistake of ours: the server logs it, the caller still gets the shape every error has.
            if not exchange.answer.started:
                await self._refuse(exchange, Problem(500, "internal_error", "Internal error"))
            raise

    async def _pipeline(self, exchange: Exchange, receive: Receive) -> None:
        """timing → limits → routing → auth → rate limit → caching → resilience → balancing → forwarding.

        Timing is the span around us, caching has no room yet; resilience calls balancing and forwarding
        once per attempt.
        """
        check_head(exchange.path, exchange.query, exchange.headers, self._snapshot.limits)
        if await self._own_page(exchange):
            return
        route = self._route(exchange)
        if not route.public:
            exchange.caller = authenticate(exchange.headers, self._keys.ring)
        self._count(exchange)
        await self._exchange(exchange, route, receive)

    async def _own_page(self, exchange: Exchange) -> bool:
        page = self._pages.get(exchange.path)
        if page is None:
            return False
        exchange.note_template(exchange.path.decode("ascii"))
        exchange.limited = True
        if exchange.method not in ("GET", "HEAD"):
            raise Problem(405, "method_not_allowed", "Method not allowed", headers={"Allow": "GET, HEAD"})
        await exchange.answer.whole(*page())
        return True

    def _route(self, exchange: Exchange) -> Route:
        if has_dot_segment(exchange.path):
            raise Problem(400, "bad_path", "Bad path", "Dot segments are not resolved here.")
        route = self._snapshot.routes.match(exchange.path)
        if route is None:
            raise not_found("No route leads from this address to a service.")
        exchange.note_template(route.prefix)
        return route

    def _count(self, exchange: Exchange) -> None:
        """Take from the caller's allowance; the answer says what is left of it."""
        who = f"key:{exchange.caller.key_id}" if exchange.caller else f"address:{exchange.client}"
        allowance = self._limiter.take(who)
        exchange.limited = True
        exchange.answer.extra += self._limiter.headers(allowance)
        if not allowance.allowed:
            raise too_many_requests(allowance)

    async def _exchange(self, exchange: Exchange, route: Route, receive: Receive) -> None:
        answer = exchange.answer
        expects_body = bool(exchange.header(b"transfer-encoding")) or exchange.header(
            b"content-length"
        ) not in (b"", b"0")
        body = CallerBody(receive, expected=expects_body, max_bytes=self._snapshot.limits.max_body_bytes)
        request = UpstreamRequest(
            method=exchange.method,
            target=route.target(exchange.path, exchange.query),
            headers=self._outgoing_headers(exchange, route),
            body=body,
            timeout_s=route.timeout_s,
        )
        async with (
            while_caller_stays(body, lambda: answer.complete),
            self._attempts.answer(route, request, body) as received,
        ):
            await answer.start(received.status, answer_headers(received.status, received.headers))
            async for chunk in received.chunks():
                await answer.write(chunk)
            await answer.end()

    def _outgoing_headers(self, exchange: Exchange, route: Route) -> list[Header]:
        headers = request_headers(exchange.headers)
        headers += forwarded_headers(
            exchange.headers,
            client=exchange.client,
            scheme=exchange.scheme,
            host=exchange.header(b"host"),
            request_id=request_id_var.get() or "",
        )
        if exchange.caller is not None:
            audience = self._snapshot.upstreams[route.upstream].audience
            token = self._signer.sign(exchange.caller.identity, audience)
            headers.append((_IDENTITY, token.encode("ascii")))
        return headers

    async def _refuse(self, exchange: Exchange, problem: Problem) -> None:
        if not exchange.limited:
            try:
                # Whoever guesses keys or addresses is counted too, by where they come from.
                self._count(exchange)
            except Problem as too_many:
                problem = too_many
        await exchange.answer.problem(
            problem, request_id=request_id_var.get() or "", instance=exchange.path.decode("latin-1")
        )

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        self._prober.start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._prober.stop()
        await self._forwarder.aclose()
        # It blocks until the last spans are out, or for two seconds.
        await asyncio.to_thread(self._telemetry.shutdown)
        await send({"type": "lifespan.shutdown.complete"})


def build_app(snapshot: config.Snapshot, keys: KeyStore, signer: IdentitySigner, telemetry: Telemetry) -> App:
    """The gateway and what belongs around it: outermost the request's id, then a span, then the pipeline."""
    gateway = Gateway(snapshot, keys, signer, telemetry)
    return RequestIds(ServerSpans(gateway, telemetry, _template, served=_log_served))


def _template(scope: Scope) -> str | None:
    template: str | None = scope.get(_TEMPLATE)
    return template


def _log_served(request: ServedRequest) -> None:
    # A supervisor asks several times a second; its questions would drown everyone else's.
    if request.route not in ("/livez", "/readyz"):
        log_access(
            request.method,
            request.path,
            request.status,
            request.duration_ns,
            route=request.route,
            error=request.error,
        )
