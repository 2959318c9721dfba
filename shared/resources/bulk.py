"""Many changes in one call: up to 200 items, each with its own outcome, all or none on request."""

from dataclasses import dataclass
from json import dumps
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field

from shared.problems import FieldError, Problem
from shared.resources.definition import Document
from shared.resources.rules import Unit
from shared.resources.statements import Scope
from shared.resources.writing import DuplicateKey, Writer, Written

MAX_ITEMS = 200


class CreateItem(Document):
    """Make a record."""

    action: Literal["create"]
    body: dict[str, Any]


class UpdateItem(Document):
    """Patch a record (RFC 7396); `if_match` is an entity tag as in the header."""

    action: Literal["update"]
    id: UUID
    body: dict[str, Any]
    if_match: str | None = None


class UpsertItem(Document):
    """Create or replace the record of an external id."""

    action: Literal["upsert"]
    source: Annotated[str, Field(min_length=1, max_length=255)]
    external_id: Annotated[str, Field(min_length=1, max_length=255)]
    body: dict[str, Any]


class DeleteItem(Document):
    """Softly delete a record."""

    action: Literal["delete"]
    id: UUID
    if_match: str | None = None


Item = Annotated[CreateItem | UpdateItem | UpsertItem | DeleteItem, Field(discriminator="action")]


class BulkRequest(Document):
    """What a bulk call takes. `all_or_none` undoes everything when one item fails."""

    all_or_none: bool = False
    items: Annotated[list[Item], Field(min_length=1, max_length=MAX_ITEMS)]


@dataclass(frozen=True)
class Outcome:
    """One item's outcome: its status, and its record or its problem."""

    status: int
    record: bytes | None = None
    problem: Problem | None = None


async def apply_items(unit: Unit, scope: Scope, writer: Writer, request: BulkRequest) -> list[Outcome]:
    """Each item in a savepoint of its own, in order. With `all_or_none`, raises the first failure as a 422."""
    outcomes = []
    for number, item in enumerate(request.items):
        outcome = await _attempt(unit, scope, writer, item, number)
        if request.all_or_none and outcome.problem is not None:
            raise _aborted(number, outcome.problem)
        outcomes.append(outcome)
    return outcomes


async def _attempt(unit: Unit, scope: Scope, writer: Writer, item: Item, number: int) -> Outcome:
    try:
        async with unit.session.begin_nested():
            written = await _apply(unit, scope, writer, item, f"/items/{number}/body")
    except Problem as problem:
        return Outcome(problem.status, problem=problem)
    except DuplicateKey as duplicate:
        return Outcome(409, problem=await duplicate.problem(unit.session))
    if written is None:
        return Outcome(204)
    return Outcome(201 if written.created else 200, record=written.found.body)


async def _apply(unit: Unit, scope: Scope, writer: Writer, item: Item, pointer: str) -> Written | None:
    match item:
        case CreateItem():
            return await writer.create(unit, scope, item.body, pointer)
        case UpdateItem():
            return await writer.update(unit, scope, item.id, item.body, item.if_match, pointer)
        case UpsertItem():
            return await writer.upsert(unit, scope, item.source, item.external_id, item.body, None, pointer)
        case DeleteItem():
            await writer.delete(unit, scope, item.id, item.if_match)
            return None


def _aborted(number: int, cause: Problem) -> Problem:
    errors = cause.errors or [FieldError(f"/items/{number}", cause.code, cause.detail or cause.title)]
    detail = f"Item {number} failed, so nothing was changed: {cause.detail or cause.title}"
    return Problem(422, "bulk_aborted", "Nothing was changed", detail, errors=errors, extra=dict(cause.extra))


def render_outcomes(outcomes: list[Outcome], *, request_id: str, instance: str) -> bytes:
    """The answer's body."""
    items = [_rendered(outcome, request_id, instance) for outcome in outcomes]
    return b'{"items":[' + b",".join(items) + b"]}"


def _rendered(outcome: Outcome, request_id: str, instance: str) -> bytes:
    member = b""
    if outcome.problem is not None:
        member = (
            b',"problem":'
            + dumps(outcome.problem.document(request_id=request_id, instance=instance)).encode()
        )
    elif outcome.record is not None:
        member = b',"record":' + outcome.record
    return b'{"status":%d%b}' % (outcome.status, member)
