"""A discrete-event simulation in virtual time: no clock, no sleep, the same numbers for the same seed.

The policies are the gateway's own objects. Per request there are three events: it arrives at a gateway, which
chooses; it is done at the replica, which then counts what it is serving; its answer arrives at the gateway.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Protocol, cast

from services.gateway.balancing.endpoint import Endpoint
from services.gateway.balancing.load_report import LoadReport
from services.gateway.balancing.policy import Replica
from services.gateway.resilience.concurrency import Admitted, Priority, Rejected
from services.gateway.resilience.ledger import OK, TIMED_OUT, UNAVAILABLE, Outcome
from tests.simulation.limits import Limits, make_limits
from tests.simulation.world import ReplicaModel, Scenario, World, build

_DONE, _ANSWER, _GONE, _PROBED, _PROBE_ANSWER, _SWEEP = range(6)
_SAMPLE_NS = 250_000_000
_SWEEP_NS = 100_000_000


class Chooser(Protocol):
    """What is simulated: our policies, and the peers."""

    def choose(self, candidates: Sequence[Endpoint], now_ns: int, key: bytes = b"") -> Endpoint:
        """One of the candidates."""
        ...


class Prober(Protocol):
    """A policy that asks for probes."""

    def wanted_probes(self, now_ns: int) -> Sequence[Endpoint]:
        """Whom to ask now."""
        ...

    def report(self, endpoint: Endpoint, rif: float, latency_ns: int, now_ns: int) -> None:
        """The answer: requests in flight there, and the latency that the server expects."""
        ...


class Observer(Protocol):
    """A peer with averages of its own."""

    def answered(self, endpoint: Endpoint, latency_ns: int, now_ns: int) -> None:
        """A request to an endpoint is over."""
        ...


@dataclass(frozen=True, slots=True)
class Result:
    """Latencies in nanoseconds as clients saw them; a failed request counts as the client's timeout.

    `lost` is the share of the work that arrived while it was measured and was not done and answered in that time.
    Where `errors` depend on which requests happen to be served, large ones or small ones, and on how many wait at the
    end, this depends on neither. Below capacity it is nothing but that chance, and may be less than 0.
    """

    p50: int
    p99: int
    p999: int
    errors: float
    lost: float
    answered_p50: int
    answered_p99: int
    shares: tuple[float, ...]
    probes: float


class _Gateway:
    """One gateway process: its own policy, its own endpoints."""

    def __init__(self, policy: Chooser, scenario: Scenario) -> None:
        self.policy = policy
        self.endpoints = tuple(
            Endpoint(Replica("simulated", f"10.0.0.{index}", 80)) for index in range(scenario.replicas)
        )
        self.limits = make_limits(scenario.limits, self.endpoints)
        self.swept = False  # whether a sweep of its queue is due
        self.index = {endpoint: index for index, endpoint in enumerate(self.endpoints)}
        self.choose = policy.choose
        self.prober = cast(Prober, policy) if hasattr(policy, "wanted_probes") else None
        self.observer = cast(Observer, policy) if hasattr(policy, "answered") else None


class _Meter:
    """What a replica reports: requests in flight as of now, rate and utilisation of the last quarter second."""

    def __init__(self, model: ReplicaModel) -> None:
        self._model = model
        self._reports: dict[int, LoadReport] = {}
        self._sample_at_ns = 0
        self._figures = (0.0, 0.0)
        self._before = (0, 0)

    def report(self, now_ns: int) -> LoadReport:
        model = self._model
        if now_ns >= self._sample_at_ns:
            elapsed = now_ns - self._sample_at_ns + _SAMPLE_NS
            served, busy = self._before
            used = min(1.0, (model.busy_ns - busy) / len(model.free_at) / elapsed)
            self._figures = ((model.served - served) * 1e9 / elapsed, used)
            self._before = (model.served, model.busy_ns)
            self._sample_at_ns = now_ns + _SAMPLE_NS
            self._reports = {}
        inflight = model.inflight
        report = self._reports.get(inflight)
        if report is None:
            rps, used = self._figures
            report = LoadReport(cpu_utilization=used, rps_fractional=rps, inflight=float(inflight))
            self._reports[inflight] = report
        return report


def simulate(scenario: Scenario, make_policy: Callable[[int], Chooser]) -> Result:
    """Runs a scenario; `make_policy` gets a seed for each gateway."""
    return _Run(scenario, build(scenario), make_policy).result()


class _Run:
    def __init__(self, scenario: Scenario, world: World, make_policy: Callable[[int], Chooser]) -> None:
        self.scenario = scenario
        self.world = world
        self.meters = [_Meter(model) for model in world.replicas]
        self.gateways = [
            _Gateway(make_policy(scenario.seed * 1000 + number), scenario)
            for number in range(scenario.gateways)
        ]
        self.heap: list[tuple[int, int, int, int]] = []
        self.latency = [scenario.timeout_ns] * scenario.arriving
        self.failed = bytearray(scenario.arriving)
        self.sent_ns = [0] * scenario.arriving
        self.target: dict[int, Endpoint] = {}
        self.now = 0
        self.measured = range(world.arrivals_ns[scenario.first_measured], world.arrivals_ns[-1])
        self.done_work = 0.0
        self.told: dict[int, LoadReport] = {}
        self.found: dict[int, int] = {}
        self.probing: dict[int, tuple[Prober, Endpoint]] = {}
        self.probed_load: dict[int, tuple[float, int]] = {}
        self.probes = 0
        self.serves_probes = any(gateway.prober is not None for gateway in self.gateways)
        self.run()

    def run(self) -> None:
        heap = self.heap
        handlers = {
            _DONE: self.done,
            _ANSWER: self.answer,
            _GONE: self.gone,
            _PROBED: self.probed,
            _PROBE_ANSWER: self.probe_answer,
            _SWEEP: self.sweep,
        }
        for number, now in enumerate(self.world.arrivals_ns):
            while heap and heap[0][0] <= now:
                at, kind, about, detail = heappop(heap)
                handlers[kind](at, about, detail)
            self.arrive(now, number)
        while heap:
            at, kind, about, detail = heappop(heap)
            handlers[kind](at, about, detail)

    def arrive(self, now: int, number: int) -> None:
        gateway = self.gateways[self.world.gateways[number]]
        if gateway.prober is not None:
            for endpoint in gateway.prober.wanted_probes(now):
                self.send_probe(now, gateway, endpoint)
        if gateway.limits is None:
            self.send(now, number, gateway, gateway.endpoints)
        else:
            self.enter(now, number, gateway, gateway.limits)

    def enter(self, now: int, number: int, gateway: _Gateway, limits: Limits) -> None:
        """Sends a request when the gateway has a place for it, at once or later."""

        def go(granted: bool) -> None:
            if granted:
                self.send(self.now, number, gateway, limits.candidates())
            else:
                self.failed[number] = 1

        self.now = now
        answer = limits.try_acquire(now, Priority.NORMAL, go)
        if isinstance(answer, Admitted):
            go(True)
        elif isinstance(answer, Rejected):
            go(False)
        elif not gateway.swept:
            gateway.swept = True
            heappush(self.heap, (now + _SWEEP_NS, _SWEEP, self.gateways.index(gateway), 0))

    def sweep(self, now: int, number: int, _: int) -> None:
        gateway = self.gateways[number]
        assert gateway.limits is not None
        self.now = now
        gateway.limits.expire(now)
        gateway.swept = gateway.limits.waiting > 0
        if gateway.swept:
            heappush(self.heap, (now + _SWEEP_NS, _SWEEP, number, 0))

    def send(self, now: int, number: int, gateway: _Gateway, candidates: Sequence[Endpoint]) -> None:
        scenario = self.scenario
        endpoint = gateway.choose(candidates, now, b"%d" % number)
        endpoint.began(now)
        self.target[number] = endpoint
        self.sent_ns[number] = now
        index = gateway.index[endpoint]
        model = self.world.replicas[index]
        reached = now + scenario.network_ns
        gives_up = self.world.arrivals_ns[number] + scenario.timeout_ns
        if model.refuses(reached):
            self.failed[number] = 1
            heappush(self.heap, (reached + scenario.network_ns, _ANSWER, number, index))
            return
        if self.serves_probes:
            self.found[number] = model.inflight
        model.inflight += 1
        start = model.start_of_next(reached)
        done = model.serve(start, self.world.demands_ns[number]) if start < gives_up else gives_up
        heappush(self.heap, (done, _DONE, number, index))
        if done + scenario.network_ns > gives_up:
            self.failed[number] = 1
            heappush(self.heap, (gives_up, _GONE, number, index))

    def done(self, now: int, number: int, index: int) -> None:
        if not self.failed[number]:
            if self.scenario.reports:
                self.told[number] = self.meters[index].report(now)
            heappush(self.heap, (now + self.scenario.network_ns, _ANSWER, number, index))
        model = self.world.replicas[index]
        model.inflight -= 1
        if self.serves_probes:
            model.observe(self.found.pop(number), now - self.sent_ns[number])

    def answer(self, now: int, number: int, index: int) -> None:
        report = self.told.pop(number, None)
        if report is not None:
            self.target[number].reported(report, now)
        if not self.failed[number]:
            self.latency[number] = now - self.world.arrivals_ns[number]
            if now in self.measured:
                self.done_work += self.world.demands_ns[number]
            self.tell(number, now, OK)
        else:
            self.tell(number, now, UNAVAILABLE)

    def gone(self, now: int, number: int, index: int) -> None:
        self.tell(number, now, TIMED_OUT)

    def tell(self, number: int, now: int, outcome: Outcome) -> None:
        """A request is over for the gateway."""
        gateway, endpoint = self.gateways[self.world.gateways[number]], self.target.pop(number)
        latency = now - self.sent_ns[number]
        endpoint.ended(now, latency, outcome is OK)
        if gateway.observer is not None:
            gateway.observer.answered(endpoint, latency, now)
        if gateway.limits is not None:
            self.now = now
            gateway.limits.release_of(endpoint, now, latency, outcome)

    def send_probe(self, now: int, gateway: _Gateway, endpoint: Endpoint) -> None:
        assert gateway.prober is not None
        self.probes += 1
        self.probing[self.probes] = (gateway.prober, endpoint)
        reached = now + self.scenario.network_ns
        heappush(self.heap, (reached, _PROBED, self.probes, gateway.index[endpoint]))

    def probed(self, now: int, probe: int, index: int) -> None:
        model = self.world.replicas[index]
        self.probed_load[probe] = (float(model.inflight), model.expected_latency())
        heappush(self.heap, (now + self.scenario.network_ns, _PROBE_ANSWER, probe, index))

    def probe_answer(self, now: int, probe: int, index: int) -> None:
        prober, endpoint = self.probing.pop(probe)
        rif, latency_ns = self.probed_load.pop(probe)
        prober.report(endpoint, rif, latency_ns, now)

    def result(self) -> Result:
        scenario = self.scenario
        first = scenario.first_measured
        everyone = sorted(self.latency[first:])
        answered = sorted(
            latency
            for latency, failed in zip(self.latency[first:], self.failed[first:], strict=True)
            if not failed
        )
        served = sum(model.served for model in self.world.replicas) or 1
        return Result(
            p50=_quantile(everyone, 0.5),
            p99=_quantile(everyone, 0.99),
            p999=_quantile(everyone, 0.999),
            errors=sum(self.failed[first:]) / (scenario.arriving - first),
            lost=1 - self.done_work / sum(self.world.demands_ns[first:]),
            answered_p50=_quantile(answered, 0.5) if answered else scenario.timeout_ns,
            answered_p99=_quantile(answered, 0.99) if answered else scenario.timeout_ns,
            shares=tuple(model.served / served for model in self.world.replicas),
            probes=self.probes / scenario.arriving,
        )


def _quantile(ordered: Sequence[int], share: float) -> int:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
