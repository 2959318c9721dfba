"""The composition root, and the one place that spells the order of the pipeline."""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from ipaddress import ip_address
from time import perf_counter_ns
from typing import cast

from services.gateway import accelerator, config
from services.gateway.admin import pages
from services.gateway.admin.explain import DryRun, Question
from services.gateway.auth.keys import Caller, KeyRing
from services.gateway.auth.policy import authenticate
from services.gateway.balancing.endpoint import EndpointRegistry
from services.gateway.balancing.policy import Replica
from services.gateway.caching.cache import FORWARD, SERVED, WAITING
from services.gateway.caching.caches import Caches
from services.gateway.caching.coherence import SAFE
from services.gateway.caching.stamps import Stamps
from services.gateway.control.steering import Order, Steering
from services.gateway.discovery.discovery import Discovery
from services.gateway.exchange import Exchange
from services.gateway.limits.common import CommonLimits
from services.gateway.limits.rate_limiter import RateLimiter, too_many_requests
from services.gateway.limits.shared import SharedLimits
from services.gateway.limits.sizes import body_too_large
from services.gateway.metrics.worker import GatewayMetrics
from services.gateway.outbox import AtOnce, Outbox
from services.gateway.protocol.answers import page_bytes, problem_bytes
from services.gateway.protocol.client import ClientConnection
from services.gateway.protocol.forwarded import believe
from services.gateway.protocol.nobody import Nobody
from services.gateway.protocol.request_head import VIA_LINE, RequestFields, RequestHead
from services.gateway.request_ids import RandomHex, RequestIds, accepted
from services.gateway.resilience.client_connections import Admission, ClientConnections
from services.gateway.resilience.prober import Prober
from services.gateway.resilience.upstream import Upstream
from services.gateway.routing.destination import Destination
from services.gateway.routing.policy import Route, has_dot_segment
from services.gateway.server import has_unread
from services.gateway.timing.keeping import Keeping, KeepingRule, Share
from services.gateway.timing.recorder import Recorder
from services.gateway.timing.trace_ids import DIGITS, TraceIds
from services.gateway.timing.traces import Traces
from shared.identity import IDENTITY_HEADER
from shared.identity.signer import IdentitySigner
from shared.problems import Problem, not_found
from shared.telemetry.setup import Telemetry

log = logging.getLogger("kontor.gateway")

VERSION = "0.1.0"
_IDENTITY = IDENTITY_HEADER.lower().encode("ascii") + b": "
_IDEMPOTENT = frozenset({b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE"})
_REFUSED_METHODS = frozenset({b"CONNECT", b"TRACE"})
_SWEEP_S = 0.1
_FAREWELL_S = 0.1
_SLOW_SWEEPS = 10


class Gateway:
    """What all connections of one process share: the configuration in force, the upstreams, the counters.

    Health, connections and counters live here and not in the configuration, which is swapped whole.
    """

    def __init__(
        self,
        snapshot: config.Snapshot,
        keys: KeyRing,
        signer: IdentitySigner | None,
        telemetry: Telemetry,
        stamps: Stamps | None = None,
        limits: SharedLimits | None = None,
        outbox: Outbox | None = None,
    ) -> None:
        """Without a `signer` the snapshot must not ask for keys: there is nobody to vouch for. `stamps` and `limits`
        are shared with the other worker processes, if there are any. What is to be written is written at once, unless
        `outbox` has it wait."""
        self.outbox = outbox or AtOnce()
        self._signer = signer
        self._telemetry = telemetry
        # Without a collector of ours the sampled traces are the services' affair, and they are told to record.
        exports = telemetry.outbox is not None
        self._share = telemetry.share if exports else 0.0
        self._left_to_services = Share(0.0 if exports else telemetry.share)
        self._keeping = Keeping(KeepingRule(), perf_counter_ns())
        self.traces = Traces(self._keeping, telemetry.outbox)
        self.metrics = GatewayMetrics(telemetry.outbox)
        self._recorder = Recorder(self.traces, self.metrics)
        self._registry = EndpointRegistry()
        self.random = RandomHex()
        self._ids = RequestIds()
        self._prober = Prober()
        self._clients: set[ClientConnection] = set()
        self._deserted = asyncio.Event()
        self._identities: dict[str, dict[str, bytes]] = {}
        self._discovery = Discovery(self._found)
        self._shared_limits = limits or SharedLimits.private()
        self._common_limits = CommonLimits()
        self._client_connections = ClientConnections(snapshot.clients, self._shared_limits.clients)
        self._started = False
        self._draining = False
        self._steering = Steering()
        self.caches = Caches(stamps or Stamps.private(), signer)
        self.upstreams: dict[str, Upstream] = {}
        self.apply(snapshot, keys)

    def apply(self, snapshot: config.Snapshot, keys: KeyRing) -> None:
        """Put a configuration in force: from here on for every new request, and nothing under way notices."""
        self.snapshot = snapshot
        self._keys = keys
        self._identities.clear()  # a key may stand for somebody else now
        self.longest_head = snapshot.limits.max_header_bytes
        self.largest_body = snapshot.limits.max_body_bytes
        self.most_pipelined = snapshot.max_pipelined_bytes
        self.timeouts = snapshot.timeouts
        self._limiter = (
            RateLimiter(snapshot.rate, self._shared_limits.callers) if snapshot.rate_limited else None
        )
        self._common_limits.configure(snapshot.common_limit, self._limiter, snapshot.rate)
        self._client_connections.rule = snapshot.clients
        self._keeping.configure(replace(snapshot.keeping, share=self._share))
        self._open_to_all = snapshot.auth == "none"
        for name in self.upstreams.keys() - snapshot.upstreams.keys():
            self.upstreams.pop(name).close()
        self.caches.configure(snapshot)
        for name, plan in snapshot.upstreams.items():
            if name in self.upstreams:
                self.upstreams[name].configure(plan)
            else:
                self.upstreams[name] = Upstream(plan, self._registry, self.outbox)
            self._obey(name)
        self._destinations = {
            route.name: self._destination_of(route, self.upstreams[route.upstream])
            for route in snapshot.routes
        }
        self.caches.configured(snapshot, self.upstreams)
        self._pages: Mapping[bytes, Callable[[], pages.Page]] = {
            b"/livez": pages.livez,
            b"/readyz": partial(pages.readyz, self.upstreams),
            b"/docs": partial(pages.docs, snapshot.routes),
        }
        if self._started:
            self._follow_replicas()

    def _destination_of(self, route: Route, upstream: Upstream) -> Destination:
        return Destination(route, upstream, self.caches.of(route, upstream))

    def _follow_replicas(self) -> None:
        self._discovery.apply({name: upstream.plan.source for name, upstream in self.upstreams.items()})
        self._prober.watch(self.upstreams)

    def _found(self, name: str, replicas: Iterable[Replica]) -> None:
        """The replicas of an upstream, at first or anew."""
        if name in self.upstreams:
            self.upstreams[name].replace(replicas)
            self._obey(name)
            self._prober.watch(self.upstreams)
            self._forget_departed()

    def _forget_departed(self) -> None:
        """Of replicas that are gone nothing is kept once nothing runs there."""
        upstreams = self.upstreams.values()
        self._registry.prune([one.replica for upstream in upstreams for one in upstream.endpoints])

    def steer(self, order: Order) -> None:
        """Heed an order for a replica, from now on or from when there is that replica."""
        self._steering.give(order)
        self._obey(order.upstream)

    def _obey(self, name: str) -> None:
        """Weigh the replicas of an upstream as told."""
        upstream = self.upstreams.get(name)
        if upstream is not None:
            for endpoint in upstream.endpoints:
                endpoint.live_weight = self._steering.of(name, endpoint.replica.address).live_weight
            upstream.refresh(perf_counter_ns())

    def destination(self, route: str) -> Destination:
        """Where the requests of a route go."""
        return self._destinations[route]

    # Connections

    def connection(self) -> ClientConnection:
        """A caller's new connection."""
        return ClientConnection(self)

    def connected(self, client: ClientConnection) -> bool:
        """A caller has connected; False when it holds, or all hold, as many connections as may be."""
        client.counts_as = who = self._client_connections.client_of(client.peer)
        if self._client_connections.opened(who) is not Admission.ADMITTED:
            return False
        self._clients.add(client)
        if self._draining:
            client.drain()
        return True

    def trusts(self, address: str) -> bool:
        """Whether what is said there of where a request comes from is believed."""
        networks = self.snapshot.trusted_proxies
        if not networks:
            return False
        parsed = ip_address(address)
        return any(parsed in network for network in networks)

    def disconnected(self, client: ClientConnection) -> None:
        """A caller's connection is gone."""
        if client not in self._clients:
            return
        self._clients.discard(client)
        self._client_connections.closed(client.counts_as)
        if not self._clients:
            self._deserted.set()

    def finished(self, exchange: Exchange) -> None:
        """A request is over, however it went."""
        self._recorder.note(exchange)

    # The pipeline

    def admit(self, exchange: Exchange) -> bool:
        """timing → limits → routing → auth → rate limit → caching.

        Resilience → balancing → forwarding follow in the exchange, once per attempt. False when the request
        was answered here.
        """
        fields = exchange.fields
        self.metrics.began(exchange.received_ns)
        sent = fields.found.get(b"x-request-id")
        exchange.trace = TraceIds(fields.found, self.random.take(DIGITS))
        exchange.request_id = request_id = sent if sent is not None and accepted(sent) else self._ids.next()
        exchange.own_lines = exchange.id_line = b"x-request-id: " + request_id + b"\r\n"
        if exchange.client.trusted:
            believe(exchange, self.trusts)
        try:
            return self._pass_through(exchange)
        except Problem as problem:
            self._refuse(exchange, problem)
            return False
        except Exception:
            # A mistake of ours: the caller still gets the shape every error has.
            log.exception("the request could not be handled")
            exchange.refuse(Problem(500, "internal_error", "Internal error"))
            return False

    def _pass_through(self, exchange: Exchange) -> bool:
        """Whether it is to be sent to a replica now. Raises the `Problem` it is refused with."""
        path = exchange.head.path
        if path in self._pages:
            self._own_page(exchange, path)
            return False
        exchange.route = destination = self._route(exchange.head, path)
        exchange.template = destination.template
        if not destination.public and not self._open_to_all:
            exchange.caller = self._recognise(exchange.fields)
        if self._limiter is not None:
            self._count(exchange, self._limiter)
        exchange.upstream = destination.upstream
        exchange.upstream_name = destination.upstream.name
        self._decide_keeping(exchange, destination)
        taken = FORWARD
        if destination.cache is not None:
            taken = destination.cache.take(exchange, exchange.started_ns)
            if taken is SERVED:
                return False
        self._prepare(exchange, destination)
        if taken is WAITING:
            exchange.ready_ns = perf_counter_ns()
            return False
        return True

    def _recognise(self, fields: RequestFields) -> Caller:
        ring = self._keys
        caller = ring.recognised.get(fields.credentials)
        if caller is None:
            caller = authenticate(list(fields.found.items()), ring)
            ring.recognise(fields.credentials, caller)
        return caller

    def _own_page(self, exchange: Exchange, path: bytes) -> None:
        head = exchange.head
        exchange.template = path.decode("ascii")
        if head.method not in (b"GET", b"HEAD"):
            problem = Problem(405, "method_not_allowed", "Method not allowed", headers={"Allow": "GET, HEAD"})
            exchange.refuse(problem)
            return
        try:
            page = self._pages[path]()
        except Problem as problem:
            exchange.refuse(problem)
        else:
            exchange.answer(*page)

    def _route(self, head: RequestHead, path: bytes) -> Destination:
        if head.fields.body_length > self.largest_body:
            raise body_too_large(self.largest_body)
        # `find`, as `in` looks for a number first, fails, and takes twice as long.
        if (path.find(b"/.") >= 0 or path.find(b"%2") >= 0) and has_dot_segment(path):
            raise Problem(400, "bad_path", "Bad path", "Dot segments are not resolved here.")
        if head.method in _REFUSED_METHODS:
            raise Problem(501, "method_not_served", "Not implemented", "This method is not served here.")
        routes = self.snapshot.routes
        host = head.fields.found.get(b"host", b"")
        route = routes.match(path, head.method, host)
        if route is None:
            allowed = routes.allowed(path, host)
            if allowed:
                headers = {"Allow": ", ".join(allowed)}
                raise Problem(405, "method_not_allowed", "Method not allowed", headers=headers)
            raise not_found("No route leads from this address to a service.")
        return self._destinations[route.name]

    def _count(self, exchange: Exchange, limiter: RateLimiter) -> None:
        """Take from the caller's allowance; the answer says what is left of it."""
        caller = exchange.caller
        # A key's id has no colon in it, so that no address can be taken for one.
        who = caller.key_id if caller is not None else f"address:{exchange.peer}"
        allowance = limiter.take(who)
        exchange.own_lines += limiter.lines(allowance)
        if not allowance.allowed:
            raise too_many_requests(allowance)

    def aside(self, like: Exchange, now_ns: int) -> Exchange:
        """A request like another one, for the gateway's own use."""
        nobody = Nobody(like.client, self._aside_ended)
        client = cast(ClientConnection, nobody)  # by its methods
        self._clients.add(client)
        exchange = nobody.exchange = Exchange(self, client, like.head, now_ns, now_ns)
        self.metrics.began(now_ns)
        exchange.trace, exchange.kept = TraceIds({}, self.random.take(DIGITS)), like.kept
        exchange.request_id = request_id = self._ids.next()
        exchange.id_line = b"x-request-id: " + request_id + b"\r\n"
        exchange.route, exchange.template, exchange.caller = like.route, like.template, like.caller
        exchange.upstream, exchange.upstream_name = like.upstream, like.upstream_name
        return exchange

    def send_aside(self, exchange: Exchange) -> None:
        """Send a request that `aside` has made."""
        try:
            self._prepare(exchange, exchange.route)
        except Problem as problem:
            exchange.refuse(problem)
        else:
            exchange.start(b"", True)

    def _aside_ended(self, nobody: Nobody) -> None:
        self._clients.discard(cast(ClientConnection, nobody))
        if not self._clients:
            self._deserted.set()

    def resume(self, exchange: Exchange) -> None:
        """A request that waited for another one: it is answered now, or goes forward itself."""
        cache = exchange.route.cache
        if cache is None:  # the configuration has changed meanwhile
            exchange.start(b"", True)
            return
        try:
            taken = cache.take(exchange, perf_counter_ns())
        except Exception:
            # A mistake of ours, which must not be that of whoever fetched.
            log.exception("a request that waited could not be handled")
            exchange.refuse(Problem(500, "internal_error", "Internal error"))
            return
        if taken is FORWARD:
            exchange.start(b"", True)

    def _decide_keeping(self, exchange: Exchange, destination: Destination) -> None:
        """Whether its trace is recorded, as far as that is known before its end."""
        caller = exchange.caller
        tenant = caller.identity.tenant_id if caller is not None else None
        exchange.kept = self._keeping.before(
            exchange.trace.trace_id, destination.template, tenant, exchange.received_ns
        )

    def _prepare(self, exchange: Exchange, destination: Destination) -> None:
        """What is sent to a replica, whichever it will be."""
        head, fields, client, caller = exchange.head, exchange.fields, exchange.client, exchange.caller
        trace, upstream = exchange.trace, destination.upstream
        trace.sampled = exchange.kept != "" or self._left_to_services.has(trace.trace_id)
        exchange.unsafe = head.method not in SAFE
        # An upgrade is a conversation: it is begun once.
        exchange.idempotent = (
            head.method in _IDEMPOTENT or b"idempotency-key" in fields.found
        ) and fields.upgrade is None
        exchange.deadline_ns = destination.deadlines.deadline(exchange.received_ns, exchange.asked_timeout)
        exchange.key = destination.key(head, exchange.peer) if destination.hashes else b""
        exchange.target = destination.target(head)
        if not exchange.forwarded:
            exchange.forwarded = client.forwarded_line + fields.host + b"\r\n"
        exchange.vouched = (
            self._identity_line(caller, upstream.plan.audience)
            if caller is not None
            else self._credentials(fields)
        )

    def _credentials(self, fields: RequestFields) -> bytes:
        """What services that ask for themselves want to see: only where the gateway asks nobody."""
        if not self._open_to_all:
            return b""
        names = (b"authorization", b"x-api-key")
        return b"".join(b"%b: %b\r\n" % (name, fields.found[name]) for name in names if name in fields.found)

    def _identity_line(self, caller: Caller, audience: str) -> bytes:
        lines = self._identities.get(caller.key_id)
        line = lines.get(audience) if lines is not None else None
        if line is None:
            if self._signer is None:
                raise RuntimeError("somebody is to be vouched for, and there is no key to sign with")
            line = _IDENTITY + self._signer.sign(caller.identity, audience).encode("ascii") + b"\r\n"
            self._identities.setdefault(caller.key_id, {})[audience] = line
        return line

    def _refuse(self, exchange: Exchange, problem: Problem) -> None:
        if exchange.caller is None and problem.status != 429 and self._limiter is not None:
            try:
                # Whoever guesses keys or addresses is counted too, by where they come from.
                self._count(exchange, self._limiter)
            except Problem as too_many:
                problem = too_many
        exchange.refuse(problem)

    # What is answered here

    def problem(self, exchange: Exchange, problem: Problem, timing: bytes, close: bool) -> bytes:
        """The answer of a request that was refused."""
        return problem_bytes(
            problem,
            request_id=exchange.request_id,
            instance=exchange.head.path,
            lines=VIA_LINE + exchange.own_lines + timing,
            close=close,
            bodiless=exchange.is_head,
        )

    def page(
        self, exchange: Exchange, status: int, content_type: bytes, body: bytes, timing: bytes, close: bool
    ) -> bytes:
        """The answer of a request for one of our own pages."""
        lines = VIA_LINE + exchange.own_lines + timing
        return page_bytes(exchange.head, status, content_type, body, lines, close=close)

    def rejection(self, client: ClientConnection, problem: Problem, now_ns: int) -> bytes:
        """The answer to bytes that are no request."""
        request_id = self._ids.next()
        self._recorder.rejected(problem, request_id)
        lines = VIA_LINE + b"x-request-id: " + request_id + b"\r\n"
        return problem_bytes(problem, request_id=request_id, instance=b"", lines=lines, close=True)

    # What is told to operators

    def describe(self) -> dict[str, object]:
        """The state of this process as JSON, for the admin API.

        `mistakes` of an upstream are what does not add up in its account, held against the attempts that are
        really open at this instant.
        """
        now_ns = perf_counter_ns()
        attempts: Counter[Upstream] = Counter()
        for client in self._clients:
            if client.exchange is not None and client.exchange.open_attempts:
                attempts[client.exchange.upstream] += client.exchange.open_attempts
        return {
            "draining": self._draining,
            "connections": {
                "open": self._client_connections.total,
                "refused": self._client_connections.refused_count,
                "uncounted": self._shared_limits.clients.uncounted,
            },
            "rate_limit": {
                "uncounted": self._shared_limits.callers.uncounted,
                "shared": self._common_limits.describe(),
            },
            "upstreams": {
                name: {**upstream.describe(now_ns), "mistakes": upstream.ledger.check(attempts[upstream])}
                for name, upstream in self.upstreams.items()
            },
            **self.caches.describe(
                {name: destination.template for name, destination in self._destinations.items()}, now_ns
            ),
        }

    def explain(self, question: Question) -> dict[str, object]:
        """What would become of a request, and why. Changes nothing."""
        run = DryRun(
            route=lambda head, path: self._route(head, path),  # noqa: PLW0108 - compiled, a method is no object
            pages=self._pages.keys(),
            keys=None if self._open_to_all else self._keys,
            limiter=self._limiter,
        )
        return run.explain(question, perf_counter_ns())

    # Life

    async def start(self) -> None:
        """Begin to check the replicas and to keep time."""
        self._started = True
        log.info("the data path is %s", accelerator.form())
        self._prober.start()
        self.caches.start()
        self._common_limits.start()
        self._follow_replicas()
        self._sweeper = asyncio.create_task(self._sweep())

    def drain(self) -> None:
        """From now on every answer is its connection's last."""
        self._draining = True
        for client in self._clients:
            client.drain()

    async def stop(self, drain_s: float) -> None:
        """Finish what is under way, for at most so long, and let go of everything."""
        self.drain()
        if self._clients and drain_s:
            # Who asks often learns from an answer that the connection ends, and does not ask into its end.
            await asyncio.sleep(_FAREWELL_S)
        for client in list(self._clients):
            if client.drain() and not has_unread(client.transport):
                client.close()
        if self._clients:
            self._deserted.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(drain_s):
                    await self._deserted.wait()
        for client in list(self._clients):
            client.transport.abort()
        self._sweeper.cancel()
        await self.caches.stop()
        await self._common_limits.stop()
        await self._discovery.stop()
        await self._prober.stop()
        for upstream in self.upstreams.values():
            upstream.close()
        self._recorder.flush()
        # It blocks until the last spans are out, or for two seconds.
        await asyncio.to_thread(self._telemetry.shutdown)

    async def _sweep(self) -> None:
        count = 0
        while True:
            await asyncio.sleep(_SWEEP_S)
            now_ns = perf_counter_ns()
            for client in list(self._clients):
                if client.exchange is not None:
                    client.exchange.expire(now_ns)
            for upstream in self.upstreams.values():
                upstream.sweep(now_ns)
            self._recorder.flush()
            self._shared_limits.catch_up()
            count += 1
            if count % _SLOW_SWEEPS == 0:
                # Tokens are reused for a while; when to make new ones is the signer's decision.
                self._identities.clear()
                for client in list(self._clients):
                    client.sweep(now_ns)
                self.caches.sweep(now_ns)
