"""Writers and readers that know what must not be read any more: the check of the cache's coherence.

Each record has one writer, so what that writer was told has succeeded is the least that anybody may read afterwards:
whoever asks later and is shown an earlier version, a deleted record, or a list without a created one was shown an older
state than a write that was acknowledged. What failed or was not answered may have happened or not, and proves nothing.
"""

import asyncio
import json
import os
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

from shared.identity import IDENTITY_HEADER, Identity
from shared.identity.signer import IdentitySigner
from tests.deploy.suite_process import SuiteProcess
from tests.gateway.processes import Process, eventually, free_port

ACCOUNTS = "/v1/accounts"
_LIST = f"{ACCOUNTS}?limit=200"
_COUNT = f"{ACCOUNTS}?limit=1&count=exact"
_WRITES = frozenset({"create", "patch", "delete", "bulk"})
_RECORDS_PER_WRITER = 12
_READS_PER_CONNECTION = 100  # then another one, which another worker may get
_DOOMED = 5
_PATIENCE_S = 15.0
_GONE = 1 << 62
"""In place of a version: deleted."""


class NoAnswerError(Exception):
    """The connection ended before the whole answer was there."""


class Answer(NamedTuple):
    """Header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        return json.loads(self.body)

    @property
    def from_cache(self) -> bool:
        """Whether it was stored, or fetched for somebody else."""
        said = self.headers.get("cache-status", "")
        return "; hit" in said or ("; collapsed" in said and "collapsed=?0" not in said)


class Connection:
    """One connection that asks, and asks again on another one when that has ended."""

    def __init__(self, port: int, headers: dict[str, str]) -> None:
        self._port = port
        self._lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(
        self, method: str, target: str, document: Any = None, headers: dict[str, str] | None = None
    ) -> Answer:
        """The answer. Raises `NoAnswerError`; then nobody knows what became of the request."""
        body = b"" if document is None else json.dumps(document).encode()
        lines = self._lines + "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        if document is not None:
            lines += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        data = f"{method} {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n{lines}\r\n".encode() + body
        try:
            async with asyncio.timeout(_PATIENCE_S):
                if self._streams is None:
                    self._streams = await asyncio.open_connection("127.0.0.1", self._port)
                self._streams[1].write(data)
                return await self._answer(self._streams[0])
        except (OSError, EOFError, TimeoutError) as error:
            self.close()
            raise NoAnswerError(f"{method} {target}: {error!r}") from error

    async def _answer(self, reader: asyncio.StreamReader) -> Answer:
        status_line, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        status = int(status_line.split(" ")[1])
        length = 0 if status in (204, 304) else int(headers["content-length"])
        body = await reader.readexactly(length)
        if "close" in headers.get("connection", ""):
            self.close()
        return Answer(status, headers, body)

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None


@dataclass
class Record:
    """`acknowledged` is the latest version that its writer was told of, `doomed` that its deletion was asked for."""

    id: str
    acknowledged: int
    doomed: bool = False


@dataclass
class Ledger:
    """What the writers know, and what the readers found."""

    records: dict[str, Record] = field(default_factory=dict)
    """Those that are there, and the last that are not any more."""
    gone: int = 0
    """Records whose deletion was acknowledged."""
    started: int = 0
    """Records whose creation was asked for."""
    reads: Counter[str] = field(default_factory=Counter)
    hits: Counter[str] = field(default_factory=Counter)
    writes: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    stale: list[str] = field(default_factory=list)

    @property
    def hit_share(self) -> float:
        """Of all reads."""
        return self.hits.total() / max(1, self.reads.total())

    def wrote_in_every_way(self) -> bool:
        """Which kind of write comes next is chance."""
        return self.writes.keys() >= _WRITES

    def bury(self) -> None:
        """Forget the oldest of those whose deletion was asked for: there is little to read of them."""
        doomed = [one for one in self.records.values() if one.doomed]
        for one in doomed[:-_DOOMED]:
            del self.records[one.id]

    def read(self, kind: str, answer: Answer) -> None:
        """A read that was checked."""
        self.reads[kind] += 1
        self.hits[kind] += answer.from_cache

    def complain(self, what: str, answer: Answer) -> None:
        """Somebody was shown an older state."""
        self.stale.append(f"{what}; {answer.headers.get('cache-status')} age {answer.headers.get('age')}")


class Writer:
    """Changes its own records, one write after the other."""

    def __init__(self, ledger: Ledger, connection: Connection, draw: random.Random) -> None:
        self._ledger = ledger
        self._connection = connection
        self._draw = draw
        self._own: list[Record] = []

    async def run(self, stop: asyncio.Event, pause_s: float) -> None:
        """Until told to stop."""
        try:
            while not stop.is_set():
                try:
                    await self._write()
                except NoAnswerError:
                    self._ledger.failures["write: no answer"] += 1
                await asyncio.sleep(pause_s)
        finally:
            self._connection.close()

    async def _write(self) -> None:
        chance = self._draw.random()
        if len(self._own) < _RECORDS_PER_WRITER // 2 or (
            chance < 0.1 and len(self._own) < _RECORDS_PER_WRITER
        ):
            await self._create()
        elif chance < 0.2:
            await self._delete()
        elif chance < 0.35:
            await self._bulk()
        else:
            await self._patch(self._draw.choice(self._own))

    def _done(self, kind: str, answer: Answer, expected: int) -> bool:
        if answer.status == expected:
            self._ledger.writes[kind] += 1
            return True
        self._ledger.failures[f"{kind}: {answer.status}"] += 1
        return False

    async def _create(self) -> None:
        self._ledger.started += 1
        answer = await self._connection.ask("POST", ACCOUNTS, {"name": "New"})
        if self._done("create", answer, 201):
            record = Record(answer.document["id"], 1)
            self._own.append(record)
            self._ledger.records[record.id] = record

    async def _patch(self, record: Record) -> None:
        condition = {"If-Match": f'"{record.acknowledged}"'} if self._draw.random() < 0.8 else None
        name = {"name": f"Name {self._draw.random()}"}
        answer = await self._connection.ask("PATCH", f"{ACCOUNTS}/{record.id}", name, condition)
        if answer.status == 412:  # an earlier one, whose answer we never saw, has happened
            answer = await self._connection.ask("PATCH", f"{ACCOUNTS}/{record.id}", name)
        if self._done("patch", answer, 200):
            record.acknowledged = answer.document["version"]

    async def _delete(self) -> None:
        record = self._own.pop(self._draw.randrange(len(self._own)))
        record.doomed = True
        answer = await self._connection.ask("DELETE", f"{ACCOUNTS}/{record.id}")
        if self._done("delete", answer, 204):
            record.acknowledged = _GONE
            self._ledger.gone += 1
        self._ledger.bury()

    async def _bulk(self) -> None:
        chosen = self._draw.sample(self._own, 3)
        name = {"name": f"Many {self._draw.random()}"}
        items = [{"action": "update", "id": record.id, "body": name} for record in chosen]
        answer = await self._connection.ask("POST", f"{ACCOUNTS}/bulk", {"items": items})
        if self._done("bulk", answer, 200):
            for record, item in zip(chosen, answer.document["items"], strict=True):
                record.acknowledged = item["record"]["version"]


class Reader:
    """Reads whatever there is, in all ways and by all connections, and holds it against the ledger."""

    def __init__(self, ledger: Ledger, connections: Sequence[Connection], draw: random.Random) -> None:
        self._ledger = ledger
        self._connections = connections
        self._connection = connections[0]
        self._draw = draw
        self._seen: dict[str, tuple[str, int]] = {}
        self._ways = (self._one, self._one, self._conditional, self._list, self._count)

    async def run(self, stop: asyncio.Event) -> None:
        """Until told to stop."""
        count = 0
        try:
            while not stop.is_set():
                self._connection = self._draw.choice(self._connections)
                try:
                    await self._draw.choice(self._ways)()
                except NoAnswerError:
                    self._ledger.failures["read: no answer"] += 1
                    await asyncio.sleep(0.01)
                count += 1
                if count % _READS_PER_CONNECTION == 0:
                    self._connection.close()
        finally:
            for connection in self._connections:
                connection.close()

    def _any(self) -> Record | None:
        records = self._ledger.records
        return records[self._draw.choice(list(records))] if records else None

    async def _one(self) -> None:
        record = self._any()
        if record is not None:
            await self._read_one(record, None)

    async def _conditional(self) -> None:
        record = self._any()
        if record is not None:
            await self._read_one(record, self._seen.get(record.id))

    async def _read_one(self, record: Record, known: tuple[str, int] | None) -> None:
        floor = record.acknowledged
        condition = {"If-None-Match": known[0]} if known is not None else None
        answer = await self._connection.ask("GET", f"{ACCOUNTS}/{record.id}", headers=condition)
        if answer.status == 404:
            self._ledger.read("missing", answer)
            if not record.doomed:
                self._ledger.complain(f"{record.id} is said to be missing", answer)
            return
        if answer.status == 304 and known is not None:
            version, kind = known[1], "conditional"
        elif answer.status == 200:
            version, kind = answer.document["version"], "one"
            self._seen[record.id] = answer.headers["etag"], version
        else:
            self._ledger.failures[f"read: {answer.status}"] += 1
            return
        self._ledger.read(kind, answer)
        if version < floor:
            self._ledger.complain(f"{record.id} at {version} after {floor} ({kind})", answer)

    async def _list(self) -> None:
        floors = [(record, record.acknowledged) for record in self._ledger.records.values()]
        answer = await self._connection.ask("GET", _LIST)
        if answer.status != 200:
            self._ledger.failures[f"read: {answer.status}"] += 1
            return
        self._ledger.read("list", answer)
        shown = {one["id"]: one["version"] for one in answer.document["data"]}
        for record, floor in floors:
            version = shown.get(record.id)
            if version is not None and version < floor:
                self._ledger.complain(f"a list has {record.id} at {version} after {floor}", answer)
            elif version is None and not record.doomed:
                self._ledger.complain(f"a list lacks {record.id}", answer)

    async def _count(self) -> None:
        gone = self._ledger.gone
        live = [record for record in self._ledger.records.values() if not record.doomed]
        answer = await self._connection.ask("GET", _COUNT)
        if answer.status != 200:
            self._ledger.failures[f"read: {answer.status}"] += 1
            return
        self._ledger.read("count", answer)
        total = answer.document["total"]
        least = sum(not record.doomed for record in live)
        if not least <= total <= self._ledger.started - gone:
            self._ledger.complain(
                f"{total} are counted, not {least} to {self._ledger.started - gone}", answer
            )


class Gateways:
    """Gateways of our own before the services of a running suite, and the way past them."""

    def __init__(self, suite: SuiteProcess) -> None:
        self._suite = suite
        self._secrets = suite.data / "secrets"
        self.document: dict[str, Any] = json.loads((suite.data / "run" / "gateway.yaml").read_text())
        self._key: str = json.loads((self._secrets / "demo.json").read_text())["api_key"]
        (entry,) = json.loads((self._secrets / "api-keys.yaml").read_text())["keys"]
        self._identity = Identity(UUID(entry["tenant_id"]), "demo", frozenset({"*"}))
        self._signer = IdentitySigner((self._secrets / "identity.pem").read_bytes())

    @contextmanager
    def gateway(self, name: str, workers: int, **sections: Any) -> Iterator["OwnGateway"]:
        """One more, with a memory of its own; `sections` are those of its document that are not the suite's."""
        file = self._suite.state / f"{name}.json"
        document = {**self.document, "workers": workers, "rate_limit": {"enabled": False}, **sections}
        file.write_text(json.dumps(document))
        gateway = OwnGateway(name, file, self._secrets)
        try:
            yield gateway
        finally:
            lines = gateway.stop().splitlines()
            print(*(line for line in lines if "kontor.access" not in line), sep="\n")

    def through(self, gateway: "OwnGateway") -> Connection:
        """A caller of that gateway."""
        return Connection(gateway.port, {"Authorization": f"Bearer {self._key}"})

    def past(self, replica: int = 0) -> Connection:
        """A caller of a customers replica, whom no gateway sees."""
        port = self.document["upstreams"]["customers"]["replicas"][replica]["port"]
        return Connection(port, {IDENTITY_HEADER: self._signer.sign(self._identity, "customers")})


class OwnGateway(Process):
    """A gateway with the suite's secrets."""

    def __init__(self, name: str, file: Path, secrets: Path) -> None:
        self.port = free_port()
        super().__init__(
            ["-m", "services.gateway"],
            {
                "GATEWAY_PORT": str(self.port),
                "GATEWAY_CONFIG_FILE": str(file),
                "GATEWAY_IDENTITY_PRIVATE_KEY_FILE": str(secrets / "identity.pem"),
                "GATEWAY_API_KEYS_FILE": str(secrets / "api-keys.yaml"),
                "GATEWAY_INSTANCE": name,
            },
        )

    def workers(self) -> list[int]:
        """The process ids of its workers."""
        pid = self.process.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def rss(self) -> int:
        """Resident memory of its workers in bytes."""
        pages = [int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in self.workers()]
        return sum(pages) * os.sysconf("SC_PAGE_SIZE")


async def serving(connection: Connection) -> None:
    """Wait until what is read there comes from the cache, which it does once the changes are followed."""

    async def stored() -> bool:
        try:
            return (await connection.ask("GET", _LIST)).from_cache
        except NoAnswerError:
            return False

    await eventually(stored)


@asynccontextmanager
async def load(
    ledger: Ledger,
    gateways: Gateways,
    *through: OwnGateway,
    writers: int,
    readers: int,
    pause_s: float,
    seed: int,
) -> AsyncIterator[None]:
    """Writers and readers beside the block, through these gateways in turn; readers change theirs."""
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for number in range(writers):
            connection = gateways.through(through[number % len(through)])
            writer = Writer(ledger, connection, _chance(f"{seed} writer {number}"))
            group.create_task(writer.run(stop, pause_s))
        for number in range(readers):
            connections = [gateways.through(one) for one in through]
            reader = Reader(ledger, connections, _chance(f"{seed} reader {number}"))
            group.create_task(reader.run(stop))
        try:
            yield
        finally:
            stop.set()


def _chance(seed: str) -> random.Random:
    return random.Random(seed)  # noqa: S311 - the same each time


async def reads(ledger: Ledger, count: int, until: Callable[[], bool] = lambda: True) -> None:
    """Wait until so many more reads were checked, and for whatever else must have happened."""
    wanted = ledger.reads.total() + count

    async def enough() -> bool:
        return ledger.reads.total() >= wanted and until()

    await eventually(enough)


async def clear(connection: Connection) -> None:
    """Delete all accounts: the suite is shared with tests that find it empty."""
    while records := (await connection.ask("GET", _LIST)).document["data"]:
        items = [{"action": "delete", "id": one["id"]} for one in records]
        await connection.ask("POST", f"{ACCOUNTS}/bulk", {"items": items})
