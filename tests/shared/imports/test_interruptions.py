"""Imports that are stopped: by their caller, by a worker's death, or before the upload has come whole."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from deploy.local.ports import free_port
from shared.identity import IDENTITY_HEADER
from shared.imports import job as job_module
from tests.shared.imports.driving import HEADER, PEOPLE, Importer, many_people

MANY = 60_000


async def stored(importer: Importer) -> tuple[int, int]:
    """How many contacts there are, and of how many keys."""
    ((total, distinct),) = await importer.fetch("SELECT count(*), count(DISTINCT external_id) FROM contacts")
    return total, distinct


@pytest.mark.parametrize("on_error", ["skip", "abort"])
async def test_a_cancelled_job_keeps_what_is_committed(
    idle: Importer, monkeypatch: pytest.MonkeyPatch, on_error: str
) -> None:
    monkeypatch.setattr(job_module, "MERGED_ROWS", 1)
    location = await idle.queue({**PEOPLE, "on_error": on_error}, many_people(MANY))
    async with idle.worker():
        await idle.when(location, lambda job: job["rows_read"] > 0)
        response = await idle.client.post(f"{location}/cancellations")
        assert response.status_code == 202
        outcome = await idle.ended(location)
    assert (outcome.status, outcome.job["rows_read"] < MANY) == ("cancelled", True)
    total, distinct = await stored(idle)
    assert total == distinct == (outcome.job["rows_created"] if on_error == "skip" else 0)
    assert (total > 0) == (on_error == "skip")
    assert await idle.fetch("SELECT FROM import_chunks") == []


async def test_a_queued_job_can_be_cancelled(idle: Importer) -> None:
    location = await idle.queue(PEOPLE, many_people(10))
    assert (await idle.client.post(f"{location}/cancellations")).status_code == 202
    async with idle.worker():
        assert (await idle.ended(location)).status == "cancelled"
    assert await stored(idle) == (0, 0)


async def test_another_worker_goes_on_after_one_was_stopped(
    idle: Importer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_module, "MERGED_ROWS", 1)
    location = await idle.queue(PEOPLE, many_people(MANY))
    async with idle.worker():
        await idle.when(location, lambda job: job["rows_read"] > 0)
    assert (await idle.client.get(location)).json()["status"] == "running"
    await finish(idle, location)


@pytest.mark.process
async def test_another_worker_goes_on_after_one_was_killed(idle: Importer) -> None:
    location = await idle.queue(PEOPLE, many_people(MANY))
    async with process(idle, "worker") as killed:
        job = await idle.when(location, lambda job: job["rows_read"] > 0)
        os.kill(killed.pid, signal.SIGKILL)
        await killed.wait()
    assert job["status"] == "running"
    await finish(idle, location)


@pytest.mark.process
async def test_an_upload_that_breaks_off_leaves_nothing(idle: Importer) -> None:
    port = free_port()
    async with process(idle, CUSTOMERS_PORT=str(port)):
        reader, writer = await connect(port)
        part = "--b\r\nContent-Disposition: form-data; name="
        start = (
            f'{part}"mapping"\r\n\r\n{json.dumps(PEOPLE)}\r\n{part}"file"; filename="x.csv"\r\n\r\n'.encode()
        )
        head = [f"POST {idle.path} HTTP/1.1", "Host: test", "Content-Type: multipart/form-data; boundary=b"]
        head += [f"{IDENTITY_HEADER}: {idle.client.headers[IDENTITY_HEADER]}", "Content-Length: 99999999"]
        writer.write("\r\n".join([*head, "", ""]).encode() + start + many_people(100_000))
        await until(idle, "SELECT FROM import_chunks", there=True)
        assert await idle.fetch("SELECT status FROM imports WHERE status <> 'uploading'") == []
        writer.close()
        await until(idle, "SELECT FROM imports", there=False)
        assert await idle.fetch("SELECT FROM import_chunks") == []
        assert reader.at_eof() or await reader.read() == b""


async def finish(idle: Importer, location: str) -> None:
    """Another worker ends the job, and every row is there exactly once."""
    before = await stored(idle)
    assert 0 < before[0] < MANY
    async with idle.worker():
        outcome = await idle.ended(location)
    assert (outcome.status, outcome.counts) == ("completed", (MANY, MANY, 0, 0, 0))
    assert outcome.job["bytes_read"] == outcome.job["size_bytes"] > len(HEADER)
    assert await stored(idle) == (MANY, MANY)
    ((changed,),) = await idle.fetch("SELECT count(*) FROM contacts WHERE version > 1")
    assert changed == 0


@asynccontextmanager
async def process(
    idle: Importer, *arguments: str, **environment: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """The service's own command on the same database."""
    settings = {
        "CUSTOMERS_PORT": "0",
        "CUSTOMERS_DATABASE_URL": idle.database_url,
        "CUSTOMERS_IDENTITY_PUBLIC_KEY_FILE": str(idle.keys.public_file),
        "CUSTOMERS_CURSOR_KEY_FILE": str(idle.keys.cursor_file),
    }
    started = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.customers", *arguments),
        env={**os.environ, **settings, **environment},
    )
    try:
        yield started
    finally:
        if started.returncode is None:
            started.terminate()
        await asyncio.wait_for(started.wait(), 30)


async def connect(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    async with asyncio.timeout(30):
        while True:
            try:
                return await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                await asyncio.sleep(0.05)


async def until(idle: Importer, sql: str, *, there: bool) -> None:
    async with asyncio.timeout(30):
        while True:
            if bool(await idle.fetch(sql)) == there:
                return
            await asyncio.sleep(0.05)
