"""All or nothing, once, and always the same."""

import asyncio
import os
import signal
import subprocess
import sys
import uuid

import asyncpg
import pytest

from deploy.local import seeding
from deploy.local.demo import seeding as demo_seeding
from deploy.local.demo.seeding import seed
from deploy.local.demo.sizes import Sizes
from deploy.local.demo.writing import Filling, WorkspaceInUse
from deploy.local.programs import PROJECT
from shared.testing.databases import Templates
from tests.deploy.demo.workspaces import NOW, SMALL, TABLES, TENANT, Databases

TINY = Sizes(accounts=30, contacts=80, deals=40, tickets=50)


async def test_progress_grows_to_the_whole(templates: Templates) -> None:
    told = await Databases.make(templates).fill(TINY)
    assert told[-1][0] == told[-1][1] > TINY.accounts + TINY.contacts + TINY.deals + TINY.tickets
    assert sorted(told) == told
    assert len({total for _, total in told}) == 1


async def test_the_same_instant_gives_the_same_workspace(demo: Databases, templates: Templates) -> None:
    again = Databases.make(templates)
    await again.fill(SMALL)
    assert await again.everything() == await demo.everything()


async def test_a_filled_workspace_is_left_alone(templates: Templates) -> None:
    databases = Databases.make(templates)
    await databases.fill(TINY)
    before = await databases.everything()
    told = await databases.fill(TINY, NOW.replace(year=2027))
    assert told == [(told[0][1], told[0][1])]
    assert await databases.everything() == before


@pytest.mark.parametrize("lost", sorted(TABLES))
async def test_what_is_missing_is_made_to_fit(templates: Templates, lost: str) -> None:
    """As after a death between two of the three commits; a day later."""
    whole = Databases.make(templates)
    await whole.fill(TINY)
    partly = Databases({**whole.urls, lost: templates.clone(lost)})
    before = await whole.everything()
    await partly.fill(TINY, NOW.replace(day=19))
    assert await partly.everything() == before


async def test_a_failure_leaves_nothing_behind(templates: Templates, monkeypatch: pytest.MonkeyPatch) -> None:
    databases = Databases.make(templates)

    async def fail(_: Filling) -> None:
        raise ConnectionError("gone")

    with monkeypatch.context() as patched:
        patched.setattr(Filling, "commit", fail)
        with pytest.raises(ConnectionError):
            await databases.fill(TINY)
    assert not any((await databases.everything()).values())
    await databases.fill(TINY)
    assert all((await databases.everything()).values())


async def test_records_of_others_are_never_touched(templates: Templates) -> None:
    databases = Databases.make(templates)
    connection = await asyncpg.connect(databases.urls["customers"])
    insert = "INSERT INTO accounts (tenant_id, id, name) VALUES ($1, $2, 'Mine')"
    await connection.execute(insert, TENANT, uuid.UUID("01a19f00-0000-7000-8000-000000000000"))
    with pytest.raises(WorkspaceInUse, match="accounts"):
        await databases.fill(TINY)
    await connection.execute("UPDATE accounts SET tenant_id = $1", uuid.UUID(int=5))
    await connection.close()
    await databases.fill(TINY)
    assert await databases.count("customers", "SELECT count(*) FROM accounts") == TINY.accounts + 1


async def test_two_at_once_fill_it_once(templates: Templates) -> None:
    databases = Databases.make(templates)
    await asyncio.gather(databases.fill(TINY), databases.fill(TINY))
    assert await databases.count("tickets", "SELECT count(*) FROM tickets") == TINY.tickets


@pytest.mark.process
async def test_killed_half_way_starts_clean(templates: Templates) -> None:
    databases = Databases.make(templates)
    process = await asyncio.to_thread(_start, databases.urls)
    assert process.stdout is not None
    await asyncio.to_thread(process.stdout.readline)  # the first records are sent, the whole is not
    process.send_signal(signal.SIGKILL)
    process.communicate()
    for service in TABLES:
        await _server_noticed(databases.urls[service])
    assert not any((await databases.everything()).values())
    await databases.fill(TINY)
    assert await databases.count("sales", "SELECT count(*) FROM deals") == TINY.deals


def _start(urls: dict[str, str]) -> "subprocess.Popen[str]":
    order = seeding.order(urls, TENANT)
    return subprocess.Popen(
        [sys.executable, "-m", "deploy.local.seeding"],
        env={**os.environ, **order},
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        text=True,
    )


async def _server_noticed(url: str) -> None:
    """Waits for the dead one's transaction to be undone: it held a lock that only one can have."""
    async with Filling(url, TENANT, "alembic_version"):
        return


def test_the_supervisor_finds_it() -> None:
    assert seeding.GENERATOR == "deploy.local.demo"
    assert demo_seeding.seed is seed
