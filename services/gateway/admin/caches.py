"""The routes' caches: how well they do, what is in them, another policy, and purging."""

import asyncio
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from starlette.requests import Request

from services.gateway.admin import cache_schemas as schemas
from services.gateway.admin import cache_sums as sums
from services.gateway.caching.eviction.ghost_log import GhostLog
from services.gateway.control.parent import Parent
from shared.problems import Problem, not_found, unavailable


def _operated(request: Request) -> Parent:
    parent: Parent = request.app.state.parent
    return parent


Operated = Annotated[Parent, Depends(_operated)]
router = APIRouter(prefix="/admin/caches")


@router.get("", response_model=list[schemas.Cache])
async def caches(parent: Operated) -> Any:
    """Every route's cache: size, hit ratio, what was not stored and why, what was dropped."""
    return sums.caches(await _ask(parent, "state"))


@router.get("/second", response_model=schemas.Second)
async def second(parent: Operated) -> Any:
    """The second level, which gateways share: who is connected, what it was good for, and what failed."""
    try:
        return sums.second(await _ask(parent, "state"))
    except KeyError:
        raise not_found("There is no second level: the document has no shared_cache.") from None


@router.get("/peers", response_model=schemas.Peers)
async def peers(parent: Operated) -> Any:
    """Other gateways: whether they can rely on this one, what writes wait for, and what could not be used."""
    try:
        return sums.peers(await _ask(parent, "state"))
    except KeyError:
        raise not_found("This gateway is alone: the document has no peers.") from None


@router.post("/purge", response_model=schemas.Purged)
async def purge(parent: Operated, order: schemas.PurgeOrder) -> Any:
    """Drop what is stored, in all workers: by tag, of an address, of all that begin alike, or all of a route."""
    tenant = UUID(order.tenant).hex if order.tenant is not None else None
    if order.tags is not None:
        told = await _ask(parent, "purge_tags", upstream=order.upstream, tenant=tenant, tags=order.tags)
        missing = not_found(f"There is no upstream {order.upstream} with a cache.")
    else:
        target, prefix = (order.path, False) if order.path is not None else (order.prefix or "", True)
        told = await _ask(
            parent, "purge_route", route=order.route, target=target, prefix=prefix, tenant=tenant
        )
        missing = _missing(str(order.route))
    dropped = _known(told, missing)
    return {"dropped": sum(dropped.values()), "workers": sorted(dropped)}


@router.get("/{route}/policies", response_model=schemas.Policies)
async def policies(parent: Operated, route: str) -> Any:
    """What every policy would have scored on this route's requests, and the optimum in hindsight."""
    logs = _known(await _ask(parent, "ghost_log", route=route), _missing(route))
    # Some 10 to 40 ms each: here no caller waits for it, and not even this process stands still.
    return sums.comparison(route, await asyncio.to_thread(_compared, logs))


@router.get("/{route}/top", response_model=list[schemas.Used])
async def top(parent: Operated, route: str, count: Annotated[int, Query(ge=1, le=500)] = 20) -> Any:
    """What is used most of what is stored. Each worker tells its own, so that the last ones may lack some uses."""
    told = _known(await _ask(parent, "cache_top", route=route, count=count), _missing(route))
    return sums.top(told, count)


@router.post("/{route}/policy", response_model=schemas.Cache)
async def change_policy(parent: Operated, route: str, order: schemas.PolicyOrder) -> Any:
    """Evict by another policy at once, in all workers, and drop nothing. A reload goes by the document again."""
    _known(await _ask(parent, "cache_policy", route=route, policy=order.policy), _missing(route))
    try:
        return sums.cache(route, await _ask(parent, "state"))
    except KeyError:  # reloaded meanwhile
        raise _missing(route) from None


def _compared(logs: dict[int, Any]) -> dict[int, Any]:
    return {
        number: {**GhostLog.from_json(told["log"]).describe(), "policy": told["policy"]}
        for number, told in logs.items()
    }


def _missing(route: str) -> Problem:
    return not_found(f"There is no route {route} with a cache.")


def _known(answers: dict[int, Any], missing: Problem) -> dict[int, Any]:
    """Those of workers that have the cache; `missing` is raised when none has."""
    known = {number: answer for number, answer in answers.items() if answer is not None}
    if not known:
        raise missing
    return known


async def _ask(parent: Parent, question: str, /, **details: Any) -> dict[int, Any]:
    answers = await parent.fleet.ask(question, **details)
    if not answers:
        raise unavailable("No worker answers.")
    return answers
