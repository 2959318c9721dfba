"""What all workers together know of a route's cache, made of what each tells. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

from services.gateway.admin.sums import State, total

_ADDED = ("bound_bytes", "used_bytes", "entries", "tags", "in_flight", "unproven")
_COUNTED = ("stored", "evicted", "expired", "invalidated", "too_large")
_SECOND = ("losses", "queued", "plain_bytes", "stored_bytes")
_SPARED = ("hit", "collapsed", "shared")


def caches(states: Mapping[int, State]) -> list[dict[str, Any]]:
    """Every route's that any worker has; `states` are the workers' by their numbers."""
    names = sorted({name for state in states.values() for name in state["caches"]})
    return [cache(name, states) for name in names]


def cache(name: str, states: Mapping[int, State]) -> dict[str, Any]:
    """One route's, or `KeyError` when no worker has it."""
    told = {number: state["caches"][name] for number, state in states.items() if name in state["caches"]}
    if not told:
        raise KeyError(name)
    every = list(told.values())
    requests = total(one["requests"] for one in every)
    statistics = total(one["statistics"] for one in every)
    return {
        "route": name,
        "prefix": every[0]["prefix"],
        "policies": _policies(every),
        "visibility": every[0]["visibility"],
        "current": all(one["current"] for one in every),
        **total({field: one[field] for field in _ADDED} for one in every),
        "requests": requests,
        "hit_ratio": hit_ratio(requests),
        "not_stored": total(one["not_stored"] for one in every),
        **{field: statistics[field] for field in _COUNTED},
        "workers": sorted(told),
    }


def second(states: Mapping[int, State]) -> dict[str, Any]:
    """The second level as all workers use it, or `KeyError` when they have none."""
    told = {number: state["second"] for number, state in states.items() if state["second"] is not None}
    if not told:
        raise KeyError("second")
    every = list(told.values())
    return {
        "cluster": every[0]["cluster"],
        "primaries": max(one["primaries"] for one in every),
        "servers": sorted({server for one in every for server in one["servers"]}),
        **total({field: one[field] for field in _SECOND} for one in every),
        "counts": total(one["counts"] for one in every),
        "failures": total(one["failures"] for one in every),
        "workers": {str(number): len(one["servers"]) for number, one in sorted(told.items())},
    }


def peers(states: Mapping[int, State]) -> dict[str, Any]:
    """What all workers know of other gateways, or `KeyError` when there are none."""
    every = [state["peers"] for state in states.values() if state["peers"] is not None]
    if not every:
        raise KeyError("peers")
    names = sorted({name for one in every for name in one["upstreams"]})
    return {
        "gateway": next((one["gateway"] for one in every if one["gateway"]), None),
        "speaker": next((one["speaker"] for one in every if one["speaker"] is not None), None),
        "writes": {
            "under_way": sum(one["writes"]["under_way"] for one in every),
            "waited_s": sum(one["writes"]["waited_s"] for one in every),
            "counts": total(one["writes"]["counts"] for one in every),
        },
        "upstreams": {
            name: all(one["upstreams"][name] for one in every if name in one["upstreams"]) for name in names
        },
    }


def hit_ratio(requests: Mapping[str, int]) -> float | None:
    """The share that no replica was asked for."""
    count = sum(requests.values())
    return round(sum(requests[outcome] for outcome in _SPARED) / count, 4) if count else None


def comparison(route: str, told: Mapping[int, Mapping[str, Any]]) -> dict[str, Any]:
    """The workers' comparisons of the policies as one."""
    every = list(told.values())
    requests = sum(one["requests"] for one in every)
    # Each one's share of the sampled requests, by which its ratios count.
    weights = [one["requests"] / requests for one in every] if requests else []
    scores = [{**one["hit_ratios"], "": one["optimum"]} for one in every]
    ratios = {
        name: round(sum(weight * score[name] for weight, score in zip(weights, scores, strict=True)), 4)
        for name in (scores[0] if requests else ())
    }
    return {
        "route": route,
        "policies": _policies(every),
        "share": min(one["share"] for one in every),
        "requests": requests,
        "optimum": ratios.pop("", None),
        "hit_ratios": ratios,
        "workers": {str(number): one for number, one in told.items()},
    }


def top(told: Mapping[int, Iterable[Mapping[str, Any]]], count: int) -> list[dict[str, Any]]:
    """The most used of what the workers say; what looks alike becomes one, the longest fresh shown."""
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for number, entries in told.items():
        for entry in entries:
            key = entry["tenant_id"], entry["url"], entry["visibility"]
            one = found.setdefault(
                key, {**entry, "hits": 0, "bytes": 0, "variants": 0, "keys": 0, "workers": []}
            )
            for field in ("hits", "bytes", "variants"):
                one[field] += entry[field]
            one["keys"] += 1
            if entry["ttl_s"] > one["ttl_s"]:
                one |= {field: entry[field] for field in ("age_s", "ttl_s", "tags")}
            if number not in one["workers"]:
                one["workers"].append(number)
    return sorted(found.values(), key=lambda one: -int(one["hits"]))[:count]


def _policies(every: Iterable[Mapping[str, Any]]) -> list[str]:
    return sorted({one["policy"] for one in every})
