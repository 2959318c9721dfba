"""What the generator cannot know of a resource: the few places where a valid body follows from other records.

A hook gets the generated body and a world in which it may make what the body refers to. A new resource needs one
only when its rules ask for more than its schema says; without it, its very first conformance test says what is missing.
"""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from shared.database.tables import new_id
from tests.conformance import rows

if TYPE_CHECKING:
    from tests.conformance.world import World

Body = dict[str, Any]
Hook = Callable[["World", Body, int], Awaitable[Body]]
Maker = Callable[["World"], Awaitable[Body]]


async def _contact(_world: "World", body: Body, number: int) -> Body:
    return {"family_name": f"Lovelace {number:03}", **body}


async def _pipeline(_world: "World", body: Body, _number: int) -> Body:
    stages = [("New", "open", 10), ("Talking", "open", 50), ("Won", "won", 100), ("Lost", "lost", 0)]
    return body | {
        "stages": [{"name": name, "kind": kind, "probability": chance} for name, kind, chance in stages]
    }


async def _deal(_world: "World", body: Body, _number: int) -> Body:
    """It begins where its pipeline does, so it has not ended."""
    open_deal = _without(body, "stage_id", "closed_on", "loss_reason")
    return open_deal | ({"account_id": str(new_id())} if "account_id" in body else {})


async def _ticket(_world: "World", body: Body, _number: int) -> Body:
    unresolved = _without(body, "resolved_at", "closed_at")
    return unresolved | ({"status": "open"} if "status" in body else {})


def _without(body: Body, *names: str) -> Body:
    return {name: value for name, value in body.items() if name not in names}


HOOKS: dict[str, Hook] = {
    "customers:contacts": _contact,
    "sales:pipelines": _pipeline,
    "sales:deals": _deal,
    "tickets:tickets": _ticket,
}
"""By the case's name."""


async def recorded_with_parent(world: "World") -> Body:
    """A row that its parent's creation left behind, copied as often as more are wanted."""
    path = await world.path()
    before = {one["id"] for one in (await world.client.get(path)).json()["data"]}
    if not world.seen:
        world.seen = {min(before)}
        return await world.get(min(before))
    await rows.copy(world, min(before), 1)
    after = {one["id"] for one in (await world.client.get(path)).json()["data"]}
    return await world.get((after - before).pop())


async def stored_import(world: "World") -> Body:
    """A finished job, without the file that it came from."""
    record_id = new_id()
    await world.database.execute(
        "INSERT INTO imports (tenant_id, id, resource, status, mapping, principal, size_bytes, bytes_read, rows_read,"
        " rows_created, rows_updated, rows_unchanged, rows_failed, cancel_requested)"
        " VALUES ($1, $2, $3, 'completed', '{}', 'tester', 0, 0, 0, 0, 0, 0, 0, false)",
        world.tenant_id,
        record_id,
        f"things{next(world.numbers)}",
    )
    return await world.get(record_id)


MAKERS: dict[str, Maker] = {
    "customers:customers/imports": stored_import,
    "sales:sales/imports": stored_import,
    "tickets:tickets/imports": stored_import,
    "sales:deals/stage-changes": recorded_with_parent,
    "tickets:tickets/events": recorded_with_parent,
}
"""For resources that no POST of their own creates: how one of their records comes about."""
