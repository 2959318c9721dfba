"""What other gateways do, after their sources, on our endpoints: yardsticks for the simulator.

Weights are equal here, and health is not simulated; what those would change is left out. Each is kept as close to
its original as a Python class can be: ties, sampling and decay are theirs.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from math import exp
from typing import Final

from services.gateway.balancing.drawing import generator
from services.gateway.balancing.endpoint import Endpoint


class NginxRoundRobin:
    """nginx's default: smooth weighted round robin (ngx_http_upstream_round_robin.c)."""

    name = "nginx wrr"

    def __init__(self, seed: int) -> None:
        self._current: dict[Endpoint, int] = {}

    def choose(self, candidates: Sequence[Endpoint], now_ns: int, key: bytes = b"") -> Endpoint:
        """The peer with the greatest current weight."""
        current = self._current
        total = 0
        best = candidates[0]
        for peer in candidates:
            current[peer] = current.get(peer, 0) + peer.replica.weight
            total += peer.replica.weight
            if current[peer] > current[best]:
                best = peer
        current[best] -= total
        return best


class NginxLeastConn:
    """nginx's least_conn: a scan of all, smooth round robin among the ties (ngx_http_upstream_least_conn_module.c)."""

    name = "nginx least_conn"

    def __init__(self, seed: int) -> None:
        self._round_robin = NginxRoundRobin(seed)

    def choose(self, candidates: Sequence[Endpoint], now_ns: int, key: bytes = b"") -> Endpoint:
        """The peer with the fewest connections."""
        least = min(peer.active for peer in candidates)
        tied = [peer for peer in candidates if peer.active == least]
        return tied[0] if len(tied) == 1 else self._round_robin.choose(tied, now_ns)


class NginxRandomTwo:
    """nginx's `random two least_conn`: two different ones, the first drawn on a tie of the second drawn."""

    name = "nginx random two"

    def __init__(self, seed: int) -> None:
        self._rng = generator(seed)

    def choose(self, candidates: Sequence[Endpoint], now_ns: int, key: bytes = b"") -> Endpoint:
        """The second one drawn, unless it has more connections."""
        previous, peer = self._rng.sample(candidates, 2)
        return previous if peer.active > previous.active else peer


class EnvoyLeastRequest:
    """Envoy's LEAST_REQUEST with equal weights: two draws with replacement (least_request_lb.cc, N_CHOICES)."""

    name = "envoy least_request"

    def __init__(self, seed: int) -> None:
        self._rng = generator(seed)

    def choose(self, candidates: Sequence[Endpoint], now_ns: int, key: bytes = b"") -> Endpoint:
        """The first drawn, unless the second has fewer active requests."""
        first, second = self._rng.choices(candidates, k=2)
        return second if second.active < first.active else first


class HaproxyLeastConn:
    """HAProxy's leastconn: a tree sorted by served / weight; a moved server goes behind its equals (lb_fwlc.c)."""

    name = "haproxy leastconn"

    def __init__(self, seed: int) -> None:
        self._moved: dict[Endpoint, tuple[int, int]] = {}
        self._moves = 0

    def choose(self, candidates: Sequence[Endpoint], now_ns: int, key: bytes = b"") -> Endpoint:
        """The first of the tree."""
        moved = self._moved
        for server in candidates:
            if moved.get(server, (-1, 0))[0] != server.active:
                self._moves += 1
                moved[server] = (server.active, self._moves)
        return min(candidates, key=moved.__getitem__)


@dataclass(slots=True)
class _Average:
    """Finagle's Metric and tower's RttEstimate: reading it counts as observing nothing."""

    cost: float = 0.0
    stamp_ns: int = 0

    def observe(self, rtt_ns: float, now_ns: int, decay_ns: float) -> None:
        kept = exp(-max(now_ns - self.stamp_ns, 0) / decay_ns)
        self.cost = rtt_ns if rtt_ns > self.cost else self.cost * kept + rtt_ns * (1.0 - kept)
        self.stamp_ns = now_ns


class LinkerdPeakEwma:
    """Finagle's and Linkerd's p2c with peak EWMA (PeakEwma.scala, 10 s; Linkerd starts from 30 ms)."""

    name = "linkerd peak_ewma"
    _DECAY_NS: Final = 10e9
    _PENALTY: Final = float((1 << 63) >> 16)

    def __init__(self, seed: int) -> None:
        self._rng = generator(seed)
        self._averages: dict[Endpoint, _Average] = {}

    def choose(self, candidates: Sequence[Endpoint], now_ns: int, key: bytes = b"") -> Endpoint:
        """The one with the lower load of two."""
        first, second = self._rng.sample(candidates, 2)
        return first if self._load(first, now_ns) <= self._load(second, now_ns) else second

    def _load(self, node: Endpoint, now_ns: int) -> float:
        average = self._averages.setdefault(node, _Average())
        average.observe(0.0, now_ns, self._DECAY_NS)
        if average.cost == 0.0 and node.active:
            return self._PENALTY + node.active
        return average.cost * (node.active + 1)

    def answered(self, node: Endpoint, latency_ns: int, now_ns: int) -> None:
        """The round trip is over, well or badly."""
        self._averages.setdefault(node, _Average()).observe(float(latency_ns), now_ns, self._DECAY_NS)


class EnvoyPeakEwma:
    """Envoy's contrib peak_ewma: no peaks, samples folded in every 100 ms by their age (peak_ewma_lb.cc)."""

    name = "envoy peak_ewma"
    _DECAY_NS: Final = 10e9
    _INTERVAL_NS: Final = 100_000_000
    _DEFAULT_NS: Final = 10e6
    _PENALTY: Final = 1e12

    def __init__(self, seed: int) -> None:
        self._rng = generator(seed)
        self._ewma: dict[Endpoint, float] = {}
        self._samples: dict[Endpoint, list[tuple[int, int]]] = {}
        self._next_ns = 0

    def choose(self, candidates: Sequence[Endpoint], now_ns: int, key: bytes = b"") -> Endpoint:
        """The one with the lower cost of two."""
        if now_ns >= self._next_ns:
            self._aggregate(now_ns)
        first, second = self._rng.sample(candidates, 2)
        return first if self._cost(first) <= self._cost(second) else second

    def _cost(self, host: Endpoint) -> float:
        ewma = self._ewma.get(host, 0.0)
        if ewma == 0.0 and host.active:
            return self._PENALTY + host.active
        return (ewma or self._DEFAULT_NS) * (host.active + 1)

    def _aggregate(self, now_ns: int) -> None:
        self._next_ns = now_ns + self._INTERVAL_NS
        for host, samples in self._samples.items():
            for latency_ns, at_ns in samples:
                share = 1.0 - exp(-(now_ns - at_ns) / self._DECAY_NS)
                known = self._ewma.get(host, 0.0)
                self._ewma[host] = latency_ns * share + known * (1.0 - share) if known else float(latency_ns)
        self._samples = {}

    def answered(self, host: Endpoint, latency_ns: int, now_ns: int) -> None:
        """A sample for the next aggregation."""
        self._samples.setdefault(host, []).append((latency_ns, now_ns))


@dataclass(slots=True)
class _Probe:
    endpoint: Endpoint
    rif: float
    latency_ns: float
    at_ns: int
    uses: float


def _rif(probe: _Probe) -> float:
    return probe.rif


def _latency(probe: _Probe) -> float:
    return probe.latency_ns


class Prequal:
    """Prequal with its paper's figures (Wydrowski et al., NSDI '24, sections 4 and 5), probing actively.

    3 probes a request to random replicas, a pool of 16, probes reused b_reuse times and at most a second old,
    one removed per request (oldest and worst in turn), Q_RIF 0.84; a used probe's count grows by one.
    """

    name = "prequal"
    _POOL: Final = 16
    _PROBES: Final = 3
    _AGE_NS: Final = 1_000_000_000
    _QUANTILE: Final = 0.84
    _DELTA: Final = 1.0

    def __init__(self, seed: int) -> None:
        self._rng = generator(seed)
        self._pool: list[_Probe] = []
        self._seen: deque[float] = deque(maxlen=128)
        self._candidates: Sequence[Endpoint] = ()
        self._remove_oldest = True

    def wanted_probes(self, now_ns: int) -> Sequence[Endpoint]:
        """Random replicas without replacement."""
        return self._rng.sample(self._candidates, min(self._PROBES, len(self._candidates)))

    def reuse(self) -> float:
        """b_reuse of equation 1: how often a probe must serve so that the pool neither dries up nor goes stale."""
        inflow = (1.0 - self._POOL / max(len(self._candidates), self._POOL + 1)) * self._PROBES - 1.0
        return max(1.0, (1.0 + self._DELTA) / inflow) if inflow > 0.0 else 3.0

    def report(self, endpoint: Endpoint, rif: float, latency_ns: int, now_ns: int) -> None:
        """A probe's answer enters the pool, pushing the oldest out."""
        self._seen.append(rif)
        self._pool = [probe for probe in self._pool if probe.endpoint is not endpoint]
        self._pool.append(_Probe(endpoint, rif, latency_ns, now_ns, self.reuse()))
        if len(self._pool) > self._POOL:
            self._pool.pop(0)

    def choose(self, candidates: Sequence[Endpoint], now_ns: int, key: bytes = b"") -> Endpoint:
        """The hot-cold lexicographic rule, or chance while the pool holds fewer than two."""
        self._candidates = candidates
        self._pool = [p for p in self._pool if p.uses > 0 and now_ns - p.at_ns < self._AGE_NS]
        if len(self._pool) < 2:
            return self._rng.choice(candidates)
        ordered = sorted(self._seen)
        limit = ordered[int(self._QUANTILE * (len(ordered) - 1))]
        cold = [probe for probe in self._pool if probe.rif <= limit]
        best = min(cold, key=_latency) if cold else min(self._pool, key=_rif)
        best.rif += 1.0
        best.uses -= 1.0
        self._remove(limit)
        return best.endpoint

    def _remove(self, limit: float) -> None:
        """One per request: the oldest, or the worst by the reverse of the rule."""
        if len(self._pool) <= 2:
            return
        if self._remove_oldest:
            self._pool.pop(0)
        else:
            hot = [probe for probe in self._pool if probe.rif > limit]
            worst = max(hot, key=_rif) if hot else max(self._pool, key=_latency)
            self._pool.remove(worst)
        self._remove_oldest = not self._remove_oldest
