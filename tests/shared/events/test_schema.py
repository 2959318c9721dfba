"""What the triggers write, whoever makes the change."""

from uuid import UUID

import asyncpg

from shared.database.tables import new_id
from shared.events.recording import act_for
from shared.events.tags import MOST_NAMED
from shared.service.definition import Service
from shared.testing.databases import Templates
from tests.conformance.catalogue import CASES, every_service
from tests.shared.events.logs import add_account, add_accounts, connected, ids_of, read_settled


async def told(reader: asyncpg.Connection) -> list[tuple[str, int, tuple[int, ...]]]:
    """Type, count and versions of all events."""
    return [(one.type, one.change.count, one.change.versions) for one in await read_settled(reader)]


async def test_each_action_is_told(
    writer: asyncpg.Connection, reader: asyncpg.Connection, tenant: UUID
) -> None:
    record_id = await add_account(writer, tenant)
    for change in ("name = 'Other'", "deleted_at = now()", "deleted_at = NULL"):
        await writer.execute(f"UPDATE accounts SET {change}, version = version + 1 WHERE id = $1", record_id)
    await writer.execute("DELETE FROM accounts WHERE id = $1", record_id)
    assert await told(reader) == [
        ("accounts.created", 1, (1,)),
        ("accounts.updated", 1, (2,)),
        ("accounts.deleted", 1, (3,)),
        ("accounts.restored", 1, (4,)),
        ("accounts.deleted", 1, (4,)),
    ]
    assert ids_of(await read_settled(reader)) == [record_id] * 5


async def test_what_leaves_the_version_leaves_the_record(
    writer: asyncpg.Connection, reader: asyncpg.Connection, tenant: UUID
) -> None:
    await add_account(writer, tenant)
    await writer.execute("UPDATE accounts SET updated_at = now()")
    assert len(await told(reader)) == 1


async def test_a_statement_about_nothing_tells_nothing(
    writer: asyncpg.Connection, reader: asyncpg.Connection
) -> None:
    await writer.execute("UPDATE accounts SET version = version + 1")
    await writer.execute("DELETE FROM accounts")
    assert await told(reader) == []


async def test_one_statement_is_one_event_for_each_tenant_and_action(
    writer: asyncpg.Connection, reader: asyncpg.Connection, tenant: UUID
) -> None:
    other = new_id()
    await add_accounts(writer, tenant, [new_id(), new_id()])
    await add_accounts(writer, other, [new_id()])
    half = "CASE WHEN id = (SELECT max(id::text)::uuid FROM accounts) THEN now() END"
    await writer.execute(f"UPDATE accounts SET version = version + 1, deleted_at = {half}")
    events = (await read_settled(reader))[2:]
    assert sorted((one.tenant_id == tenant, one.type, one.change.count) for one in events) == [
        (False, "accounts.deleted", 1),
        (True, "accounts.updated", 2),
    ]


async def test_many_records_are_counted_and_kept_but_not_named(
    writer: asyncpg.Connection, reader: asyncpg.Connection, tenant: UUID
) -> None:
    ids = [new_id() for _ in range(MOST_NAMED + 1)]
    await add_accounts(writer, tenant, ids)
    (event,) = await read_settled(reader)
    assert (event.change.count, event.change.ids, event.change.tags) == (len(ids), (), ["accounts"])
    assert set(await reader.fetchval("SELECT record_ids FROM event_log")) == set(ids)


async def test_an_upsert_tells_what_it_made_and_what_it_changed(
    writer: asyncpg.Connection, reader: asyncpg.Connection, tenant: UUID
) -> None:
    known = await add_account(writer, tenant)
    fresh = new_id()
    await writer.execute(
        "INSERT INTO accounts AS a (tenant_id, id, name) SELECT $1, unnest($2::uuid[]), 'Acme' "
        "ON CONFLICT (tenant_id, id) DO UPDATE SET version = a.version + 1",
        tenant,
        [known, fresh],
    )
    events = (await read_settled(reader))[1:]
    assert {(one.type, one.change.ids) for one in events} == {
        ("accounts.created", (fresh,)),
        ("accounts.updated", (known,)),
    }


async def test_what_is_undone_was_never_told(
    writer: asyncpg.Connection, reader: asyncpg.Connection, tenant: UUID
) -> None:
    async with writer.transaction():
        await add_account(writer, tenant)
        part = writer.transaction()
        await part.start()
        await add_account(writer, tenant)
        await part.rollback()
    assert await told(reader) == [("accounts.created", 1, (1,))]


async def test_it_is_told_who_did_it(
    writer: asyncpg.Connection, reader: asyncpg.Connection, tenant: UUID
) -> None:
    await add_account(writer, tenant)
    await act_for(writer, "key:ada")
    await add_account(writer, tenant)
    assert [one.principal for one in await read_settled(reader)] == ["system", "key:ada"]


@every_service()
async def test_every_resource_is_logged_as_its_kind(service: Service, templates: Templates) -> None:
    """Functions name what they log: a table that somebody forgot, or gave another name, is found here."""
    async with connected(templates.clone(service.name)) as connection:
        for case in (one for one in CASES if one.service is service):
            source = await connection.fetchval(
                "SELECT p.prosrc FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid "
                "WHERE t.tgrelid = to_regclass($1) AND t.tgname = 'event_log_insert'",
                case.resource.table,
            )
            assert source is not None, f"{case.resource.table} is not logged"
            assert f"'{case.resource.kind}'" in source, case.name
            assert (case.resource.parent is not None) == ("array_agg(parent_id)," in source), case.name
