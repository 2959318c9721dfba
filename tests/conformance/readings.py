"""Everything of one tenant that a service can be asked, and what it answered: for telling what a change has changed."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx2

from shared.events.tags import CHANGED_HEADER, TAGS_HEADER
from shared.resources.definition import Resource
from tests.conformance.world import World

Body = dict[str, Any]
# Paths that are none of a resource's own reads, with what to put into them.
_OWN_READS = {
    "/v1/deals/summary": ("", "?filter[status]=open", "?q=deal"),
}


@dataclass(frozen=True)
class Reading:
    """One answer: what a cache would keep of it."""

    status: int
    body: bytes
    tags: frozenset[str]
    visibility: str | None
    cache_control: str | None


Readings = Mapping[str, Reading]


async def read_all(client: httpx2.AsyncClient, targets: Iterable[str]) -> dict[str, Reading]:
    """The answers of all these targets."""
    found = {}
    for target in targets:
        answer = await client.get(target)
        assert answer.status_code in (200, 404), f"{target}: {answer.text}"
        found[target] = Reading(
            answer.status_code,
            answer.content,
            frozenset(answer.headers.get(TAGS_HEADER, "").split()),
            answer.headers.get("x-kontor-visibility"),
            answer.headers.get("cache-control"),
        )
    return found


def changed_by(answer: httpx2.Response) -> frozenset[str]:
    """What the answer to a write says that it changed."""
    return frozenset(answer.headers[CHANGED_HEADER].split())


def differing(before: Readings, after: Readings) -> list[str]:
    """The targets whose answers a cache would have kept and that are others now."""
    return [
        target
        for target, reading in before.items()
        if reading.status == 200 and (after[target].status, after[target].body) != (200, reading.body)
    ]


def untold(before: Readings, after: Readings, changed: frozenset[str]) -> list[str]:
    """The answers that have become wrong without the change having named one of their tags: there must be none."""
    return [target for target in differing(before, after) if not before[target].tags & changed]


async def targets_of(world: World, records: Iterable[Body]) -> list[str]:
    """Every form in which the resource's lists and these records can be read."""
    resource, path = world.resource, await world.path()
    targets = [path + query for query in _list_queries(resource)]
    targets += await _later_pages(world.client, path)
    for record in records:
        targets += [f"{path}/{record['id']}{query}" for query in _single_queries(resource)]
        if "upsert" in resource.operations and record.get("external_id"):
            targets.append(external_path(path, record))
        if resource.name.endswith("/imports"):
            targets.append(f"{path}/{record['id']}/errors")
    return targets


def own_targets(documented: Iterable[str]) -> list[str]:
    """The reads that only one service has."""
    return [path + query for path in documented for query in _OWN_READS.get(path, ())]


def external_path(path: str, record: Body) -> str:
    """Where a record is found by its external id."""
    return f"{path}/by-external-id/{quote(record['source'])}/{quote(record['external_id'])}"


def unread(documented: Iterable[str], targets: Iterable[str]) -> list[str]:
    """The documented paths that no target is about."""
    paths = [target.partition("?")[0] for target in targets]
    return [one for one in documented if not any(re.fullmatch(_pattern(one), path) for path in paths)]


def _pattern(path: str) -> str:
    return re.sub(r"\\\{\w+\\\}", r"[^/]+", re.escape(path))


def _list_queries(resource: Resource) -> list[str]:
    queries = ["", "?limit=1", "?count=exact", "?fields=id"]
    if "delete" in resource.operations:
        queries.append("?filter[deleted]=true")
    return queries + _includes(resource)


def _single_queries(resource: Resource) -> list[str]:
    return ["", "?fields=id", *_includes(resource)]


def _includes(resource: Resource) -> list[str]:
    names = list(resource.includes)
    every = [f"?include={','.join(names)}&fields=id"] if len(names) > 1 else []
    return [*(f"?include={name}" for name in names), *every]


async def _later_pages(client: httpx2.AsyncClient, path: str) -> list[str]:
    first = (await client.get(f"{path}?limit=1")).json()
    return [f"{path}?limit=1&cursor={first['next_cursor']}"] if first["has_more"] else []
