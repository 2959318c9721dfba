"""What was committed since a moment: all of it, once, whatever runs meanwhile."""

from uuid import UUID

import asyncpg
import pytest

from shared.database.tables import new_id
from shared.events.since import Moment, Since, read_since
from tests.shared.events.logs import add_account, add_accounts


async def now(connection: asyncpg.Connection) -> Moment:
    return (await read_since(connection, None)).moment


def records(since: Since, tenant: UUID) -> set[str]:
    return {tag for tag in since.tags.get(tenant, []) if not tag.endswith("*")}


async def test_without_a_moment_only_the_moment_is_told(
    writer: asyncpg.Connection, reader: asyncpg.Connection, tenant: UUID
) -> None:
    await add_account(writer, tenant)
    found = await read_since(reader, None)
    assert (found.reset, found.tags) == (True, {})
    assert Moment.read(str(found.moment)) == found.moment


async def test_what_was_committed_since_is_told_once(
    writer: asyncpg.Connection, reader: asyncpg.Connection, tenant: UUID
) -> None:
    await add_account(writer, tenant)
    before = await now(reader)
    second = await add_account(writer, tenant)
    found = await read_since(reader, before)
    assert (found.reset, found.tags) == (False, {tenant: [f"accounts/{second}", "accounts/*"]})
    assert (await read_since(reader, found.moment)).tags == {}


async def test_nothing_waits_for_an_older_transaction_which_is_told_when_it_commits(
    writer: asyncpg.Connection, other_writer: asyncpg.Connection, reader: asyncpg.Connection, tenant: UUID
) -> None:
    before = await now(reader)
    older = writer.transaction()
    await older.start()
    first = await add_account(writer, tenant)
    second = await add_account(other_writer, tenant)
    early = await read_since(reader, before)
    assert records(early, tenant) == {f"accounts/{second}"}
    third = await add_account(other_writer, tenant)
    between = await read_since(reader, early.moment)
    assert records(between, tenant) == {f"accounts/{third}"}
    await older.commit()
    late = await read_since(reader, between.moment)
    assert records(late, tenant) == {f"accounts/{first}"}
    assert (await read_since(reader, late.moment)).tags == {}


async def test_what_is_rolled_back_is_never_told(
    writer: asyncpg.Connection, reader: asyncpg.Connection, tenant: UUID
) -> None:
    before = await now(reader)
    given_up = writer.transaction()
    await given_up.start()
    await add_account(writer, tenant)
    during = await read_since(reader, before)
    await given_up.rollback()
    assert (during.tags, (await read_since(reader, during.moment)).tags) == ({}, {})


async def test_each_tenant_has_its_own_tags(
    writer: asyncpg.Connection, reader: asyncpg.Connection, tenant: UUID
) -> None:
    other, before = new_id(), await now(reader)
    await add_account(writer, tenant)
    await add_accounts(writer, other, [new_id() for _ in range(60)])
    found = await read_since(reader, before)
    assert set(found.tags) == {tenant, other}
    assert found.tags[other] == ["accounts"]


async def test_too_much_is_not_told_in_part(
    writer: asyncpg.Connection, reader: asyncpg.Connection, tenant: UUID
) -> None:
    before = await now(reader)
    for _ in range(3):
        await add_account(writer, tenant)
    assert not (await read_since(reader, before, limit=3)).reset
    found = await read_since(reader, before, limit=2)
    assert (found.reset, found.tags) == (True, {})


async def test_a_moment_of_another_log_or_ahead_of_this_one_is_not_known(
    writer: asyncpg.Connection, reader: asyncpg.Connection, tenant: UUID
) -> None:
    before = await now(reader)
    await add_account(writer, tenant)
    assert (await read_since(reader, Moment("1", before.snapshot))).reset
    assert (await read_since(reader, Moment(before.log, f"{2**40 + 3}:{2**40 + 3}:"))).reset


@pytest.mark.parametrize("text", ["7@5:5:", "7@5:9:5,6,8"])
def test_a_moment_comes_back_from_its_text(text: str) -> None:
    assert str(Moment.read(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        *("", "5:5:", "@5:5:", "7@5:5", "7@5:5:x", "7@5:4:", "7@0:4:", "7@5:9:4", "7@5:9:9", "7@5:9:6,"),
        *("7@5:9:6,5", f"7@{2**32}:{2**32 + 3}:"),
        *(f"7@5:{2**63}:", "7@5:9:" + ",".join(["6"] * 9_000), "7@5:5:\n"),
    ],
)
def test_other_texts_are_no_moments(text: str) -> None:
    with pytest.raises(ValueError, match="not a moment"):
        Moment.read(text)
