"""What all workers together know of an upstream, made of what each tells. Pure.

Counts are added up. A replica is usable when any worker would use it, and the reasons of those that would not are
all told; of two circuits the worse one is shown, of two load reports the newer.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from services.gateway.control.steering import Order

State = Mapping[str, Any]
OrderOf = Callable[[str, str], Order]

_CIRCUITS = ("closed", "half_open", "open")


def upstreams(states: Mapping[int, State], order_of: OrderOf) -> list[dict[str, Any]]:
    """Every upstream that any worker has; `states` are the workers' by their numbers."""
    names = sorted({name for state in states.values() for name in state["upstreams"]})
    return [upstream(name, states, order_of) for name in names]


def upstream(name: str, states: Mapping[int, State], order_of: OrderOf) -> dict[str, Any]:
    """One upstream, or `KeyError` when no worker has it."""
    told = {
        number: state["upstreams"][name] for number, state in states.items() if name in state["upstreams"]
    }
    if not told:
        raise KeyError(name)
    every = list(told.values())
    addresses = list(dict.fromkeys(replica["address"] for one in every for replica in one["replicas"]))
    return {
        "name": name,
        "policy": every[0]["policy"],
        "panic": any(one["panic"] for one in every),
        "account": total(one["account"] for one in every),
        "concurrency": _concurrency([one["concurrency"] for one in every if one["concurrency"]]),
        "retries_available": sum(one["retries_available"] for one in every),
        "replicas": [_replica(name, address, every, order_of) for address in addresses],
        "workers": {str(number): one for number, one in told.items()},
    }


def ledger(states: Mapping[int, State]) -> dict[str, Any]:
    """The accounts, added up by upstream and over all, and what does not add up in any worker."""
    by_upstream: dict[str, list[State]] = {}
    for state in states.values():
        for name, one in state["upstreams"].items():
            by_upstream.setdefault(name, []).append(one["account"])
    mistakes = [
        f"worker {number}: {name}: {mistake}"
        for number, state in states.items()
        for name, one in state["upstreams"].items()
        for mistake in one["mistakes"]
    ]
    accounts = {name: total(accounts) for name, accounts in sorted(by_upstream.items())}
    return {
        "balances": not mistakes,
        "mistakes": mistakes,
        "total": total(accounts.values()) if accounts else None,
        "upstreams": accounts,
        "workers": sorted(states),
    }


def total(documents: Iterable[State]) -> dict[str, Any]:
    """Documents of counts, which may be nested, added up field by field."""
    found: dict[str, Any] = {}
    for document in documents:
        for name, value in document.items():
            if isinstance(value, Mapping):
                found[name] = total([found.get(name, {}), value])
            else:
                found[name] = found.get(name, 0) + value
    return found


def _concurrency(told: list[State]) -> dict[str, Any] | None:
    if not told:
        return None
    counts = total(
        {name: one[name] for name in ("limit", "in_flight", "waiting", "rejected")} for one in told
    )
    return {**counts, "latency_ms": max(one["latency_ms"] for one in told)}


def _replica(upstream: str, address: str, every: Iterable[State], order_of: OrderOf) -> dict[str, Any]:
    told = [one for state in every for one in state["replicas"] if one["address"] == address]
    order = order_of(upstream, address)
    loads = [one["load"] for one in told if one["load"] is not None]
    return {
        "address": address,
        "zone": told[0]["zone"],
        "usable": any(one["usable"] for one in told),
        "why_not": sorted({one["why_not"] for one in told if one["why_not"] is not None}),
        "healthy": all(one["healthy"] for one in told),
        "drained": order.drained,
        "weight": max(one["weight"] for one in told),
        "configured_weight": told[0]["configured_weight"],
        "live_weight": order.weight,
        "active": sum(one["active"] for one in told),
        "requests": sum(one["requests"] for one in told),
        "failures": sum(one["failures"] for one in told),
        "latency_ms": max(one["latency_ms"] for one in told),
        "load": min(loads, key=lambda one: float(one["age_s"]), default=None),
        "connections": total(one["connections"] for one in told),
        "circuit": max(told, key=lambda one: _CIRCUITS.index(one["circuit"]["state"]))["circuit"],
        "ejection": next(
            (one["ejection"] for one in told if one["ejection"] and one["ejection"]["ejected"]),
            told[0]["ejection"],
        ),
    }
