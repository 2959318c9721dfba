"""What the ledgers and the replicas' states say, as metrics: read when somebody collects, at no cost before. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from services.gateway.metrics.definitions import (
    ATTEMPTS,
    CIRCUIT_OPEN,
    OUTCOMES,
    REPLICA_ACTIVE,
    REPLICA_UP,
    REPLICA_WEIGHT,
    TURNED_AWAY,
)
from shared.telemetry.metrics.families import Family, Number

_KINDS = {"first": "first", "retry": "retries", "hedge": "hedges"}


def upstream_families(upstreams: Mapping[str, Mapping[str, Any]]) -> list[Family]:
    """Of the upstreams as `Upstream.describe` has them, by their names."""
    accounts = {name: one["account"] for name, one in upstreams.items()}
    replicas = [
        ((name, *_host_and_port(replica["address"])), replica)
        for name, one in upstreams.items()
        for replica in one["replicas"]
    ]
    return [
        Family(
            ATTEMPTS,
            [
                Number((name, kind), account[key])
                for name, account in accounts.items()
                for kind, key in _KINDS.items()
            ],
        ),
        Family(OUTCOMES, list(_counted(accounts, "outcomes"))),
        Family(TURNED_AWAY, list(_counted(accounts, "turned_away"))),
        Family(REPLICA_UP, [Number(labels, int(replica["healthy"])) for labels, replica in replicas]),
        Family(REPLICA_ACTIVE, [Number(labels, replica["active"]) for labels, replica in replicas]),
        Family(REPLICA_WEIGHT, [Number(labels, replica["weight"]) for labels, replica in replicas]),
        Family(
            CIRCUIT_OPEN,
            [Number(labels, int(replica["circuit"]["state"] == "open")) for labels, replica in replicas],
        ),
    ]


def _counted(accounts: Mapping[str, Mapping[str, Any]], what: str) -> Iterator[Number]:
    for name, account in accounts.items():
        for reason, count in account[what].items():
            yield Number((name, reason), count)


def _host_and_port(address: str) -> tuple[str, str]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), port
