"""What operators have said of replicas: drained or not, and a weight. Pure.

Kept by the parent, which tells every worker, also those that start later; kept by each worker, for replicas that
are found later. So it survives a reload, a worker's death, and a replica's absence; it ends with the parent.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

HEAVIEST = 100.0


@dataclass(frozen=True, slots=True)
class Order:
    """For one replica. `weight` multiplies the configured one; drained, it gets nothing whatever its weight."""

    upstream: str
    address: str
    drained: bool = False
    weight: float = 1.0

    @property
    def live_weight(self) -> float:
        """As the balancer takes it."""
        return 0.0 if self.drained else self.weight

    @property
    def says_nothing(self) -> bool:
        """Whether the replica is as it would be without."""
        return not self.drained and self.weight == 1.0

    def as_json(self) -> dict[str, Any]:
        """For the channel."""
        return {
            "upstream": self.upstream,
            "address": self.address,
            "drained": self.drained,
            "weight": self.weight,
        }


class Steering:
    """All orders in force."""

    def __init__(self, orders: Iterable[Order] = ()) -> None:
        self._orders: dict[tuple[str, str], Order] = {}
        for order in orders:
            self.give(order)

    def __iter__(self) -> Iterator[Order]:
        return iter(self._orders.values())

    def of(self, upstream: str, address: str) -> Order:
        """The order for a replica, which by itself says nothing."""
        return self._orders.get((upstream, address)) or Order(upstream, address)

    def drained(self, upstream: str, address: str, drained: bool) -> Order:
        """The order for a replica as it would be with another `drained`."""
        return replace(self.of(upstream, address), drained=drained)

    def weighed(self, upstream: str, address: str, weight: float) -> Order:
        """The order for a replica as it would be with another weight."""
        return replace(self.of(upstream, address), weight=weight)

    def give(self, order: Order) -> None:
        """Put an order in force."""
        key = order.upstream, order.address
        if order.says_nothing:
            self._orders.pop(key, None)
        else:
            self._orders[key] = order
