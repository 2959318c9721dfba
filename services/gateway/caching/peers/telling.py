"""Telling other gateways of a write, and answering its caller when they know."""

import asyncio
import secrets
from collections import Counter
from collections.abc import Callable
from time import perf_counter_ns
from typing import Any, Protocol, TypeAlias

from services.gateway.caching.peers.messages import Written, read_acknowledgement
from services.gateway.caching.peers.notice import Notice
from services.gateway.caching.peers.rule import PeersRule

Through: TypeAlias = Callable[[], None]
Members: TypeAlias = frozenset[str] | None


class Telling(Protocol):
    """Where writes are told; `Registry` is one."""

    @property
    def key(self) -> bytes:
        """What its channels are called after."""

    def tell(self, message: bytes, done: Callable[[Members], None]) -> bool:
        """Tell all; `done` gets who was registered at that instant, None where nobody knows. Not within this call."""


class Named(Protocol):
    """What knows the gateway's name; `Board` is one."""

    @property
    def gateway(self) -> str:
        """Empty while it has none."""


class _Write:
    """One whose caller waits."""

    __slots__ = ("began_ns", "due_ns", "notice", "through", "timer")

    def __init__(self, began_ns: int, due_ns: int, through: Through, timer: asyncio.TimerHandle) -> None:
        self.began_ns = began_ns
        self.due_ns = due_ns
        self.notice = Notice()
        self.through = through
        self.timer = timer


class Teller:
    """A worker's writes: each is told, and through when all know it, or when it has waited long enough."""

    def __init__(self, rule: PeersRule, named: Named, registry: Telling | None) -> None:
        self._rule = rule
        self._named = named
        self._registry = registry
        self._number = 0
        self._under_way: dict[int, _Write] = {}
        self._counts: Counter[str] = Counter()
        self._waited_ns = 0
        key = registry.key if registry is not None else b""
        self.reply = b"%b:acks:%b" % (key, secrets.token_hex(8).encode("ascii"))
        """The channel on which this worker hears that others know."""

    def tell(self, audience: str, tenant: bytes, tags: tuple[bytes, ...] | None, through: Through) -> None:
        """These were changed (None: anything of the tenant's). `through` is called once, never from here."""
        now_ns = perf_counter_ns()
        self._number = number = self._number + 1
        due_ns = now_ns + self._rule.wait_ns
        self._under_way[number] = _Write(now_ns, due_ns, through, self._wait(number, self._rule.wait_ns))
        if self._registry is not None:
            written = Written(self._named.gateway, self.reply, number, audience, tenant, tags)
            self._registry.tell(written.encode(), lambda members: self._told(number, members))

    def heed(self, message: bytes) -> None:
        """An acknowledgement has come. Raises `ValueError` for anything else."""
        number, gateway = read_acknowledgement(message)
        write = self._under_way.get(number)
        if write is not None and write.notice.acknowledged(gateway):
            self._end(number, write)

    def describe(self) -> dict[str, Any]:
        """Counts of writes by `Notice.state` when their callers were answered, and the time that took, in seconds."""
        return {
            "under_way": len(self._under_way),
            "waited_s": self._waited_ns / 1e9,
            "counts": dict(self._counts),
        }

    def _told(self, number: int, members: Members) -> None:
        write = self._under_way.get(number)
        if write is None:
            return
        own = self._named.gateway
        if members is not None and own:
            # What our own workers know they know by the memory that they share.
            members -= {own}
        if write.notice.told(members):
            self._end(number, write)

    def _wait(self, number: int, ns: int) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(ns / 1e9, self._has_waited, number)

    def _has_waited(self, number: int) -> None:
        write = self._under_way[number]
        left_ns = write.due_ns - perf_counter_ns()
        if left_ns > 0:
            # The event loop's time is that of the beginning of its turn, and whole milliseconds.
            write.timer = self._wait(number, left_ns)
        else:
            self._end(number, write)

    def _end(self, number: int, write: _Write) -> None:
        del self._under_way[number]
        write.timer.cancel()
        self._counts[write.notice.state] += 1
        self._waited_ns += perf_counter_ns() - write.began_ns
        write.through()
