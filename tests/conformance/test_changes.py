"""What an answer contains, and what a write says that it changed, held against everything that can be read.

The proof is by trying: read all there is, write, read all again. Whatever is different now must have carried a tag that
the write names, or a cache would go on showing it.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import httpx2
import pytest

from shared.database.tables import new_id
from shared.events.tags import CHANGED_HEADER, MOST_TAGS
from shared.identity import Identity
from shared.service.definition import Service
from tests.conformance.catalogue import CASES, every_service
from tests.conformance.conftest import Fleet
from tests.conformance.readings import (
    Readings,
    changed_by,
    differing,
    own_targets,
    read_all,
    targets_of,
    unread,
    untold,
)
from tests.conformance.world import World
from tests.conformance.writes import writes_to

Body = dict[str, Any]


@dataclass
class Tenancy:
    """One tenant with a few records of each resource of a service, and every way to read them."""

    worlds: dict[str, World]
    records: dict[str, list[Body]]
    client: httpx2.AsyncClient
    reads: list[str]
    writes: set[tuple[str, str]]
    targets: list[str] = field(default_factory=list)

    async def look_around(self) -> None:
        """Finds out what can be read."""
        self.targets = own_targets(self.reads)
        for path, world in self.worlds.items():
            self.targets += await targets_of(world, self.records[path])
        self.targets = list(dict.fromkeys(self.targets))


@pytest.fixture
async def tenancy(service: Service, fleet: Fleet) -> AsyncIterator[Tenancy]:
    under_test, pool = await fleet.get(service)
    tenant_id, numbers = new_id(), count(1)
    async with under_test.client(tenant_id) as client:
        document = (await client.get("/openapi.json")).json()["paths"]
        worlds = {
            case.resource.path: World(case, under_test, tenant_id, client, pool, numbers=numbers)
            for case in CASES
            if case.service is service
        }
        records: dict[str, list[Body]] = {}
        for path, world in worlds.items():
            records[path] = await _some(world, records)
        made = Tenancy(
            worlds,
            records,
            client,
            [path for path, item in document.items() if "get" in item],
            {(method.upper(), path) for path, item in document.items() for method in item if method != "get"},
        )
        await made.look_around()
        yield made


async def _some(world: World, others: dict[str, list[Body]]) -> list[Body]:
    """Three records: one with all there is, one that belongs to records that are going to change, and a bare one."""
    resource = world.resource
    if resource.parent is not None:
        world.parent = others[resource.parent.resource.path][0]
    if "create" not in resource.operations:
        return [await world.create()]
    first = await world.create()
    known = {**others, resource.path: [first]}
    named: Body = {"source": "elsewhere", "external_id": "1"}
    for reference in resource.references:
        target = known[reference.target.path][0]["id"]
        named[reference.field] = [target] if reference.many else target
    return [
        first,
        await world.create(await world.body() | named),
        await world.create(await world.body(whole=False)),
    ]


@every_service()
async def test_every_read_says_what_it_contains(service: Service, tenancy: Tenancy) -> None:
    assert unread(tenancy.reads, tenancy.targets) == []
    readings = await read_all(tenancy.client, tenancy.targets)
    assert [target for target, one in readings.items() if one.status != 200] == []
    assert [target for target, one in readings.items() if not one.tags] == []
    assert [target for target, one in readings.items() if len(one.tags) > MOST_TAGS] == []


@every_service()
async def test_every_write_names_whatever_it_changes(service: Service, tenancy: Tenancy) -> None:
    done = set()
    for path, world in tenancy.worlds.items():
        async for method, documented, write in writes_to(world, tenancy.records[path]):
            done.add((method, documented))
            before = await read_all(tenancy.client, tenancy.targets)
            answer = await write()
            await _hold(before, await read_all(tenancy.client, before), answer, f"{method} {documented}")
        await tenancy.look_around()  # pages that began to exist are read from now on, too
    assert tenancy.writes - done == set(), "nobody knows what these change"


@every_service()
async def test_the_first_record_of_a_tenant_names_what_comes_with_it(service: Service, fleet: Fleet) -> None:
    under_test, pool = await fleet.get(service)
    for case in (one for one in CASES if one.service is service and one.resource.parent is None):
        if "create" not in case.resource.operations:
            continue
        tenant_id = new_id()
        async with under_test.client(tenant_id) as client:
            targets = [
                one.resource.path for one in CASES if one.service is service and not one.resource.parent
            ]
            targets += own_targets((await client.get("/openapi.json")).json()["paths"])
            before = await read_all(client, targets)
            body = await World(case, under_test, tenant_id, client, pool).body(whole=False)
            answer = await client.post(case.resource.path, json=body)
            await _hold(before, await read_all(client, targets), answer, f"first of {case.name}")


@every_service()
async def test_nothing_depends_on_who_in_the_tenant_asks(
    service: Service, fleet: Fleet, tenancy: Tenancy
) -> None:
    under_test, _ = await fleet.get(service)
    tenant_id = next(iter(tenancy.worlds.values())).tenant_id
    mine = await read_all(tenancy.client, tenancy.targets)
    other = Identity(tenant_id, "key:somebody-else", frozenset({"nothing:read"}))
    async with under_test.client(tenant_id, other.principal) as client:
        theirs = await read_all(client, tenancy.targets)
    assert theirs == mine
    assert {one.visibility for one in mine.values()} == {"tenant"}


@every_service()
async def test_what_is_not_there_is_kept_by_nobody(service: Service, tenancy: Tenancy) -> None:
    for path, world in tenancy.worlds.items():
        answer = await tenancy.client.get(f"{await world.path()}/{new_id()}")
        assert (answer.status_code, answer.headers["cache-control"]) == (404, "no-store"), path


async def _hold(before: Readings, after: Readings, answer: httpx2.Response, what: str) -> None:
    changed = changed_by(answer) if answer.is_success else frozenset()
    assert untold(before, after, changed) == [], f"{what} ({answer.status_code}) changed {sorted(changed)}"
    if answer.is_success:
        assert len(changed) <= MOST_TAGS
    else:
        assert CHANGED_HEADER not in answer.headers
    # And no more than that: a record that is named has become another one.
    singles = {target for target in after if "?" not in target and "by-external-id" not in target}
    different = set(differing(before, after))
    for target in singles & before.keys():
        kind_and_id = _record_tag(target)
        if kind_and_id in changed and before[target].status == after[target].status == 200:
            assert target in different, f"{what} names {target}, which is as it was"


def _record_tag(target: str) -> str:
    """`/v1/tickets/<id>/comments/<id>` is tagged `tickets/comments/<id>`; what is no record's target is no tag."""
    parts = target.removeprefix("/v1/").split("/")
    ids = [part for part in parts if len(part) == 36]
    return "/".join([*(part for part in parts if part not in ids[:-1])]) if ids else ""
