"""The other gateways: what they wrote is known here before their callers are answered, and the other way round.

Each worker tells of the writes that it passes on, and waits for the acknowledgements (`telling`). One of them, elected,
does the rest for the gateway (`speaking`). Stamps and proofs are in memory that all workers share (`board`).
"""

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from services.gateway.caching.peers.board import Board, Currency, Current
from services.gateway.caching.peers.plan import PeersPlan
from services.gateway.caching.peers.telling import Teller
from shared.background import ended, telling_failure

if TYPE_CHECKING:
    from services.gateway.caching.coherence import Coherence
    from services.gateway.caching.peers.speaking import Speaker
    from services.gateway.caching.peers.subscription import Subscription
    from services.gateway.caching.second.connection import Servers
    from services.gateway.caching.stamps import Stamps
    from services.gateway.resilience.upstream import Upstream
    from shared.identity.signer import IdentitySigner

log = logging.getLogger("kontor.gateway.peers")
# What goes wrong with others is told where it happens: this is a mistake of ours.
_tell_failure = telling_failure(log, "other gateways are not heeded any more")

_ELECTION_S: Final = 0.1


class Peers:
    """Of one worker, on one event loop, between `start` and `stop`. Without a plan it does nothing at all."""

    def __init__(self, stamps: "Stamps", signer: "IdentitySigner | None") -> None:
        self._signer = signer
        self._board = Board(stamps)
        self._plan: PeersPlan | None = None
        self._started = False
        self._servers: Servers | None = None
        self._teller: Teller | None = None
        self._speaker: Speaker | None = None
        self._subscription: Subscription | None = None
        self._currencies: dict[str, Currency] = {}
        self._upstreams: dict[str, tuple[Upstream, Coherence]] = {}
        self._adding: dict[str, tuple[Upstream, Coherence]] = {}
        self._changing: asyncio.Task[None] | None = None
        self._tasks: list[asyncio.Task[None]] = []

    # What the document says

    def configure(self, plan: PeersPlan | None) -> None:
        """Have these peers from now on, or none. Then each upstream is to be added, and `configured` called."""
        self._adding = {}
        if plan == self._plan:
            return
        self._plan = plan
        self._currencies = {}
        self._teller = self._speaker = self._subscription = None
        before = self._tasks, self._servers
        self._tasks, self._servers = [], None
        if plan is not None:
            self._make(plan)
        if self._started:
            self._changing = asyncio.create_task(self._change(self._changing, *before))

    def add(self, upstream: "Upstream", coherence: "Coherence", followed: Current) -> Current:
        """An upstream that tells of its changes: what tells whether what is stored of it may be used.

        `followed` says whether this worker hears its change feed.
        """
        teller = self._teller
        if teller is None:
            return followed
        name, audience = upstream.name, upstream.plan.audience
        self._adding[name] = upstream, coherence
        coherence.tell = lambda tenant, tags, through: teller.tell(audience, tenant, tags, through)
        known = self._currencies.get(name)
        if known is None or known.followed != followed:
            known = self._currencies[name] = Currency(followed, self._board.place(name))
        return known

    def configured(self) -> None:
        """All upstreams are added that there are."""
        for name in self._upstreams.keys() - self._adding.keys():
            _, coherence = self._upstreams[name]
            coherence.tell = None
            self._currencies.pop(name, None)
        self._upstreams = self._adding
        if self._speaker is not None:
            self._speaker.follow(self._upstreams)

    def _make(self, plan: PeersPlan) -> None:
        # Their imports take half a second, and most gateways are alone.
        from services.gateway.caching.peers.registry import Registry  # noqa: PLC0415
        from services.gateway.caching.peers.speaking import Speaker  # noqa: PLC0415
        from services.gateway.caching.peers.subscription import Subscription  # noqa: PLC0415
        from services.gateway.caching.second.connection import Servers  # noqa: PLC0415

        registry = None
        if plan.servers is not None:
            self._servers = Servers(plan.servers, purpose="the registry of gateways")
            registry = Registry(self._servers, plan.group)
        self._teller = teller = Teller(plan.rule, self._board, registry)
        if self._signer is not None:  # without a key to sign with no service tells us anything
            self._speaker = Speaker(plan.rule, self._board, registry, self._signer)
        if registry is not None:
            writes = registry.writes
            self._subscription = Subscription(
                registry, lambda: [teller.reply, *([writes] if self._board.elected else [])], self._heed
            )

    def _heed(self, channel: bytes, message: bytes) -> None:
        """Something was published."""
        try:
            if self._teller is not None and channel == self._teller.reply:
                self._teller.heed(message)
            elif self._speaker is not None:
                self._speaker.heed(message)
        except ValueError as error:
            log.warning("on a channel of ours: %s", error)

    # Life

    def start(self) -> None:
        """Begin."""
        self._started = True
        self._begin()

    async def stop(self) -> None:
        """Use nothing any more for which others would have to wait, and let go of everything."""
        if self._changing is not None:
            await self._changing
        tasks, self._tasks = self._tasks, []
        await _end(tasks, self._servers)

    async def _change(
        self,
        earlier: asyncio.Task[None] | None,
        tasks: list[asyncio.Task[None]],
        servers: "Servers | None",
    ) -> None:
        """End what was; not before that, begin what is wanted by then: both have one name in the registry."""
        if earlier is not None:
            await earlier
        await _end(tasks, servers)
        self._begin()

    def _begin(self) -> None:
        if self._tasks or self._plan is None:
            return
        if self._servers is not None:
            self._servers.start()
        if self._subscription is not None:
            self._tasks.append(asyncio.create_task(self._subscription.run()))
        if self._speaker is not None:
            self._tasks.append(asyncio.create_task(self._speak(self._speaker)))
        for task in self._tasks:
            task.add_done_callback(_tell_failure)

    async def _speak(self, speaker: "Speaker") -> None:
        """Speak for the gateway as soon as nobody else does."""
        while not self._board.elect():  # noqa: ASYNC110 - the kernel tells nobody of a lock that is free
            await asyncio.sleep(_ELECTION_S)
        log.info("speaks for gateway %s", self._board.gateway)
        if self._subscription is not None:
            self._subscription.again()
        try:
            await speaker.run()
        finally:
            self._board.resign()

    # What it tells of itself

    def describe(self, now_ns: int) -> dict[str, Any] | None:
        """For the admin API; None without peers."""
        speaker = self._speaker
        if self._teller is None:
            return None
        return {
            "gateway": self._board.gateway or None,
            "speaks": self._board.elected,
            "speaker": speaker.describe(now_ns) if speaker is not None and self._board.elected else None,
            "writes": self._teller.describe(),
            "upstreams": {name: self._board.until_ns(name) > now_ns for name in self._currencies},
        }


async def _end(tasks: list[asyncio.Task[None]], servers: "Servers | None") -> None:
    await ended(*tasks)
    if servers is not None:
        await servers.stop()
