"""Performing a change: one transaction, at most once per idempotency key, committed before the answer."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial

from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import Request
from starlette.responses import Response

from shared.database.database import Database
from shared.events.recording import Origin, recorded
from shared.idempotency import Answer, IdempotencyKey, read_key, run_once
from shared.identity import Identity
from shared.resources.rules import Unit
from shared.resources.writing import DuplicateKey
from shared.telemetry.tracecontext import remote_parent

Execute = Callable[[Unit], Awaitable[Answer]]
"""The change itself; it may run more than once, so it starts from its arguments each time."""


async def perform(request: Request, database: Database, payload: bytes, execute: Execute) -> Response:
    """Runs `execute` in a transaction. `payload` is what a repetition with the same key must equal.

    The answer says in its headers what was changed (`shared.events.tags`); so does a repetition's, whose first answer
    may not have come through.
    """
    identity: Identity = request.scope["identity"]
    key = request_key(request, payload)
    caller = remote_parent(request.scope["headers"])
    origin = Origin(identity.principal, caller.traceparent if caller is not None else None)

    async def work(session: AsyncSession) -> Answer:
        unit = Unit(session, identity, datetime.now(UTC))
        return await run_once(session, key, lambda: recorded(session, origin, partial(execute, unit)))

    try:
        answer = await database.write(work, repeatable=key is not None)
    except DuplicateKey as duplicate:
        async with database.session() as session:
            raise await duplicate.problem(session) from duplicate
    return Response(answer.body, answer.status, dict(answer.headers))


def request_key(request: Request, payload: bytes) -> IdempotencyKey | None:
    """The request's idempotency key; only POST and PATCH have one."""
    if request.method not in ("POST", "PATCH"):
        return None
    identity: Identity = request.scope["identity"]
    return read_key(
        request.headers.get("idempotency-key"),
        tenant_id=identity.tenant_id,
        principal=identity.principal,
        method=request.method,
        target=request.url.path,
        payload=payload,
    )
