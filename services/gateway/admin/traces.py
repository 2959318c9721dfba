"""The traces that the gateway remembers, and orders to record more of them for a while."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query
from starlette.requests import Request

from services.gateway.admin import trace_schemas as schemas
from services.gateway.control.parent import Parent
from shared.problems import FieldError, invalid_fields, not_found, unavailable


def _operated(request: Request) -> Parent:
    parent: Parent = request.app.state.parent
    return parent


Operated = Annotated[Parent, Depends(_operated)]
RoutePrefix = Annotated[str | None, Query(description="As `/admin/routes` gives it as `prefix`.")]
router = APIRouter(prefix="/admin/traces")


@router.get("", response_model=list[schemas.Trace])
async def traces(
    parent: Operated,
    route: RoutePrefix = None,
    min_ms: Annotated[float, Query(ge=0, allow_inf_nan=False, description="Lasting at least so long.")] = 0.0,
    status: Annotated[int | None, Query(ge=100, le=599)] = None,
    dominant: Annotated[schemas.Term | None, Query(description="The largest of the three terms.")] = None,
    kept: Annotated[schemas.Reason | None, Query(description="Why it is remembered.")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> Any:
    """The requests that are remembered, the last to end first: failed, slow, asked for, sampled, and a few others."""
    question = {
        "route": route,
        "min_ms": min_ms,
        "status": status,
        "dominant": dominant,
        "kept": kept,
        "limit": limit,
    }
    found = _by_worker(await _ask(parent, "traces", question=question))
    return sorted(found, key=lambda one: -int(one["start_unix_ns"] + one["total_ns"]))[:limit]


@router.get("/recordings", response_model=list[schemas.Recording])
async def recordings(parent: Operated) -> Any:
    """The orders in force. A worker that was started anew since has forgotten them."""
    return _orders(await _ask(parent, "recordings"))


@router.post("/recordings", response_model=list[schemas.Recording], status_code=201)
async def record(parent: Operated, order: schemas.RecordingOrder) -> Any:
    """Record every request of a route or a tenant for a while, services included; another order replaces its like."""
    known = {route.prefix for route in (await parent.snapshot()).routes}
    if order.route is not None and order.route not in known:
        raise invalid_fields(
            [FieldError("/route", "unknown_route", f"No route has the prefix {order.route}.")]
        )
    await _ask(parent, "record", **order.model_dump())
    return _orders(await _ask(parent, "recordings"))


@router.delete("/recordings", status_code=204)
async def forget(
    parent: Operated,
    route: RoutePrefix = None,
    tenant: Annotated[str | None, Query(pattern=schemas.TENANT)] = None,
) -> None:
    """Withdraw the order for exactly this route and tenant."""
    await _ask(parent, "forget", route=route, tenant=tenant)


@router.get("/{trace_id}", response_model=schemas.ExplainedTrace)
async def trace(parent: Operated, trace_id: Annotated[str, Path(pattern="^[0-9a-f]{32}$")]) -> Any:
    """Where the time of a trace's requests went: the formula for every hop, and the gateway's spans."""
    found = _by_worker(await _ask(parent, "trace", trace_id=trace_id))
    if not found:
        raise not_found("No request of that trace is remembered: only the latest are, and not all of them.")
    requests = sorted(found, key=lambda one: int(one["start_unix_ns"]))
    return {"trace_id": trace_id, "requests": requests}


async def _ask(parent: Parent, question: str, /, **details: Any) -> dict[int, Any]:
    answers = await parent.fleet.ask(question, **details)
    if not answers:
        raise unavailable("No worker answers.")
    return answers


def _by_worker(answers: dict[int, Any]) -> list[dict[str, Any]]:
    return [{**one, "worker": number} for number, told in answers.items() for one in told]


def _orders(answers: dict[int, Any]) -> list[dict[str, Any]]:
    """The workers' orders, one for each route and tenant."""
    found: dict[tuple[str | None, str | None], dict[str, Any]] = {}
    for one in _by_worker(answers):
        order = found.setdefault(
            (one["route"], one["tenant"]), {**one, "for_s": 0.0, "left": 0, "workers": []}
        )
        order["for_s"] = max(order["for_s"], one["for_s"])
        order["left"] += one["left"]
        order["workers"].append(one["worker"])
    return list(found.values())
