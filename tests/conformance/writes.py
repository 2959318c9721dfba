"""Every kind of write to a resource, one after the other, for whoever watches what each of them changes."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

import httpx2

from tests.conformance.readings import external_path
from tests.conformance.world import World

Body = dict[str, Any]
Write = tuple[str, str, Callable[[], Awaitable[httpx2.Response]]]
"""Method, documented path, and what does it: all that it needs has been made before."""

_IMPORTABLE = {"customers": "accounts", "sales": "products", "tickets": "tickets"}
_COLUMNS = {"accounts": ("name",), "products": ("name",), "tickets": ("subject", "opened_at")}


async def writes_to(world: World, records: list[Body]) -> AsyncIterator[Write]:
    """The writes that the resource offers, on records that are there; each is done before the next is asked for."""
    operations, path, client = world.resource.operations, await world.path(), world.client
    one, documented = f"{world.resource.path}/{{id}}", world.resource.path
    if "create" in operations:
        yield "POST", documented, partial(client.post, path, json=await world.body())
        yield "POST", documented, partial(client.post, path, json=await world.body(whole=False))
    if "update" in operations:
        for record in records:
            patch = {world.text_member: f"Changed {next(world.numbers)}"}
            yield "PATCH", one, partial(client.patch, f"{path}/{record['id']}", json=patch)
        yield "PATCH", one, partial(client.patch, f"{path}/{records[0]['id']}", json={})
    if "upsert" in operations:
        named = {"source": "elsewhere", "external_id": f"new/{next(world.numbers)}"}
        by_name = f"{world.resource.path}/by-external-id/{{source}}/{{external_id}}"
        for _ in range(3):
            body = await world.body(number=next(world.numbers))
            yield "PUT", by_name, partial(client.put, external_path(path, named), json=body)
    if "delete" in operations:
        for record in records:
            yield "DELETE", one, partial(client.delete, f"{path}/{record['id']}")
            yield "POST", f"{one}/restorations", partial(client.post, f"{path}/{record['id']}/restorations")
    if "bulk" in operations:
        yield (
            "POST",
            f"{documented}/bulk",
            partial(client.post, f"{path}/bulk", json=await _bulk(world, records)),
        )
        many = [{"action": "create", "body": await world.body(whole=False)} for _ in range(120)]
        yield "POST", f"{documented}/bulk", partial(client.post, f"{path}/bulk", json={"items": many})
    async for write in _particular(world, records):
        yield write


async def _bulk(world: World, records: list[Body]) -> Body:
    changed = {world.text_member: f"Changed {next(world.numbers)}"}
    items: list[Body] = [
        {"action": "create", "body": await world.body()},
        {"action": "update", "id": records[0]["id"], "body": changed},
        {"action": "delete", "id": records[-1]["id"]},
        {"action": "update", "id": records[-1]["id"], "body": changed},  # gone: undone by its savepoint
    ]
    return {"items": items}


async def _particular(world: World, records: list[Body]) -> AsyncIterator[Write]:
    """What only some resources offer."""
    client, path, documented = world.client, await world.path(), world.resource.path
    if world.case.name == "sales:deals/stage-changes":
        deal = (await client.get(path.removesuffix("/stage-changes"))).json()
        pipeline = (await client.get(f"/v1/pipelines/{deal['pipeline_id']}")).json()
        for stage in pipeline["stages"]:
            yield "POST", documented, partial(client.post, path, json={"stage_id": stage["id"]})
    if world.case.name == "tickets:tickets/comments":
        spoken = {"body": "We are on it", "visibility": "public", "author_kind": "agent"}
        yield "POST", documented, partial(client.post, path, json=spoken)
    if world.resource.name.endswith("/imports"):
        yield "POST", documented, partial(_upload, world)
        queued = (await client.get(path, params={"filter[status]": "queued"})).json()["data"][0]
        cancel = f"{path}/{queued['id']}/cancellations"
        yield "POST", f"{documented}/{{id}}/cancellations", partial(client.post, cancel)


async def _upload(world: World) -> httpx2.Response:
    name = _IMPORTABLE[world.case.service.name]
    columns = {column: column for column in _COLUMNS[name]}
    mapping = {"resource": name, "key": {"source": "file", "column": "id"}, "columns": columns}
    file = ",".join(("id", *columns)) + "\n"
    return await world.client.post(
        await world.path(),
        files=[
            ("mapping", (None, json.dumps(mapping), "application/json")),
            ("file", ("file.csv", file, "text/csv")),
        ],
    )
