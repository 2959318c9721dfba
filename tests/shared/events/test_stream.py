"""The stream of changes, over a real service and its database."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx2
import pytest

from deploy.local.ports import free_port
from services.customers.app import SERVICE
from shared.asgi import Message
from shared.database.tables import new_id
from shared.events import feed as feed_module
from shared.events import stream as stream_module
from shared.events.access import FOLLOW_SCOPE, GATEWAY, SYSTEM_TENANT
from shared.events.stream import PATH
from shared.events.tags import CHANGED_HEADER, POSITION_HEADER
from shared.identity import IDENTITY_HEADER, Identity
from shared.identity.signer import IdentitySigner
from shared.testing.services import Keys, ServiceUnderTest, running
from tests.shared.events.logs import add_account, add_accounts
from tests.shared.events.streams import PATIENCE_S, StreamReader, following

Follow = Callable[..., AbstractAsyncContextManager[StreamReader]]
PERSON = {"family_name": "Lovelace"}


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys.make(tmp_path)


@pytest.fixture
async def service(url: str, keys: Keys) -> AsyncIterator[ServiceUnderTest]:
    async with running(SERVICE, url, keys) as under_test:
        yield under_test


@pytest.fixture
async def client(service: ServiceUnderTest, tenant: UUID) -> AsyncIterator[httpx2.AsyncClient]:
    async with service.client(tenant, "key:ada") as client:
        yield client


@pytest.fixture
async def follow(service: ServiceUnderTest, keys: Keys) -> Follow:
    signer = IdentitySigner(keys.private_pem)
    async with asyncio.timeout(PATIENCE_S):
        while True:
            async with following(service.app, signer) as reader:
                await reader.messages.get()
                first = await reader.messages.get()
                if b"event: start" in first["body"]:  # until then the log is being connected to
                    return partial(following, service.app, signer)


async def test_a_write_is_told_as_its_answer_has_it(
    follow: Follow, client: httpx2.AsyncClient, tenant: UUID
) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    async with follow() as reader:
        start = await reader.next("start")
        answer = await client.post("/v1/contacts", json=PERSON, headers={"traceparent": trace})
        told = await reader.next("change")
    assert (reader.status, reader.headers["content-type"]) == (200, "text/event-stream")
    assert start.data["reset"] is False
    record = answer.json()
    assert told.data | {"occurred_at": None} == {
        "type": "contacts.created",
        "position": answer.headers[POSITION_HEADER],
        "tenant_id": str(tenant),
        "occurred_at": None,
        "principal": "key:ada",
        "traceparent": trace,
        "count": 1,
        "records": [{"id": record["id"], "version": 1}],
        "tags": answer.headers[CHANGED_HEADER].split(),
    }


async def test_what_nobody_announced_is_found_all_the_same(
    follow: Follow, writer: asyncpg.Connection, tenant: UUID
) -> None:
    async with follow() as reader:
        await reader.next("start")
        record_id = await add_account(writer, tenant)
        (told,) = await reader.changes(1)
    assert told.data["records"] == [{"id": str(record_id), "version": 1}]


async def test_a_reader_goes_on_where_it_was(
    follow: Follow, writer: asyncpg.Connection, tenant: UUID
) -> None:
    async with follow() as reader:
        await reader.next("start")
        await add_account(writer, tenant)
        (seen,) = await reader.changes(1)
    assert seen.id is not None
    missed = [str(await add_account(writer, tenant)) for _ in range(3)]
    for again in ({"headers": {"Last-Event-ID": seen.id}}, {"query": f"after={seen.id}"}):
        async with follow(**again) as reader:
            assert (await reader.next("start")).data["reset"] is False
            assert [one.data["records"][0]["id"] for one in await reader.changes(3)] == missed


async def test_a_heartbeats_place_is_one_to_go_on_from(
    follow: Follow, writer: asyncpg.Connection, tenant: UUID
) -> None:
    await add_account(writer, tenant)
    async with follow() as reader:
        beat = await reader.next("heartbeat")
    later = await add_account(writer, tenant)
    async with follow(query=f"after={beat.id}") as reader:
        (told,) = await reader.changes(1)
    assert told.data["records"][0]["id"] == str(later)


async def test_a_place_in_another_log_begins_anew(
    follow: Follow, writer: asyncpg.Connection, tenant: UUID
) -> None:
    await add_account(writer, tenant)
    async with follow(query="after=1@1.1") as reader:
        start = await reader.next("start")
        assert start.data["reset"] is True
        later = await add_account(writer, tenant)
        (told,) = await reader.changes(1)
    assert told.data["records"][0]["id"] == str(later)


async def cut_off(writer: asyncpg.Connection) -> None:
    """Ends the service's connections, and only those."""
    await writer.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )


async def test_a_service_without_its_log_ends_the_stream(
    follow: Follow, writer: asyncpg.Connection, tenant: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "_AGAIN_S", 3.0)
    await add_account(writer, tenant)
    async with follow() as reader:
        start = await reader.next("start")
        await cut_off(writer)
        missed = await add_account(writer, tenant)
        with pytest.raises(EOFError):
            await reader.next("never")
    again: dict[str, Any] = {"headers": {"Last-Event-ID": start.id}}
    assert await _status(follow, again) == 503
    async with asyncio.timeout(PATIENCE_S):
        while await _status(follow, again) == 503:  # noqa: ASYNC110 (as any caller would)
            await asyncio.sleep(0.05)
    async with follow(**again) as reader:
        (told,) = await reader.changes(1)
    assert told.data["records"][0]["id"] == str(missed)


async def _status(follow: Follow, how: dict[str, Any]) -> int:
    async with follow(**how) as reader:
        message: Message = await reader.messages.get()
        return int(message["status"])


async def test_many_records_are_told_as_their_kind(
    follow: Follow, writer: asyncpg.Connection, tenant: UUID
) -> None:
    async with follow() as reader:
        await reader.next("start")
        await add_accounts(writer, tenant, [new_id() for _ in range(1_000)])
        (told,) = await reader.changes(1)
    assert (told.data["count"], told.data["records"], told.data["tags"]) == (1_000, None, ["accounts"])


async def test_who_waits_for_an_older_transaction_is_told_so(
    follow: Follow, writer: asyncpg.Connection, other_writer: asyncpg.Connection, tenant: UUID
) -> None:
    async with follow() as reader:
        await reader.next("start")
        older = writer.transaction()
        await older.start()
        first = await add_account(writer, tenant)
        second = await add_account(other_writer, tenant)
        while (beat := await reader.next("heartbeat")).data["held"] == 0:
            pass
        assert (beat.data["held"], beat.data["behind_ms"] > 0) == (1, True)
        await older.commit()
        told = await reader.changes(2)
    assert [one.data["records"][0]["id"] for one in told] == [str(first), str(second)]


async def test_who_asks_for_it_early_does_not_wait_and_is_not_told_twice(
    follow: Follow, writer: asyncpg.Connection, other_writer: asyncpg.Connection, tenant: UUID
) -> None:
    async with follow(query="early=true") as reader:
        await reader.next("start")
        older = writer.transaction()
        await older.start()
        first = await add_account(writer, tenant)
        second = await add_account(other_writer, tenant)
        (early,) = await reader.changes(1)
        await older.commit()
        third = await add_account(other_writer, tenant)
        told = await reader.changes(2)
    assert (early.id, early.data["records"][0]["id"]) == (None, str(second))
    assert [one.data["records"][0]["id"] for one in told] == [str(first), str(third)]


@pytest.mark.parametrize(
    "identity",
    [
        Identity(new_id(), "key:ada", frozenset({"*"})),
        Identity(new_id(), "key:ada", frozenset({FOLLOW_SCOPE})),
        Identity(SYSTEM_TENANT, "key:ada", frozenset({"*"})),
    ],
)
async def test_callers_do_not_follow(follow: Follow, identity: Identity) -> None:
    async with follow(identity=identity) as reader:
        body = await reader.body()
    assert (reader.status, '"code": "forbidden"' in body) == (403, True)


async def test_who_is_not_vouched_for_does_not_follow(follow: Follow) -> None:
    async with follow(identity=None) as reader:
        await reader.body()
    assert reader.status == 401


async def test_what_is_no_place_is_refused(follow: Follow) -> None:
    async with follow(query="after=yesterday") as reader:
        body = await reader.body()
    assert (reader.status, "?after" in body) == (400, True)


async def test_what_was_committed_since_a_moment_is_told_at_once(
    follow: Follow, client: httpx2.AsyncClient, tenant: UUID
) -> None:
    async with follow(query="since=") as reader:
        first = json.loads(await reader.body())
    assert (reader.headers["content-type"], first["reset"], first["changes"]) == (
        "application/json",
        True,
        [],
    )
    answer = await client.post("/v1/contacts", json=PERSON)
    async with follow(query=f"since={first['moment']}") as reader:
        second = json.loads(await reader.body())
    changed = answer.headers[CHANGED_HEADER].split()
    assert (second["reset"], second["changes"]) == (False, [{"tenant_id": str(tenant), "tags": changed}])
    async with follow(query=f"since={second['moment']}") as reader:
        assert json.loads(await reader.body())["changes"] == []


async def test_what_is_no_moment_is_refused(follow: Follow) -> None:
    async with follow(query="since=yesterday") as reader:
        body = await reader.body()
    assert (reader.status, "?since" in body) == (400, True)


async def test_callers_do_not_ask_for_what_was_changed(follow: Follow) -> None:
    async with follow(query="since=", identity=Identity(new_id(), "key:ada", frozenset({"*"}))) as reader:
        await reader.body()
    assert reader.status == 403


async def test_it_is_only_read(follow: Follow) -> None:
    async with follow(method="POST") as reader:
        await reader.body()
    assert (reader.status, reader.headers["allow"]) == (405, "GET")


async def test_a_reader_who_takes_nothing_is_let_go(
    follow: Follow, service: ServiceUnderTest, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_module, "_TAKEN_WITHIN_S", 0.01)
    token = IdentitySigner(keys.private_pem).sign(GATEWAY, "customers")
    taken: list[Message] = []

    async def send(message: Message) -> None:
        taken.append(message)
        if len(taken) == 3 and message["body"]:
            await asyncio.Event().wait()

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    headers = [(IDENTITY_HEADER.lower().encode(), token.encode())]
    scope: dict[str, Any] = {
        "type": "http",
        "method": "GET",
        "path": PATH,
        "query_string": b"",
        "headers": headers,
    }
    async with asyncio.timeout(PATIENCE_S):
        await service.app(scope, receive, send)
    assert len(taken) == 4


@asynccontextmanager
async def replica(url: str, keys: Keys) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """A process of the service, and its address."""
    port = free_port()
    settings = {
        "PORT": str(port),
        "DATABASE_URL": url,
        "IDENTITY_PUBLIC_KEY_FILE": str(keys.public_file),
        "CURSOR_KEY_FILE": str(keys.cursor_file),
    }
    environment = os.environ | {f"CUSTOMERS_{name}": value for name, value in settings.items()}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.customers", env=environment, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        address = f"http://127.0.0.1:{port}"
        await _ready(address)
        yield process, address
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _ready(address: str) -> None:
    async with asyncio.timeout(PATIENCE_S), httpx2.AsyncClient(base_url=address) as client:
        while True:
            try:
                if (await client.get("/readyz")).status_code == 200:
                    return
            except httpx2.TransportError:
                await asyncio.sleep(0.05)


@pytest.mark.process
async def test_another_replicas_write_is_told_and_a_stop_ends_the_stream_at_once(
    url: str, keys: Keys, tenant: UUID
) -> None:
    signer = IdentitySigner(keys.private_pem)
    system = {IDENTITY_HEADER: signer.sign(GATEWAY, "customers")}
    ada = {IDENTITY_HEADER: signer.sign(Identity(tenant, "key:ada"), "customers")}
    async with (
        replica(url, keys) as (followed, here),
        replica(url, keys) as (_, there),
        httpx2.AsyncClient(timeout=PATIENCE_S) as client,
        client.stream("GET", here + PATH, headers=system) as answer,
    ):
        assert answer.status_code == 200
        lines = answer.aiter_lines()
        assert [line async for line in _until(lines, "event: start")]
        written = await client.post(f"{there}/v1/contacts", json=PERSON, headers=ada)
        assert written.status_code == 201
        assert [line async for line in _until(lines, "event: change")]
        followed.send_signal(signal.SIGTERM)
        # Far less than the ten seconds for which a service waits for its other answers.
        async with asyncio.timeout(5):
            assert [line async for line in lines]
            assert await followed.wait() == 0


async def _until(lines: AsyncIterator[str], wanted: str) -> AsyncIterator[str]:
    async for line in lines:
        yield line
        if line == wanted:
            return
