"""The servers that gateways share, Valkey or Redis: one of them, or a cluster.

Each worker process has one connection to each primary. A server that does not answer is left alone, at no cost to
anybody who would have asked it, until a new connection to it has been made and has answered; the first attempt is
made at once, the next after twice as long each time, up to 2 s.

Losing servers costs what they are good for, and nothing else: whoever asks hears at once that nobody can be asked, or
after `timeout_s` at the latest that there is no answer.
"""

import asyncio
import logging
import random
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from time import monotonic
from typing import Any, Final

from redis.asyncio.connection import Connection, SSLConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.crc import key_slot
from redis.credentials import CredentialProvider
from redis.exceptions import AskError, RedisError
from redis.maint_notifications import MaintNotificationsConfig

from services.gateway.caching.following import ReconnectDelay
from services.gateway.caching.second.link import Done, Link, Script, ServerError, answer_of
from services.gateway.caching.second.rule import ServersRule
from shared.background import ended, telling_failure

log = logging.getLogger("kontor.gateway.second")
# What goes wrong with a server is told where it happens: this is a mistake of ours.
_tell_failure = telling_failure(log, "the second level is not used any more")

Address = tuple[str, int]
OBSERVE_S: Final = 1.0
_TOPOLOGY_S: Final = 5.0
_UNSENT: Final = "there is no connection, or too much is waiting"


class _Credentials(CredentialProvider):
    """From a file that is read with every connection, so that a password can be changed without a restart."""

    def __init__(self, rule: ServersRule) -> None:
        self._rule = rule

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        rule = self._rule
        password = rule.password_file.read_text("utf-8").strip() if rule.password_file is not None else ""
        return (rule.username, password) if rule.username is not None else (password,)

    async def get_credentials_async(self) -> tuple[str] | tuple[str, str]:
        return self.get_credentials()  # a few bytes, once per connection


class Slots:
    """Which server of a cluster has which slots, by `CLUSTER SLOTS`. Pure."""

    def __init__(self, said: Sequence[Sequence[Any]], asked: Address) -> None:
        """Raises `ValueError` when it cannot be understood. A server that does not know its host is the `asked` one."""
        try:
            ranges = sorted((int(one[0]), int(one[1]), _address(one[2], asked)) for one in said)
        except (IndexError, TypeError, ValueError) as error:
            raise ValueError(f"not what CLUSTER SLOTS answers: {said!r}") from error
        self._firsts = [first for first, _, _ in ranges]
        self._ranges = ranges
        self.primaries = {address for _, _, address in ranges}

    def address(self, key: bytes) -> Address | None:
        """Of the primary that has a key's slot, None while nobody has it."""
        slot = key_slot(key)
        at = bisect_right(self._firsts, slot) - 1
        if at < 0:
            return None
        _, last, address = self._ranges[at]
        return address if slot <= last else None


def _address(node: Sequence[Any], asked: Address) -> Address:
    host = node[0].decode("ascii") if node[0] else ""
    return host or asked[0], int(node[1])


class Node:
    """A server, or one and its stand-ins: kept connected for as long as it runs."""

    def __init__(self, addresses: Sequence[Address], servers: "Servers") -> None:
        self._addresses = addresses
        self._servers = servers
        self._ended = asyncio.Event()
        self.link: Link | None = None
        self.task = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """Let go of it."""
        await ended(self.task)

    async def _keep(self) -> None:
        delay = ReconnectDelay(self._servers.draw)
        number = 0
        while True:
            began = monotonic()
            address = self._addresses[number % len(self._addresses)]
            number += 1
            ending = await self._use(address)
            self._servers.lost(address, ending)
            await asyncio.sleep(delay.after(monotonic() - began))

    async def _use(self, address: Address) -> str:
        """Be connected for as long as that lasts; why it ended."""
        self._ended.clear()
        link = self._servers.make_link(address, self._ended.set)
        try:
            await link.open()
            self.link = link
            self._servers.found(address)
            while not link.ended:
                try:
                    async with asyncio.timeout(OBSERVE_S):
                        await self._ended.wait()
                except TimeoutError:
                    await link.observe()
        except ServerError as error:
            return str(error)
        finally:
            self.link = None
            await link.close()
        return link.ended


class Servers:
    """On one event loop, between `start` and `stop`. All that is asked goes by a key, which says whom to ask.

    `draw` gives random numbers from 0 to 1. `failures` counts, by kind, what was asked in vain: `unavailable` what
    there was no connection for, `busy` what there was too much of, `lost` what got no answer, and `refused`.
    """

    def __init__(
        self,
        rule: ServersRule,
        draw: Callable[[], float] = random.random,
        purpose: str = "a second level",
    ) -> None:
        """`purpose` is what the log says they are used as."""
        self.rule = rule
        self._purpose = purpose
        self.draw = draw
        self.failures: Counter[str] = Counter()
        self.losses = 0
        self._told: set[Address] = set()
        self._nodes: dict[Address, Node] = {}
        self._slots: Slots | None = None
        self._look = asyncio.Event()
        self._tending: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to connect."""
        if self.rule.cluster:
            self._tending = asyncio.create_task(self._tend())
            self._tending.add_done_callback(_tell_failure)
        else:
            node = Node(self.rule.addresses, self)
            node.task.add_done_callback(_tell_failure)
            self._nodes = {self.rule.addresses[0]: node}

    async def stop(self) -> None:
        """Let go of everything; nothing runs any more when this returns."""
        await ended(self._tending)
        nodes, self._nodes = self._nodes, {}
        await asyncio.gather(*(node.stop() for node in nodes.values()))

    # What can be asked

    def link(self, key: bytes) -> Link | None:
        """The connection to whoever has a key; None while there is none."""
        if not self.rule.cluster:
            return next((node.link for node in self._nodes.values()), None)
        address = self._slots.address(key) if self._slots is not None else None
        node = self._nodes.get(address) if address is not None else None
        return node.link if node is not None else None

    def links(self) -> list[Link]:
        """Those to all primaries that can be asked."""
        return [node.link for node in self._nodes.values() if node.link is not None]

    @property
    def primaries(self) -> int:
        """How many there are, as far as is known; at least one."""
        return len(self._slots.primaries) if self._slots is not None else 1

    def send(self, key: bytes, command: Iterable[bytes | int], done: Done) -> bool:
        """Send a command about a key; False when nobody can be asked, and `done` is not going to be called.

        `done` gets the answer or a `ServerError`, never within this call, within `timeout_s` or so.
        """
        link = self.link(key)
        return self._sent(link, link is not None and link.send(command, self._heeding(done)))

    def run(
        self, script: Script, keys: Sequence[bytes], arguments: Iterable[bytes | int], done: Done
    ) -> bool:
        """Run a script as `send` sends a command. All keys must be of one slot."""
        link = self.link(keys[0])
        return self._sent(link, link is not None and link.run(script, keys, arguments, self._heeding(done)))

    async def ask(self, key: bytes, *command: bytes | int) -> Any:
        """The answer to a command about a key. Raises `ServerError`."""
        return await answer_of(lambda done: self.send(key, command, done), _UNSENT)

    async def ask_script(self, script: Script, keys: Sequence[bytes], *arguments: bytes | int) -> Any:
        """What a script answers. Raises `ServerError`."""
        return await answer_of(lambda done: self.run(script, keys, arguments, done), _UNSENT)

    def describe(self) -> dict[str, Any]:
        """For the admin API: who is connected, and counts."""
        return {
            "cluster": self.rule.cluster,
            "servers": [link.address for link in self.links()],
            "primaries": self.primaries,
            "losses": self.losses,
            "failures": dict(self.failures),
        }

    def _sent(self, link: Link | None, sent: bool) -> bool:
        if not sent:
            self.failures["unavailable" if link is None or link.ended else "busy"] += 1
        return sent

    def _heeding(self, done: Done) -> Done:
        """`done`, after the failure has been counted."""

        def heed(result: Any) -> None:
            if isinstance(result, ServerError):
                self.failures["refused" if result.__cause__ is not None else "lost"] += 1
                if isinstance(result.__cause__, AskError):  # MOVED is one
                    self._look.set()
            done(result)

        return heed

    # Connections

    def make_link(self, address: Address, on_end: Callable[[], None]) -> Link:
        """A connection to be opened."""
        host, port = address
        name = f"{host}:{port}"
        return Link(self.connection(name), name, self.rule.timeout_s, on_end)

    def connection(self, name: str) -> Connection:
        """Another connection, to be opened, to a server by its name (`Link.address`): for who only listens."""
        rule = self.rule
        host, _, port = name.rpartition(":")
        kind: type[Connection] = SSLConnection if rule.tls else Connection
        authorities: dict[str, Any] = {}
        if rule.tls and rule.ca_file is not None:
            authorities["ssl_ca_certs"] = str(rule.ca_file)
        known = rule.username is not None or rule.password_file is not None
        return kind(
            host=host,
            port=int(port),
            db=rule.database,
            credential_provider=_Credentials(rule) if known else None,
            socket_timeout=None,  # the link's own bound
            socket_connect_timeout=rule.connect_timeout_s,
            protocol=2,
            maint_notifications_config=MaintNotificationsConfig(enabled=False),
            client_name="kontor-gateway",
            retry=Retry(NoBackoff(), 0),
            **authorities,
        )

    def found(self, address: Address) -> None:
        """There is a connection now."""
        log.info("%s:%d is used as %s", *address, self._purpose)
        self._told.discard(address)
        self._look.set()

    def lost(self, address: Address, why: str) -> None:
        """There is none any more, or again none."""
        self.losses += 1
        self._look.set()
        if address not in self._told:
            self._told.add(address)
            log.warning("%s:%d cannot be used as %s: %s", *address, self._purpose, why)

    # A cluster

    async def _tend(self) -> None:
        """Keep connected to all primaries, whoever they are at the moment."""
        try:
            while True:
                self._look.clear()
                slots = await self._learn()
                if slots is not None:
                    await self._follow(slots)
                try:
                    async with asyncio.timeout(_TOPOLOGY_S):
                        await self._look.wait()
                except TimeoutError:
                    continue
                await asyncio.sleep(0.1)  # however often they say that they have moved
        finally:
            self._slots = None

    async def _follow(self, slots: Slots) -> None:
        self._slots = slots
        for address in self._nodes.keys() - slots.primaries:
            await self._nodes.pop(address).stop()
        for address in slots.primaries - self._nodes.keys():
            self._nodes[address] = node = Node([address], self)
            node.task.add_done_callback(_tell_failure)

    async def _learn(self) -> Slots | None:
        """Who has what, as the first says that can be asked: rather one we are connected to."""
        for link in self.links():
            host, _, port = link.address.rpartition(":")
            try:
                return Slots(await link.ask(b"CLUSTER", b"SLOTS"), (host, int(port)))
            except (ServerError, ValueError) as error:
                log.debug("%s cannot tell of its cluster: %s", link.address, error)
        for address in self.rule.addresses:
            try:
                return Slots(await self._ask_once(address, "CLUSTER", "SLOTS"), address)
            except (RedisError, OSError, TimeoutError, ValueError) as error:
                self.lost(address, str(error) or type(error).__name__)
        return None

    async def _ask_once(self, address: Address, *command: str) -> Any:
        """Ask a server that need be no primary."""
        connection = self.connection(f"{address[0]}:{address[1]}")
        try:
            async with asyncio.timeout(self.rule.connect_timeout_s):
                await connection.connect()  # type: ignore[no-untyped-call]
                await connection.send_command(*command, check_health=False)
                return await connection.read_response()
        finally:
            await connection.disconnect(nowait=True)
