"""Runs the sources of all upstreams."""

import asyncio
import logging
from collections.abc import Callable, Mapping

from services.gateway.discovery.names import NameLookup
from services.gateway.discovery.polling import PolledSource, Replicas, Source, StaticSource
from services.gateway.discovery.rules import DnsRule, FileRule, SourceRule
from services.gateway.discovery.watched_file import WatchedFile
from shared.background import telling_failure

log = logging.getLogger("kontor.gateway.discovery")
# What goes wrong with a register is told by the source itself: this is a mistake of ours.
_tell_failure = telling_failure(log, "replicas are not looked for any more")


def make_source(upstream: str, rule: SourceRule) -> Source:
    """The source of one upstream's replicas. Asks nobody yet."""
    if isinstance(rule, DnsRule):
        return PolledSource(upstream, NameLookup(upstream, rule), rule.every_s)
    if isinstance(rule, FileRule):
        return PolledSource(upstream, WatchedFile(upstream, rule.path), rule.every_s)
    return StaticSource(rule.replicas)


class Discovery:
    """Tells `on_change` the replicas of an upstream, at first and whenever they change. On one event loop."""

    def __init__(self, on_change: Callable[[str, Replicas], None]) -> None:
        self._on_change = on_change
        self._rules: dict[str, SourceRule] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._ending: set[asyncio.Task[None]] = set()

    def apply(self, rules: Mapping[str, SourceRule]) -> None:
        """Begin with these sources by upstream, or go on with them after a change of the configuration.

        A source whose rule has not changed runs on. Nothing more is told of an upstream that is gone.
        """
        for upstream in [name for name in self._tasks if rules.get(name) != self._rules[name]]:
            self._end(upstream)
        for upstream, rule in rules.items():
            if upstream not in self._tasks:
                self._tasks[upstream] = self._begin(upstream, rule)
        self._rules = dict(rules)

    async def stop(self) -> None:
        """End all; nothing is told any more when this returns."""
        for upstream in list(self._tasks):
            self._end(upstream)
        self._rules = {}
        await asyncio.gather(*self._ending, return_exceptions=True)

    def _begin(self, upstream: str, rule: SourceRule) -> asyncio.Task[None]:
        task = asyncio.create_task(self._follow(upstream, make_source(upstream, rule)))
        task.add_done_callback(_tell_failure)
        return task

    def _end(self, upstream: str) -> None:
        task = self._tasks.pop(upstream)
        task.cancel()
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def _follow(self, upstream: str, source: Source) -> None:
        async for replicas in source.changes():
            self._on_change(upstream, replicas)
