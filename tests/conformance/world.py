"""One tenant's world in a running service: makes records of a resource with all that they depend on."""

from dataclasses import dataclass, field
from itertools import count
from typing import Any
from uuid import UUID

import asyncpg
import httpx2

from shared.resources.definition import Resource
from shared.resources.statements import Scope
from shared.testing.services import ServiceUnderTest
from tests.conformance import generator
from tests.conformance.bodies import HOOKS, MAKERS
from tests.conformance.catalogue import Case

Body = dict[str, Any]


@dataclass
class World:
    """A tenant of its own, seen through one resource."""

    case: Case
    service: ServiceUnderTest
    tenant_id: UUID
    client: httpx2.AsyncClient
    database: asyncpg.Pool
    parent: Body | None = None
    numbers: "count[int]" = field(default_factory=lambda: count(1))
    seen: set[str] = field(default_factory=set)

    @property
    def resource(self) -> Resource:
        """The resource under test."""
        return self.case.resource

    def of(self, resource: Resource) -> "World":
        """The same tenant, seen through another resource of the service."""
        case = Case(self.case.service, resource)
        return World(case, self.service, self.tenant_id, self.client, self.database, None, self.numbers)

    async def path(self) -> str:
        """The collection's path; a part's parent is made on first use."""
        declared = self.resource.parent
        if declared is None:
            return self.resource.path
        if self.parent is None:
            self.parent = await self.of(declared.resource).create()
        return self.resource.path.format(parent_id=self.parent["id"])

    async def scope(self) -> Scope:
        """What statements are limited to."""
        await self.path()
        return Scope(self.tenant_id, UUID(self.parent["id"]) if self.parent is not None else None)

    async def body(self, *, whole: bool = True, number: int | None = None) -> Body:
        """A valid body; `whole` has every writable member but the external id."""
        number = next(self.numbers) if number is None else number
        schema = self.resource.writable.model_json_schema()
        references = {one.field: one for one in self.resource.references}
        without = frozenset((*references, "source", "external_id"))
        body = generator.full(schema, number, without=without) if whole else {}
        required = set(schema.get("required", ()))
        body |= {
            name: value
            for name, value in generator.minimal(schema, number).items()
            if name not in body and name not in references
        }
        for name, reference in references.items():
            if name in schema["properties"] and (name in required or whole):
                target = await self._target(reference.target)
                body[name] = [target] if reference.many else target
        hook = HOOKS.get(self.case.name)
        return body if hook is None else await hook(self, body, number)

    async def _target(self, resource: Resource) -> str:
        """A record to refer to; made without references of its own, or a resource that refers to itself never ends."""
        other = self.of(resource)
        return str((await other.create(await other.body(whole=False)))["id"])

    async def create(self, body: Body | None = None, **members: Any) -> Body:
        """A new record through the API, or however the resource's records come about."""
        maker = MAKERS.get(self.case.name)
        if maker is not None:
            return await maker(self)
        body = (body if body is not None else await self.body()) | members
        answer = await self.client.post(await self.path(), json=body)
        assert answer.status_code == 201, f"{self.case.name}: {answer.text}\n{body}"
        created: Body = answer.json()
        return created

    async def one_path(self, record: Body) -> str:
        """The path of a record."""
        return f"{await self.path()}/{record['id']}"

    async def get(self, record_id: object) -> Body:
        """A record as the API answers it."""
        answer = await self.client.get(f"{await self.path()}/{record_id}")
        assert answer.status_code == 200, answer.text
        found: Body = answer.json()
        return found

    async def ids(self, **params: Any) -> list[str]:
        """The ids of one page; a filter is written `{"filter[name]": ...}`."""
        answer = await self.client.get(await self.path(), params={"limit": "200", **params})
        assert answer.status_code == 200, f"{params}: {answer.text}"
        return [one["id"] for one in answer.json()["data"]]

    async def walk(self, **params: Any) -> list[str]:
        """The ids of every page."""
        found: list[str] = []
        cursor: dict[str, str] = {}
        while True:
            answer = await self.client.get(await self.path(), params={"limit": "200", **params, **cursor})
            assert answer.status_code == 200, f"{params}: {answer.text}"
            page = answer.json()
            found += [one["id"] for one in page["data"]]
            if not page["has_more"]:
                assert page["next_cursor"] is None
                return found
            cursor = {"cursor": page["next_cursor"]}

    @property
    def text_member(self) -> str:
        """A writable member that takes any short text."""
        schema = self.resource.writable.model_json_schema()
        for name, member in schema["properties"].items():
            plain = generator.resolved(member, schema)
            free = not {"format", "pattern", "enum", "const"} & set(plain)
            if plain.get("type") == "string" and free and name not in ("source", "external_id"):
                return str(name)
        raise LookupError(f"{self.case.name} has no plain text member")
