"""The registry of gateways at a Valkey or Redis: one hash, which scripts change and read as a whole.

    server    the process that keeps it, and its history: of another one, everything is doubtful
    token     drawn anew whenever it is
    settled   there when it can be relied on
    count     the number of the latest renewal
    member:…  a gateway's latest renewal

It is one key, so that it is lost as a whole or not at all. No time is in it, and no time to live.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Any, Final

from services.gateway.caching.peers.roll import Page, Settle, Strike
from services.gateway.caching.second.connection import Servers
from services.gateway.caching.second.link import Script, ServerError

log = logging.getLogger("kontor.gateway.peers")

_MEMBER: Final = b"member:"
# A script asks by itself who runs it: what the connection knew may be of before a failover.
_SERVER: Final = """
local said = redis.call('INFO', 'server') .. redis.call('INFO', 'replication')
local server = string.match(said, 'run_id:(%x+)') .. string.match(said, 'master_replid:(%x+)')
local same = redis.call('HGET', KEYS[1], 'server') == server
"""
_RENEW: Final = Script(
    _SERVER
    + """
if not same then
  redis.call('HSET', KEYS[1], 'server', server, 'token', ARGV[2])
  redis.call('HDEL', KEYS[1], 'settled')
end
local entered = 1 - redis.call('HEXISTS', KEYS[1], 'member:' .. ARGV[1])
redis.call('HSET', KEYS[1], 'member:' .. ARGV[1], redis.call('HINCRBY', KEYS[1], 'count', 1))
return {entered, redis.call('HGETALL', KEYS[1])}
"""
)
_TELL: Final = Script(
    _SERVER
    + """
redis.call('PUBLISH', ARGV[1], ARGV[2])
if not same or not redis.call('HGET', KEYS[1], 'settled') then
  return false
end
return redis.call('HKEYS', KEYS[1])
"""
)
_SETTLE: Final = Script(
    _SERVER
    + """
if same and redis.call('HGET', KEYS[1], 'token') == ARGV[1] then
  redis.call('HSET', KEYS[1], 'settled', 1)
end
return 1
"""
)
_STRIKE: Final = Script(
    _SERVER
    + """
if same and redis.call('HGET', KEYS[1], 'token') == ARGV[1]
    and redis.call('HGET', KEYS[1], 'member:' .. ARGV[2]) == ARGV[3] then
  redis.call('HDEL', KEYS[1], 'member:' .. ARGV[2])
end
return 1
"""
)


class Registry:
    """Of the gateways that share a `group`."""

    def __init__(self, servers: Servers, group: str) -> None:
        self.servers = servers
        self.key = b"{%b:peers}" % group.encode("ascii")
        self.writes = self.key + b":writes"
        """The channel on which writes are told."""

    async def renew(self, member: str, token: str) -> tuple[bool, Page]:
        """Be registered; whether we were not before, and all that is there. Raises `ServerError`."""
        entered, flat = await self.servers.ask_script(_RENEW, [self.key], member.encode(), token.encode())
        return bool(entered), _page(flat)

    def tell(self, message: bytes, done: Callable[[frozenset[str] | None], None]) -> bool:
        """Tell all of a write; False when nobody can be reached, and `done` is not going to be called.

        It gets those who were registered at that instant; None where that cannot be relied on. It is not called
        either when no answer comes.
        """

        def heed(answer: Any) -> None:
            if isinstance(answer, ServerError):
                log.debug("others could not be told: %s", answer)
            else:
                done(None if answer is None else _members(answer))

        return self.servers.run(_TELL, [self.key], [self.writes, message], heed)

    def acknowledge(self, channel: bytes, message: bytes) -> None:
        """Tell a writer that we know. Should it get lost, the writer waits longer."""
        self.servers.send(self.key, (b"PUBLISH", channel, message), _ignore)

    async def heed(self, errand: Strike | Settle) -> None:
        """Do what is to be done about the registry. Raises `ServerError`."""
        token = errand.token.encode()
        if isinstance(errand, Settle):
            log.info("the registry of gateways is settled")
            await self.servers.ask_script(_SETTLE, [self.key], token)
        else:
            log.warning("gateway %s has gone", errand.member)
            arguments = token, errand.member.encode(), errand.number
            await self.servers.ask_script(_STRIKE, [self.key], *arguments)

    async def leave(self, member: str) -> None:
        """Be registered no more. Raises `ServerError`."""
        await self.servers.ask(self.key, b"HDEL", self.key, _MEMBER + member.encode())


def _ignore(answer: Any) -> None:
    if isinstance(answer, ServerError):
        log.debug("an acknowledgement was not sent: %s", answer)


def _page(flat: Sequence[bytes]) -> Page:
    found = dict(zip(flat[::2], flat[1::2], strict=True))
    members = {
        name.removeprefix(_MEMBER).decode(): int(number)
        for name, number in found.items()
        if name.startswith(_MEMBER)
    }
    return Page(found[b"token"].decode(), b"settled" in found, members)


def _members(names: Sequence[bytes]) -> frozenset[str]:
    return frozenset(name.removeprefix(_MEMBER).decode() for name in names if name.startswith(_MEMBER))
