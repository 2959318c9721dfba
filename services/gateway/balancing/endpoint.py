"""One replica as the balancer sees it: what runs there, how fast it answers, what it says of its load. Pure."""

from collections.abc import Collection, Iterator
from math import exp
from typing import Final

from services.gateway.balancing.load_report import LoadReport
from services.gateway.balancing.policy import Replica

DECAY_NS: Final = 10_000_000_000
"""The time constant of the latency average: what was seen so long ago counts 1/e (Finagle's default, 10 s)."""
OTHERS_SHARE: Final = 0.25
"""How much a reported request of others counts beside one of ours: by the time it is used the report is old,
and all gateways see the same idle replica. 0.25 was best or level for 4 and 8 gateways in the simulator."""
_PACE_ANSWERS: Final = 64
_FAILURE_DECAY: Final = 1 / 32


class Endpoint:
    """The mutable state of one replica. It outlives changes of the configuration: see `EndpointRegistry`.

    active        requests of ours in flight
    weight        configured weight x live weight x slow start; 0 when drained
    latency_ns    peak EWMA of the latency as of `latency_at_ns`, 0 before the first answer
    pace_ns       latency per request in flight, a moving average over 64 answers, 0 before the first one
    answers       requests that went well
    ended_at_ns   when a request last ended
    failure_share share of failures among the last answers, 0 to 1
    others        requests in flight there that are not ours, by its last report; 0 if it never told
    report        its last load report, of `report_at_ns`
    """

    __slots__ = (
        "active",
        "answers",
        "ended_at_ns",
        "failure_share",
        "failures",
        "latency_at_ns",
        "latency_ns",
        "live_weight",
        "others",
        "pace_ns",
        "replica",
        "report",
        "report_at_ns",
        "requests",
        "slow_start",
        "weight",
    )

    def __init__(self, replica: Replica) -> None:
        self.replica = replica
        self.active = 0
        self.requests = 0
        self.answers = 0
        self.failures = 0
        self.ended_at_ns = 0
        self.failure_share = 0.0
        self.live_weight = 1.0
        self.slow_start = 1.0
        self.weight = float(replica.weight)
        self.latency_ns = 0.0
        self.latency_at_ns = 0
        self.pace_ns = 0.0
        self.others = 0.0
        self.report: LoadReport | None = None
        self.report_at_ns = 0

    def __repr__(self) -> str:
        return f"<Endpoint {self.replica.upstream} {self.replica.address} active={self.active}>"

    def began(self, now_ns: int) -> None:
        """A request of ours is on its way there."""
        self.active += 1
        self.requests += 1

    def ended(self, now_ns: int, latency_ns: int, ok: bool) -> None:
        """A request that `began` is over: answered, failed or abandoned.

        A failure says nothing good about speed, else a replica that fails at once would attract everything:
        its latency counts only where it is worse than what is known.
        """
        active = self.active
        self.active = active - 1
        self.ended_at_ns = now_ns
        known = self.latency_ns
        if latency_ns > known:
            self.latency_ns = latency_ns
            self.latency_at_ns = now_ns
        elif ok:
            kept = exp((self.latency_at_ns - now_ns) / DECAY_NS)
            self.latency_ns = known * kept + latency_ns * (1.0 - kept)
            self.latency_at_ns = now_ns
        pace = latency_ns / (active + OTHERS_SHARE * self.others)
        if ok:
            self.answers = answers = self.answers + 1
            self.pace_ns += (pace - self.pace_ns) / (answers if answers < _PACE_ANSWERS else _PACE_ANSWERS)
            if self.failure_share:
                self.failure_share *= 1.0 - _FAILURE_DECAY
        else:
            self.failures += 1
            self.failure_share += (1.0 - self.failure_share) * _FAILURE_DECAY
            self._slower(pace)

    def abandoned(self, now_ns: int, latency_ns: int) -> None:
        """A request that `began` was given up by us, after so long: no answer, and no fault of the replica's.

        It would have taken at least as long, so that only what is worse than known is learnt.
        """
        self._slower(latency_ns / (self.active + OTHERS_SHARE * self.others))
        self.active -= 1
        self.ended_at_ns = now_ns
        if latency_ns > self.latency_ns:
            self.latency_ns = latency_ns
            self.latency_at_ns = now_ns

    def _slower(self, pace: float) -> None:
        """Learns from a request without an answer, which took at least so long."""
        if pace > self.pace_ns:
            self.pace_ns += (pace - self.pace_ns) / min(self.answers + 1, _PACE_ANSWERS)

    def reported(self, report: LoadReport, now_ns: int) -> None:
        """The replica told its load, with an answer whose request has not `ended` yet, or in a probe's answer."""
        self.report = report
        self.report_at_ns = now_ns
        inflight = report.inflight
        if inflight is not None:
            others = inflight - self.active
            self.others = others if others > 0.0 else 0.0

    def reweigh(self) -> None:
        """Brings `weight` up to date after a change of the configuration, the live weight or slow start."""
        self.weight = self.replica.weight * self.live_weight * self.slow_start

    def latency(self, now_ns: int) -> float:
        """The peak EWMA as of now, in nanoseconds: without news a peak is forgotten, too."""
        return self.latency_ns * exp((self.latency_at_ns - now_ns) / DECAY_NS)


class EndpointRegistry:
    """All endpoints by upstream and address, so that a new configuration finds the requests that are in flight."""

    def __init__(self) -> None:
        self._endpoints: dict[tuple[str, str], Endpoint] = {}

    def __iter__(self) -> Iterator[Endpoint]:
        return iter(self._endpoints.values())

    def endpoint(self, replica: Replica) -> Endpoint:
        """The endpoint of a replica, whose weight and zone may be new."""
        key = (replica.upstream, replica.address)
        known = self._endpoints.get(key)
        if known is None:
            known = self._endpoints[key] = Endpoint(replica)
        elif known.replica != replica:
            known.replica = replica
            known.reweigh()
        return known

    def prune(self, replicas: Collection[Replica]) -> None:
        """Forgets the endpoints of no replica in `replicas` on which nothing runs any more."""
        kept = {(replica.upstream, replica.address) for replica in replicas}
        gone = [key for key, known in self._endpoints.items() if key not in kept and not known.active]
        for key in gone:
            del self._endpoints[key]
