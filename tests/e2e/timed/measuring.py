"""Faults, each beside the same request without it: by how much which component of which hop has moved."""

import statistics
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from shared.testing.otlp import OtlpReceiver, ReceivedSpan
from tests.e2e.timed.checks import TERMS, terms_of

MS: Final = 1_000_000
_FEWEST: Final = 3
_LATENCY: Final = "crm.latency."
_SUMS: Final = frozenset((*TERMS, "total", "dominant"))


@dataclass(frozen=True)
class Hop:
    """What one hop says of a request (ns): the three terms, and what they are made of."""

    terms: Mapping[str, int]
    components: Mapping[str, int]

    @classmethod
    def of(cls, span: ReceivedSpan) -> "Hop":
        """As its SERVER span has it."""
        said = {
            name.removeprefix(_LATENCY).removesuffix("_ns"): value
            for name, value in span.attributes.items()
            if name.startswith(_LATENCY)
        }
        components = {name: value for name, value in said.items() if name not in _SUMS}
        return cls(dict(zip(TERMS, terms_of(span), strict=True)), components)


@dataclass(frozen=True)
class Sample:
    """One request: at the gateway, and at the services, in the order in which they were asked."""

    gateway: Hop
    services: Sequence[Hop]

    @property
    def total(self) -> int:
        """The response time."""
        return sum(self.gateway.terms.values())


@dataclass(frozen=True)
class Moved:
    """How much more (ns, the difference of the medians) there is of everything with the fault than without.

    `customers` is the service that answered.
    """

    gateway: Hop
    customers: Hop

    @property
    def added(self) -> int:
        """To the response time at the gateway."""
        return sum(self.gateway.terms.values())

    def check(self, term: str, *, gateway: str, customers: str = "") -> None:
        """At least 90 % of the added time is in this term, and in these components of the hops.

        Everything else has moved by less than 1 ms, or 5 % of what was added. A hop of which no component is named
        has not noticed.
        """
        assert self.added > 0, self
        least, most = 0.9 * self.added, max(MS, 0.05 * self.added)
        assert self.gateway.terms[term] >= least, self
        assert all(abs(ns) < most for name, ns in self.gateway.terms.items() if name != term), self
        for hop, named in ((self.gateway, gateway), (self.customers, customers)):
            assert not named or hop.components[named] >= least, (named, self)
            assert all(abs(ns) < most for name, ns in hop.components.items() if name != named), (named, self)

    def check_nothing(self, fault_ns: int) -> None:
        """The fault, which takes so long, is somebody else's: nothing has moved by 1 ms, or 5 % of it."""
        most = max(MS, 0.05 * fault_ns)
        for hop in (self.gateway, self.customers):
            assert all(abs(ns) < most for ns in hop.components.values()), self


Ask = Callable[[], Coroutine[Any, Any, str]]
"""Makes a request, with the fault or without; gives its id."""
Which = Callable[[Sample], bool]


class Measuring:
    """Makes requests by turns, and waits for their spans."""

    def __init__(self, receiver: OtlpReceiver, rounds: int) -> None:
        self._receiver = receiver
        self._rounds = rounds

    async def compare(
        self, usual: Ask, faulty: Ask, which: Which = lambda _: True, usually: Which = lambda _: True
    ) -> Moved:
        """Where chance decides who gets the fault: `which` of them have it, and who of the others is `usually` so."""
        ids: tuple[list[str], list[str]] = ([], [])
        for _ in range(self._rounds):
            for ask, asked in zip((usual, faulty), ids, strict=True):
                asked.append(await ask())
        # The first of each opens connections.
        before = _undisturbed([one for one in self.samples(ids[0][1:]) if usually(one)])
        after = _undisturbed([one for one in self.samples(ids[1][1:]) if which(one)])
        return Moved(
            _moved([one.gateway for one in before], [one.gateway for one in after]),
            _moved([one.services[-1] for one in before], [one.services[-1] for one in after]),
        )

    def samples(self, request_ids: Sequence[str]) -> list[Sample]:
        """What was told of these requests, in any order. Blocks until it is all here."""
        wanted = set(request_ids)

        def servers(spans: Iterable[ReceivedSpan]) -> list[ReceivedSpan]:
            return [
                one for one in spans if one.kind == "SERVER" and one.attributes["crm.request.id"] in wanted
            ]

        def complete(spans: Sequence[ReceivedSpan]) -> bool:
            found = servers(spans)
            here = {one.attributes["crm.request.id"] for one in found if one.service == "gateway"}
            return here == wanted and all(
                self._of(one, found, spans) is not None for one in found if _at_gateway(one)
            )

        spans = self._receiver.wait_for(complete)
        found = servers(spans)
        return [
            Sample(Hop.of(one), [Hop.of(service) for service in self._of(one, found, spans) or ()])
            for one in found
            if _at_gateway(one)
        ]

    @staticmethod
    def _of(
        server: ReceivedSpan, servers: Iterable[ReceivedSpan], spans: Iterable[ReceivedSpan]
    ) -> list[ReceivedSpan] | None:
        """The services' SERVER spans below one of the gateway's; None until those that answered are all here."""
        attempts = [one for one in spans if one.parent_span_id == server.span_id and one.kind == "CLIENT"]
        by_parent = {one.parent_span_id: one for one in servers}
        told = [one for one in attempts if "crm.service.terms" in one.attributes]
        if any(one.span_id not in by_parent for one in told):
            return None
        return [by_parent[one.span_id] for one in sorted(told, key=lambda one: one.start_ns)]


def _undisturbed(samples: Sequence[Sample]) -> list[Sample]:
    """The third that took least: whatever else runs on the machine can only have made the others longer."""
    assert len(samples) >= _FEWEST, "too few were as they should be"
    return sorted(samples, key=lambda one: one.total)[: max(_FEWEST, len(samples) // 3)]


def _at_gateway(span: ReceivedSpan) -> bool:
    return span.service == "gateway"


def _moved(before: Sequence[Hop], after: Sequence[Hop]) -> Hop:
    def median(hops: Sequence[Hop], of: Callable[[Hop], Mapping[str, int]], name: str) -> int:
        return round(statistics.median(of(hop).get(name, 0) for hop in hops))

    def differences(of: Callable[[Hop], Mapping[str, int]]) -> dict[str, int]:
        names = {name for hop in (*before, *after) for name in of(hop)}
        return {name: median(after, of, name) - median(before, of, name) for name in sorted(names)}

    return Hop(differences(lambda hop: hop.terms), differences(lambda hop: hop.components))
