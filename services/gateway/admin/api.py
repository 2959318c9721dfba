"""The admin API: what the gateway knows, why it decides as it does, and the few things an operator may change."""

import asyncio
import hashlib
import hmac
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Query, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from starlette.requests import Request

from services.gateway.admin import caches, metrics, schemas, sums, traces
from services.gateway.admin.errors import add_error_handlers, not_ready, not_reloaded
from services.gateway.admin.explain import Question
from services.gateway.control.channel import ChannelError, RefusedError
from services.gateway.control.fleet import NotReadyError
from services.gateway.control.parent import Parent
from services.gateway.control.steering import Order
from services.gateway.documents.complaints import DocumentError
from services.gateway.routing.policy import Route
from shared.problems import Problem, bad_query, not_found, unavailable
from shared.version import VERSION

_BEARER = HTTPBearer(auto_error=False, description="The key in GATEWAY_ADMIN_KEY_FILE.")
_CALLERS_KEY = APIKeyHeader(
    name="X-Api-Key", auto_error=False, scheme_name="A caller's key", description="To be tried by `explain`."
)
_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": schemas.Problem, "description": description}
    for status, description in (
        (401, "The admin key is missing or wrong."),
        (404, "There is no such upstream, replica, cache or trace."),
        (422, "A parameter, or the gateway's document, is not in order."),
        (503, "No worker answers."),
    )
}


def create_app(parent: Parent, key: str) -> FastAPI:
    """The application; `key` is what callers must send."""
    app = FastAPI(
        title="Kontor gateway: admin API",
        version=VERSION,
        description=__doc__,
        docs_url=None,
        redoc_url=None,
        openapi_url="/admin/openapi.json",
    )
    app.state.parent = parent
    for part in (router, caches.router, traces.router, metrics.router):
        app.include_router(part, dependencies=[Depends(_key_check(key))], responses=_ERRORS)
    add_error_handlers(app)
    return app


def _key_check(key: str) -> Callable[..., Awaitable[None]]:
    wanted = hashlib.sha256(key.encode()).digest()

    async def check(sent: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)]) -> None:
        # Digests, so that neither the key's content nor its length shows in the time this takes.
        found = hashlib.sha256((sent.credentials if sent else "").encode()).digest()
        if not hmac.compare_digest(found, wanted):
            headers = {"WWW-Authenticate": 'Bearer realm="kontor admin"'}
            raise Problem(
                401, "bad_admin_key", "Unauthorized", "Send the admin key as Bearer.", headers=headers
            )

    return check


def _operated(request: Request) -> Parent:
    parent: Parent = request.app.state.parent
    return parent


Operated = Annotated[Parent, Depends(_operated)]
router = APIRouter(prefix="/admin")


@router.get("/routes", response_model=list[schemas.Route])
async def routes(parent: Operated) -> Any:
    """The routes in force, in the document's order."""
    return [_route(route) for route in (await parent.snapshot()).routes]


@router.get("/upstreams", response_model=list[schemas.Upstream])
async def upstreams(parent: Operated) -> Any:
    """Every upstream with its replicas."""
    return sums.upstreams(await _states(parent), parent.steering.of)


@router.get("/upstreams/{name}", response_model=schemas.Upstream)
async def upstream(parent: Operated, name: str) -> Any:
    """One upstream with its replicas."""
    try:
        return sums.upstream(name, await _states(parent), parent.steering.of)
    except KeyError:
        raise not_found(f"There is no upstream {name}.") from None


@router.post("/upstreams/{name}/replicas/{address}/drain", response_model=schemas.Replica)
async def drain(parent: Operated, name: str, address: str) -> Any:
    """Send a replica nothing new; `active` falls to 0 as it finishes. Survives reloads and workers' deaths."""
    return await _steer(parent, parent.steering.drained(name, address, True))


@router.post("/upstreams/{name}/replicas/{address}/undrain", response_model=schemas.Replica)
async def undrain(parent: Operated, name: str, address: str) -> Any:
    """Use a replica again, with the weight that it had."""
    return await _steer(parent, parent.steering.drained(name, address, False))


@router.put("/upstreams/{name}/replicas/{address}/weight", response_model=schemas.Replica)
async def weigh(parent: Operated, name: str, address: str, body: schemas.Weight) -> Any:
    """Multiply a replica's configured weight. Survives reloads and workers' deaths."""
    return await _steer(parent, parent.steering.weighed(name, address, body.weight))


@router.post("/reload", response_model=schemas.Reloaded)
async def reload(parent: Operated) -> Any:
    """Put the files' present content in force: document and keys, in all workers or in none; nothing under way notices.

    503 names the workers that were not ready for it, and why.
    """
    try:
        return await parent.reload()
    except DocumentError as error:
        raise not_reloaded(error) from error
    except NotReadyError as error:
        raise not_ready(error) from error


@router.get("/ledger", response_model=schemas.Ledger)
async def ledger(parent: Operated) -> Any:
    """The account of every attempt since the workers began, and whether it balances."""
    return sums.ledger(await _states(parent))


@router.get("/workers", response_model=list[schemas.Worker])
async def workers(parent: Operated) -> Any:
    """The worker processes."""
    states = await parent.fleet.ask("state")
    now = asyncio.get_running_loop().time()
    return [
        {
            "number": worker.number,
            "pid": worker.pid,
            "ready": worker.ready,
            "restarts": worker.restarts,
            "age_s": round(now - worker.started_at, 3),
            **_callers(states.get(worker.number)),
        }
        for worker in parent.fleet.workers
    ]


@router.get("/explain", response_model=schemas.Explanation, response_model_exclude_none=True)
async def explain(
    parent: Operated,
    path: Annotated[str, Query(description="The target as sent: path, and query if there is one.")],
    api_key: Annotated[str | None, Security(_CALLERS_KEY)] = None,
    method: str = "GET",
    host: str = "localhost",
    client: Annotated[str, Query(description="The caller's address.")] = "127.0.0.1",
    header: Annotated[list[str] | None, Query(description="`name: value`, as often as needed.")] = None,
    worker: Annotated[int | None, Query(description="Which worker to ask; the first unless told.")] = None,
) -> Any:
    """What would become of a request now, and why: route, key, allowance, deadline, replica. Changes nothing."""
    headers = dict(_header(one) for one in header or ())
    return await _explain(parent, Question(path, method, host, client, api_key, headers), worker)


async def _states(parent: Parent) -> dict[int, Any]:
    found = await parent.fleet.ask("state")
    if not found:
        raise unavailable("No worker answers.")
    return found


def _callers(state: dict[str, Any] | None) -> dict[str, Any]:
    if state is None:
        return {"connections": None, "uncounted": None, "shared_limit": None}
    connections, limit = state["connections"], state["rate_limit"]
    return {
        "connections": connections["open"],
        "uncounted": connections["uncounted"] + limit["uncounted"],
        "shared_limit": limit["shared"],
    }


async def _steer(parent: Parent, order: Order) -> Any:
    if not await parent.knows(order.upstream, order.address):
        raise not_found(f"There is no replica {order.address} of an upstream {order.upstream}.")
    await parent.steer(order)
    found = sums.upstream(order.upstream, await _states(parent), parent.steering.of)
    return next(one for one in found["replicas"] if one["address"] == order.address)


async def _explain(parent: Parent, question: Question, number: int | None) -> dict[str, Any]:
    able = [one for one in parent.fleet.workers if one.ready and number in (None, one.number)]
    if not able:
        raise (
            unavailable("No worker answers.")
            if number is None
            else not_found(f"There is no worker {number}.")
        )
    try:
        answer: dict[str, Any] = await able[0].ask("explain", question=asdict(question))
    except ChannelError as error:
        raise unavailable(f"{error}.") from error
    except RefusedError as error:
        raise bad_query("path", "not_explained", str(error)) from error
    return {"worker": able[0].number, **answer}


def _header(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon:
        raise bad_query("header", "not_a_header", "A header is written `name: value`.")
    return name, value.strip()


def _route(route: Route) -> dict[str, Any]:
    return {
        "name": route.name,
        "prefix": route.prefix,
        "hosts": list(route.hosts),
        "methods": list(route.methods),
        "upstream": route.upstream,
        "policy": route.policy,
        "public": route.public,
        "rewrite": route.rewrite,
        "priority": route.priority.name.lower(),
        "timeout_s": route.timeout_s,
        "attempt_timeout_s": route.attempt_timeout_s,
        "max_retries": route.retry.max_retries,
        "hedged": route.hedging is not None,
        "slow_s": route.slow_s,
    }
