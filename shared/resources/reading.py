"""Reading records: one by its id or external id, and pages of a list."""

import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from shared.database.database import Database
from shared.problems import not_found
from shared.resources.cursors import CursorSigner, Position
from shared.resources.definition import Resource
from shared.resources.listing import ListQuestion, Selection
from shared.resources.statements import Scope, Statement, Statements


@dataclass(frozen=True)
class Found:
    """One record: its JSON, its version and its id."""

    body: bytes
    version: int
    record_id: UUID


@dataclass(frozen=True)
class Page:
    """A page as JSON, and the cursor of the next one."""

    body: bytes
    next_cursor: str | None


class Reader:
    """The read use cases of one resource."""

    def __init__(self, resource: Resource, database: Database, signer: CursorSigner) -> None:
        self._resource = resource
        self._database = database
        self._signer = signer
        self._statements = Statements(resource)
        self._summary = f"SELECT {resource.table}"

    async def one(self, scope: Scope, record_id: UUID, selection: Selection) -> Found:
        """Raises 404 for an id that is unknown, deleted, or another tenant's."""
        return await self._found(self._statements.one(scope, record_id, selection))

    async def one_by_external_id(
        self, scope: Scope, source: str, external_id: str, selection: Selection
    ) -> Found:
        """Raises 404 as `one` does."""
        return await self._found(self._statements.one_by_external_id(scope, source, external_id, selection))

    async def page(self, scope: Scope, question: ListQuestion) -> Page:
        """The page that the question asks for, and its total where it asks for one."""
        after = self._position(scope, question)
        statement = self._statements.page(scope, question, after)
        rows = await self._database.fetch(self._summary, statement.sql, *statement.values)
        if not rows and self._resource.parent is not None:
            await self._require_parent(scope)
        has_more = len(rows) > question.limit
        rows = rows[: question.limit]
        cursor = self._cursor(scope, question, Position(rows[-1][1], rows[-1][2])) if has_more else None
        total = await self._total(scope, question) if question.count is not None else b""
        data = ",".join([row[0] for row in rows]).encode()
        more = b'],"has_more":%b,"next_cursor":%b' % (_json(has_more), _json(cursor))
        return Page(b'{"data":[' + data + more + total + b"}", cursor)

    async def _found(self, statement: Statement) -> Found:
        rows = await self._database.fetch(self._summary, statement.sql, *statement.values)
        if not rows:
            raise not_found(f"There is no such {self._resource.singular}.")
        body, version, record_id = rows[0]
        return Found(body.encode(), version, record_id)

    async def _require_parent(self, scope: Scope) -> None:
        parent = self._resource.parent
        if parent is None or scope.parent_id is None:
            return
        statement = Statements(parent.resource).one(
            Scope(scope.tenant_id), scope.parent_id, Selection(("id",))
        )
        if not await self._database.fetch(
            f"SELECT {parent.resource.table}", statement.sql, *statement.values
        ):
            raise not_found(f"There is no such {parent.resource.singular}.")

    async def _total(self, scope: Scope, question: ListQuestion) -> bytes:
        if question.count == "exact":
            statement = self._statements.count(scope, question)
            rows = await self._database.fetch(self._summary, statement.sql, *statement.values)
            total = rows[0][0]
        else:
            statement = self._statements.estimate(scope, question)
            rows = await self._database.fetch(
                f"EXPLAIN {self._resource.table}", statement.sql, *statement.values
            )
            total = json.loads(rows[0][0])[0]["Plan"]["Plan Rows"]
        return b',"total":%b,"total_accuracy":%b' % (_json(int(total)), _json(question.count))

    def _position(self, scope: Scope, question: ListQuestion) -> Position | None:
        if question.cursor is None:
            return None
        value, record_id = self._signer.read(
            question.cursor, tenant_id=scope.tenant_id, question=self._question(scope, question)
        )
        if isinstance(value, str):
            return Position(self._resource.sorts[question.sort].kind.parse(value), record_id)
        return Position(value, record_id)

    def _cursor(self, scope: Scope, question: ListQuestion, position: Position) -> str:
        return self._signer.write(
            position, tenant_id=scope.tenant_id, question=self._question(scope, question)
        )

    def _question(self, scope: Scope, question: ListQuestion) -> str:
        return f"{self._resource.path} {scope.parent_id} {question.fingerprint}"


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()
