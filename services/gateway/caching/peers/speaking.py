"""Speaking for a gateway: being registered, proving what is known, stamping what others tell."""

import asyncio
import logging
import secrets
from collections.abc import Mapping, Sequence
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, Final

from services.gateway.caching.peers.board import Board
from services.gateway.caching.peers.messages import Written, acknowledgement
from services.gateway.caching.peers.proving import Prover
from services.gateway.caching.peers.registry import Registry
from services.gateway.caching.peers.roll import Roll, Settle, Strike
from services.gateway.caching.peers.rule import PeersRule
from services.gateway.caching.peers.standing import Standing
from services.gateway.caching.second.link import ServerError

if TYPE_CHECKING:
    from services.gateway.caching.coherence import Coherence
    from services.gateway.resilience.upstream import Upstream
    from shared.identity.signer import IdentitySigner

log = logging.getLogger("kontor.gateway.peers")

_AGAIN_S: Final = 0.1
_FAREWELL_S: Final = 0.5

Upstreams = Mapping[str, "tuple[Upstream, Coherence]"]


class Speaker:
    """One worker's part, for as long as it is elected (`run`)."""

    def __init__(
        self, rule: PeersRule, board: Board, registry: Registry | None, signer: "IdentitySigner"
    ) -> None:
        self._rule = rule
        self._board = board
        self._registry = registry
        self._signer = signer
        self._upstreams: dict[str, tuple[Upstream, Coherence]] = {}
        self._provers: dict[str, Prover] = {}
        self._standing = Standing(rule, registers=registry is not None)
        self._roll = Roll(rule, "")
        self._running = False
        self._heard = self._lapses = self._failures = 0

    def follow(self, upstreams: Upstreams) -> None:
        """These are the upstreams from now on."""
        self._upstreams = dict(upstreams)
        if self._running:
            self._prove()

    def heed(self, message: bytes) -> None:
        """Another gateway tells of a write. Raises `ValueError` for anything else."""
        written = Written.decode(message)
        own = self._board.gateway
        if self._registry is None or written.gateway == own or not self._board.elected:
            return
        now_ns = perf_counter_ns()
        for upstream, coherence in self._upstreams.values():
            if upstream.plan.audience == written.audience:
                coherence.changed_elsewhere(written.tenant, written.tags, now_ns)
        self._heard += 1
        self._registry.acknowledge(written.reply, acknowledgement(written.number, own))

    async def run(self) -> None:
        """Until cancelled. Then nothing is used any more, and nobody has to wait for us."""
        self._standing = Standing(self._rule, registers=self._registry is not None)
        self._roll = Roll(self._rule, self._board.gateway)
        self._running = True
        self._prove()
        try:
            if self._registry is None:
                await asyncio.Event().wait()
            else:
                await self._stay_registered(self._registry)
        finally:
            self._running = False
            provers, self._provers = self._provers, {}
            await asyncio.gather(*(prover.stop() for prover in provers.values()))
            self._board.clear()  # not before nobody proves anything any more, and not after we have left
            if self._registry is not None:
                await self._leave(self._registry)

    async def _stay_registered(self, registry: Registry) -> None:
        while True:
            sent_ns = perf_counter_ns()
            try:
                entered, page = await registry.renew(self._board.gateway, secrets.token_hex(8))
            except ServerError as error:
                log.debug("not registered: %s", error)
                self._failures += 1
                await asyncio.sleep(_AGAIN_S)
                continue
            now_ns = perf_counter_ns()
            before = self._standing.entries
            self._standing.renewed(sent_ns, now_ns, token=page.token, entered=entered, settled=page.settled)
            if self._standing.entries != before:
                for prover in self._provers.values():
                    prover.ask_now()
            self._post()
            errands = self._roll.read(page, now_ns)
            await self._run_errands(registry, errands)
            await asyncio.sleep(_AGAIN_S if errands else self._rule.renew_every_ns / 1e9)

    async def _run_errands(self, registry: Registry, errands: Sequence[Strike | Settle]) -> None:
        for errand in errands:
            try:
                await registry.heed(errand)
            except ServerError as error:
                log.debug("the registry cannot be put in order: %s", error)

    async def _leave(self, registry: Registry) -> None:
        try:
            async with asyncio.timeout(_FAREWELL_S):
                await registry.leave(self._board.gateway)
        except (ServerError, TimeoutError) as error:
            log.info("others will wait for this gateway once more: %s", error or type(error).__name__)

    def _prove(self) -> None:
        """Ask for the changes of all upstreams that there are."""
        for name in self._provers.keys() - self._upstreams.keys():
            self._standing.forget(name)
            self._provers.pop(name).close()
        for name, (upstream, coherence) in self._upstreams.items():
            known = self._provers.get(name)
            if known is not None and known.is_of(upstream.plan.audience, coherence):
                continue
            if known is not None:
                known.close()
            self._provers[name] = prover = Prover(
                name,
                upstream.plan.audience,
                upstream.healthy_addresses,
                self._signer,
                coherence,
                self._rule,
                self._proven,
            )
            prover.start()

    def _proven(self, upstream: str, asked_ns: int) -> None:
        self._standing.proven(upstream, asked_ns)
        self._post_one(upstream)

    def _post(self) -> None:
        for name in self._provers:
            self._post_one(name)

    def _post_one(self, name: str) -> None:
        before_ns = self._board.until_ns(name)
        if 0 < before_ns < perf_counter_ns():
            self._lapses += 1
        self._board.post(name, self._standing.until_ns(name))

    def describe(self, now_ns: int) -> dict[str, Any]:
        """For the admin API."""
        page = self._roll.page
        return {
            "registered": self._standing.kept(now_ns) if self._registry is not None else None,
            "settled": page.settled if self._registry is not None else None,
            "others": self._roll.others if self._registry is not None else None,
            "entries": self._standing.entries,
            "heard": self._heard,
            "lapses": self._lapses,
            "failed_renewals": self._failures,
            "proofs": {name: prover.describe() for name, prover in self._provers.items()},
        }
