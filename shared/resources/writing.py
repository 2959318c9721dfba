"""Changing records: create, update, delete, restore, upsert. Each runs inside the caller's transaction.

A change locks the record's row, so that of two writers with the same entity tag exactly one wins. A change that
changes nothing writes nothing: no new version, no event, and importing the same file twice leaves no trace.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any
from uuid import UUID

from pydantic_core import to_jsonable_python
from sqlalchemy import ColumnElement, func, inspect, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import CompositeProperty
from sqlalchemy.orm.attributes import flag_modified

from shared.database.failures import UNIQUE_VIOLATION, violated_constraint
from shared.database.tables import Record, new_id
from shared.problems import FieldError, Problem, conflict, invalid_fields, not_found, precondition_failed
from shared.resources.bodies import merge_patch, validated
from shared.resources.definition import Reference, Resource, WritableDocument
from shared.resources.etags import check_if_match
from shared.resources.listing import Selection
from shared.resources.reading import Found
from shared.resources.rules import Unit
from shared.resources.statements import Scope, Statements

_LOCK_NAME = text("SELECT pg_advisory_xact_lock(:number)")


@dataclass(frozen=True)
class Written:
    """What a change left behind, and whether the record is new."""

    found: Found
    created: bool = False


class DuplicateKey(Exception):
    """A live record has this unique key already. Which one must be asked once the transaction is undone."""

    def __init__(self, resource: Resource, index: str, tenant_id: UUID, key: Mapping[str, Any]) -> None:
        super().__init__(f"{resource.table}: {', '.join(key)}")
        self.resource = resource
        self.index = index
        self.tenant_id = tenant_id
        self.key = key

    async def problem(self, session: AsyncSession) -> Problem:
        """The 409, naming the record that has the key."""
        model = self.resource.record_model
        same = [self._equal(name, value) for name, value in self.key.items()]
        statement = select(model.id).where(
            model.tenant_id == self.tenant_id, model.deleted_at.is_(None), *same
        )
        holder = (await session.execute(statement)).scalar_one_or_none()
        names = " and ".join(self.key)
        detail = f"Another {self.resource.singular} has this {names} already."
        if holder is None or self.resource.parent is not None:
            return conflict("duplicate_key", detail, fields=list(self.key))
        location = self.resource.location(holder)
        found = conflict(
            "duplicate_key", detail, fields=list(self.key), conflicting_id=str(holder), link=location
        )
        return replace(found, headers={"Link": f'<{location}>; rel="related"'})

    def _equal(self, name: str, value: Any) -> ColumnElement[bool]:
        """As the index compares: without regard to case where it is over `lower(name)`."""
        column = getattr(self.resource.record_model, name)
        table = inspect(self.resource.record_model).local_table
        texts = {
            str(part) for index in table.indexes if index.name == self.index for part in index.expressions
        }
        folded = f"lower({name})" in texts
        equal: ColumnElement[bool] = func.lower(column) == func.lower(value) if folded else column == value
        return equal


class Writer:
    """The write use cases of one resource."""

    def __init__(self, resource: Resource) -> None:
        self._resource = resource
        self._statements = Statements(resource)
        self._whole = Selection(resource.fields)
        self._writable = tuple(resource.writable.model_fields)
        self._json_columns = _json_columns(resource)
        self._unique = resource.unique_indexes

    async def create(self, unit: Unit, scope: Scope, body: Mapping[str, Any], pointer: str = "") -> Written:
        """A new record. Raises 422 for what the document does not take and for references to nothing."""
        await self._require_parent(unit, scope)
        return Written(
            await self._insert(unit, scope, validated(self._resource.writable, body, pointer), pointer), True
        )

    async def update(
        self, unit: Unit, scope: Scope, record_id: UUID, patch: Any, if_match: str | None, pointer: str = ""
    ) -> Written:
        """A merge patch (RFC 7396) on the writable fields. Raises 404, 412, 422."""
        record = await self._locked(unit, scope, record_id)
        check_if_match(if_match, record.version)
        merged = merge_patch(self._writable_values(record), patch)
        return Written(
            await self._change(
                unit, scope, record, validated(self._resource.writable, merged, pointer), pointer
            )
        )

    async def upsert(
        self,
        unit: Unit,
        scope: Scope,
        source: str,
        external_id: str,
        body: Mapping[str, Any],
        if_match: str | None,
        pointer: str = "",
    ) -> Written:
        """Creates or wholly replaces the live record of this external id."""
        named = {"source": source, "external_id": external_id}
        for name, value in named.items():
            if body.get(name, value) != value:
                raise invalid_fields(
                    [
                        FieldError(
                            f"{pointer}/{name}", "differs_from_path", "Must equal the path's, or be absent."
                        )
                    ]
                )
        document = validated(self._resource.writable, {**body, **named}, pointer)
        await unit.session.execute(_LOCK_NAME, {"number": self._name_number(unit, source, external_id)})
        record = await self._named(unit, scope, source, external_id)
        if record is None:
            if if_match is not None:
                raise precondition_failed(f"There is no such {self._resource.singular} yet.")
            await self._require_parent(unit, scope)
            return Written(await self._insert(unit, scope, document, pointer), True)
        check_if_match(if_match, record.version)
        return Written(await self._change(unit, scope, record, document, pointer))

    async def delete(self, unit: Unit, scope: Scope, record_id: UUID, if_match: str | None) -> None:
        """A soft delete. Raises 404, 412."""
        record = await self._locked(unit, scope, record_id)
        check_if_match(if_match, record.version)
        await self._resource.rules.before_delete(unit, record)
        record.deleted_at = unit.now
        await self._store(unit, record)

    async def restore(self, unit: Unit, scope: Scope, record_id: UUID) -> Written:
        """Brings a deleted record back; one that is not deleted is answered as it is. Raises 404, 409."""
        record = await self._locked(unit, scope, record_id, deleted=True)
        if record.deleted_at is not None:
            await self._resource.rules.before_restore(unit, record)
            record.deleted_at = None
            await self._store(unit, record)
        return Written(await self._read_back(unit, scope, record.id))

    async def _insert(self, unit: Unit, scope: Scope, document: WritableDocument, pointer: str) -> Found:
        await self._check_references(unit, document, self._writable, pointer)
        record = self._resource.record_model()
        record.tenant_id, record.id, record.version = unit.tenant_id, new_id(), 1
        record.created_at = record.updated_at = unit.now
        if self._resource.parent is not None:
            setattr(record, self._resource.parent.field, scope.parent_id)
        values = self._column_values(document)
        await self._resource.rules.complete(unit, values, None, pointer)
        for name, value in values.items():
            setattr(record, name, value)
        await self._resource.rules.before_create(unit, record)
        unit.session.add(record)
        await self._flush(unit, record)
        return await self._read_back(unit, scope, record.id)

    def _differs(self, name: str, value: Any, before: Any) -> bool:
        """JSON columns as JSON tells values apart: to Python, true equals 1."""
        if name in self._json_columns:
            return json.dumps(value, sort_keys=True) != json.dumps(before, sort_keys=True)
        return bool(value != before)

    async def _change(
        self, unit: Unit, scope: Scope, record: Record, document: WritableDocument, pointer: str
    ) -> Found:
        values = self._column_values(document)
        await self._resource.rules.complete(unit, values, record, pointer)
        before = {name: getattr(record, name) for name in values}
        changed = [name for name, value in values.items() if self._differs(name, value, before[name])]
        await self._check_references(unit, document, changed, pointer)
        for name in changed:
            setattr(record, name, values[name])
            if name in self._json_columns:
                flag_modified(record, name)  # the session compares as Python does, see `_differs`
        if changed:
            await self._resource.rules.before_update(unit, record, before)
            await self._store(unit, record)
        return await self._read_back(unit, scope, record.id)

    async def _store(self, unit: Unit, record: Record) -> None:
        record.version += 1
        record.updated_at = unit.now
        await self._flush(unit, record)

    async def _flush(self, unit: Unit, record: Record) -> None:
        """Sends the record's row, then whatever the feature adds to it."""
        keys = {
            index: {name: getattr(record, name) for name in names} for index, names in self._unique.items()
        }
        try:
            await unit.session.flush()
        except IntegrityError as error:
            index = violated_constraint(error, UNIQUE_VIOLATION)
            if index in keys:
                raise DuplicateKey(self._resource, index, unit.tenant_id, keys[index]) from error
            raise
        await self._resource.rules.after_write(unit, record)
        await unit.session.flush()

    async def _locked(self, unit: Unit, scope: Scope, record_id: UUID, *, deleted: bool = False) -> Record:
        model = self._resource.record_model
        conditions = [*self._scoped(scope), model.id == record_id]
        if not deleted:
            conditions.append(model.deleted_at.is_(None))
        return await self._one(unit, conditions) or self._missing()

    async def _named(self, unit: Unit, scope: Scope, source: str, external_id: str) -> Record | None:
        model = self._resource.record_model
        named = [model.source == source, model.external_id == external_id, model.deleted_at.is_(None)]
        return await self._one(unit, [*self._scoped(scope), *named])

    async def _one(self, unit: Unit, conditions: list[ColumnElement[bool]]) -> Record | None:
        statement = select(self._resource.record_model).where(*conditions).with_for_update()
        return (await unit.session.execute(statement)).scalar_one_or_none()

    def _scoped(self, scope: Scope) -> list[ColumnElement[bool]]:
        model = self._resource.record_model
        conditions = [model.tenant_id == scope.tenant_id]
        if self._resource.parent is not None:
            conditions.append(getattr(model, self._resource.parent.field) == scope.parent_id)
        return conditions

    def _missing(self) -> Record:
        raise not_found(f"There is no such {self._resource.singular}.")

    async def _require_parent(self, unit: Unit, scope: Scope) -> None:
        if self._resource.parent is None:
            return
        parent = self._resource.parent.resource
        if not await _live_ids(unit, parent.record_model, [scope.parent_id]):
            raise not_found(f"There is no such {parent.singular}.")

    async def _check_references(
        self, unit: Unit, document: WritableDocument, names: tuple[str, ...] | list[str], pointer: str
    ) -> None:
        for reference in self._resource.references:
            value = getattr(document, reference.field, None)
            if reference.field in names and value:
                await _check_reference(unit, reference, value if reference.many else [value], pointer)

    async def _read_back(self, unit: Unit, scope: Scope, record_id: UUID) -> Found:
        """The answer is read as any reader will read it, in the transaction that made it."""
        statement = self._statements.one(scope, record_id, self._whole, deleted=True)
        connection = await unit.session.connection()
        row: Any = (await connection.exec_driver_sql(statement.sql, statement.values)).one()
        return Found(row.body.encode(), row.version, row.id)

    def _column_values(self, document: WritableDocument) -> dict[str, Any]:
        values = {name: getattr(document, name) for name in self._writable}
        return {n: to_jsonable_python(v) if n in self._json_columns else v for n, v in values.items()}

    def _writable_values(self, record: Record) -> dict[str, Any]:
        return {name: to_jsonable_python(getattr(record, name)) for name in self._writable}

    def _name_number(self, unit: Unit, source: str, external_id: str) -> int:
        name = "\0".join((unit.tenant_id.hex, self._resource.table, source, external_id)).encode()
        return int.from_bytes(blake2b(name, digest_size=8).digest(), signed=True)


async def _check_reference(unit: Unit, reference: Reference, ids: list[UUID], pointer: str) -> None:
    known = await _live_ids(unit, reference.target.record_model, ids)
    for position, record_id in enumerate(ids):
        if record_id not in known:
            place = f"{pointer}/{reference.field}" + (f"/{position}" if reference.many else "")
            detail = f"There is no {reference.target.singular} {record_id}."
            raise invalid_fields([FieldError(place, "unknown_reference", detail)])


async def _live_ids(unit: Unit, model: type[Record], ids: Sequence[UUID | None]) -> set[UUID]:
    statement = select(model.id).where(
        model.tenant_id == unit.tenant_id,
        model.id.in_([i for i in ids if i is not None]),
        model.deleted_at.is_(None),
    )
    return set((await unit.session.execute(statement)).scalars())


def _json_columns(resource: Resource) -> frozenset[str]:
    attributes = inspect(resource.model).attrs
    return frozenset(
        name
        for name in resource.writable.model_fields
        if not isinstance(attributes[name], CompositeProperty)
        and isinstance(attributes[name].columns[0].type, JSONB)
    )
