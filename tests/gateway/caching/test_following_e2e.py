"""Following a real service and its database: what others change is stamped, whichever replica dies."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter_ns
from uuid import UUID

import httpx2
import pytest

from services.customers.app import SERVICE
from services.gateway.caching.following import Follower
from services.gateway.caching.stamps import Stamps, scope_of
from shared.database.tables import new_id
from shared.identity import IDENTITY_HEADER, Identity
from shared.identity.signer import IdentitySigner
from shared.testing.databases import Templates
from shared.testing.services import Keys
from tests.gateway.processes import eventually, free_port
from tests.shared.imports.driving import PEOPLE, importing, people

pytestmark = pytest.mark.process
PATIENCE_S = 30


@dataclass
class Replica:
    """A process of the service."""

    process: asyncio.subprocess.Process
    address: str
    signer: IdentitySigner

    async def write(self, tenant: UUID) -> str:
        """Makes a contact, past every gateway; its id."""
        token = self.signer.sign(Identity(tenant, "key:ada", frozenset({"*"})), "customers")
        async with httpx2.AsyncClient(base_url=f"http://{self.address}", trust_env=False) as client:
            answer = await client.post(
                "/v1/contacts", json={"family_name": "Lovelace"}, headers={IDENTITY_HEADER: token}
            )
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])


@asynccontextmanager
async def replica(url: str, keys: Keys) -> AsyncIterator[Replica]:
    port = free_port()
    settings = {
        "PORT": str(port),
        "DATABASE_URL": url,
        "IDENTITY_PUBLIC_KEY_FILE": str(keys.public_file),
        "CURSOR_KEY_FILE": str(keys.cursor_file),
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.customers"),
        env=os.environ | {f"CUSTOMERS_{name}": value for name, value in settings.items()},
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        started = Replica(process, f"127.0.0.1:{port}", IdentitySigner(keys.private_pem))
        async with httpx2.AsyncClient(trust_env=False) as client:
            await eventually(partial(ready, client, started.address))
        yield started
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def ready(client: httpx2.AsyncClient, address: str) -> bool:
    try:
        return (await client.get(f"http://{address}/readyz")).status_code == 200
    except httpx2.TransportError:
        return False


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys.make(tmp_path)


@pytest.fixture
def url(templates: Templates) -> str:
    return templates.clone("customers")


@dataclass
class House:
    """Two replicas, and a worker of the gateway that follows the first of them."""

    followed: Replica
    other: Replica
    follower: Follower
    stamps: Stamps
    tenant: UUID

    @property
    def current(self) -> bool:
        return self.follower.current(perf_counter_ns())

    def changed(self, since_ns: int, *tags: str, tenant: UUID | None = None) -> bool:
        scope = scope_of("customers", tenant or self.tenant)
        return self.stamps.changed_since(self.stamps.slots(scope, [tag.encode() for tag in tags]), since_ns)


@pytest.fixture
async def house(url: str, keys: Keys) -> AsyncIterator[House]:
    stamps = Stamps.private()
    async with replica(url, keys) as one, replica(url, keys) as two:
        signer = IdentitySigner(keys.private_pem)
        addresses = (one.address, two.address)
        # It draws the first one.
        follower = Follower("customers", "customers", lambda: addresses, signer, stamps, lambda: 0.0)
        follower.start()
        house = House(one, two, follower, stamps, new_id())
        await until(lambda: house.current)
        yield house
        await follower.stop()
    stamps.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.005)


async def test_what_is_written_past_the_gateway_is_stamped(house: House) -> None:
    since_ns = perf_counter_ns()
    assert not house.changed(since_ns, "contacts", "contacts/*")
    record_id = await house.other.write(house.tenant)
    await until(lambda: house.changed(since_ns, f"contacts/{record_id}"))
    assert house.changed(since_ns, "contacts/*")
    assert not house.changed(since_ns, "accounts/*")
    assert not house.changed(since_ns, "contacts/*", tenant=new_id())
    assert house.current


async def test_what_is_imported_is_stamped(
    house: House, url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    since_ns = perf_counter_ns()
    async with importing(SERVICE, url, tmp_path_factory.mktemp("importer")) as importer, importer.worker():
        location = await importer.queue(PEOPLE, people(*(f"{n},Ada," for n in range(1_000))))
        assert (await importer.ended(location)).counts[1] == 1_000
        # They are too many to be named: whatever shows any contact is out of date.
        await until(lambda: house.changed(since_ns, "contacts", tenant=importer.tenant_id))
    assert not house.changed(since_ns, "contacts")
    assert house.current


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM])
async def test_when_a_replica_goes_another_one_takes_over_and_nothing_is_missed(
    house: House, how: signal.Signals
) -> None:
    since_ns = perf_counter_ns()
    written: list[str] = []
    enough = asyncio.Event()

    async def write() -> None:
        while not enough.is_set():
            written.append(await house.other.write(house.tenant))

    writing = [asyncio.create_task(write()) for _ in range(3)]
    await until(lambda: len(written) >= 10)
    house.followed.process.send_signal(how)
    await until(lambda: not house.current)
    await until(lambda: house.current)
    enough.set()
    await asyncio.gather(*writing)
    assert house.follower.describe(0)["replica"] == house.other.address
    await until(lambda: all(house.changed(since_ns, f"contacts/{one}") for one in written))
    # It went on where it was: what nobody changed is as good as before.
    assert house.follower.describe(0)["resets"] == 1
    assert not house.changed(since_ns, "accounts", "accounts/*")
