"""One upstream's endpoints and the policy over those that may be used: zones, panic, slow start, live weights. Pure."""

from collections.abc import Callable, Collection, Sequence
from copy import copy, deepcopy
from dataclasses import dataclass
from typing import Final

from services.gateway.balancing.endpoint import Endpoint
from services.gateway.balancing.policy import Policy

_NEVER: Final = 1 << 62
_SLOW_START_STEPS: Final = 50


@dataclass(frozen=True, slots=True)
class BalancerRules:
    """How an upstream's requests are spread beside the policy.

    zone            the gateway's own; endpoints there come first, empty: no preference
    overprovisioning  how much more than its share a zone's healthy part can carry: at 1.4 the local zone keeps
                    all requests until less than 1/1.4 = 71 % of its weight is healthy (Envoy's figure)
    panic_below     with a smaller share than this healthy, all that are not drained are used: better a gamble
                    than drowning the last ones. 0: never
    slow_start_ns   how long an endpoint that became healthy takes to come to its full weight
    slow_start_from share of its weight that it begins with
    """

    zone: str = ""
    overprovisioning: float = 1.4
    panic_below: float = 0.5
    slow_start_ns: int = 0
    slow_start_from: float = 0.1


@dataclass(frozen=True, slots=True)
class Candidate:
    """An endpoint that could have been chosen; the lowest score is preferred where the policy compares any."""

    endpoint: Endpoint
    score: float


@dataclass(frozen=True, slots=True)
class Exclusion:
    """An endpoint that could not have been chosen, and why."""

    endpoint: Endpoint
    reason: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """What the next `pick` would do. `chosen` is None when nobody is left."""

    policy: str
    chosen: Endpoint | None
    reason: str
    candidates: tuple[Candidate, ...]
    excluded: tuple[Exclusion, ...]


class Balancer:
    """Picks an endpoint for each attempt.

    `usable` says whether an endpoint may take requests now (health, ejection, circuit breaker), `why_not`
    in a few words why it may not. Whoever changes what they answer, or a live weight, calls `refresh`:
    until then the candidates stand. While slow start is under way the balancer calls it itself.
    """

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        policy: Policy,
        usable: Callable[[Endpoint], bool],
        now_ns: int,
        *,
        rules: BalancerRules | None = None,
        why_not: Callable[[Endpoint], str] = lambda _: "not usable",
    ) -> None:
        self._endpoints = tuple(endpoints)
        self._policy = policy
        self._choose = policy.choose
        # What policies remember goes by their candidates, who are others for requests that leave the zone and
        # for further attempts: each has a policy of its own.
        self._remote_policy = deepcopy(policy)
        self._retry_policy = deepcopy(policy)
        self._usable = usable
        self._why_not = why_not
        self._rules = rules or BalancerRules()
        self._since: dict[Endpoint, int] = {}  # when who became usable; absent: not usable
        self._seen_before = False
        self._candidates: tuple[Endpoint, ...] = ()
        self._remote: tuple[Endpoint, ...] = ()
        self._spilling = 0.0  # share of the requests that leave the zone
        self._spilled = 0.0
        self._panic = False
        self._refresh_at_ns = _NEVER
        self.refresh(now_ns)

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """All, usable or not."""
        return self._endpoints

    @property
    def candidates(self) -> tuple[Endpoint, ...]:
        """Who may be chosen as of the last refresh; other zones' only as far as they must help."""
        return self._candidates + self._remote if self._spilling else self._candidates

    @property
    def panic(self) -> bool:
        """Whether too few are healthy, so that all are used."""
        return self._panic

    def replace(self, endpoints: Sequence[Endpoint], now_ns: int) -> None:
        """Another set of endpoints; those that stay keep all that is known of them."""
        self._endpoints = tuple(endpoints)
        self.refresh(now_ns)

    def pick(self, now_ns: int, key: bytes = b"", excluding: Collection[Endpoint] = ()) -> Endpoint | None:
        """The endpoint for an attempt, or None when there is no other than `excluding`."""
        if now_ns >= self._refresh_at_ns:
            self.refresh(now_ns)
        if self._spilling or excluding:
            policy, candidates = self._turn(excluding)
            return policy.choose(candidates, now_ns, key) if candidates else None
        candidates = self._candidates
        return self._choose(candidates, now_ns, key) if candidates else None

    def _turn(self, excluding: Collection[Endpoint]) -> tuple[Policy, tuple[Endpoint, ...]]:
        """Who chooses for the next attempt, and among whom."""
        policy, candidates = self._policy, self._candidates
        if self._spilling:
            self._spilled += self._spilling
            if self._spilled >= 1.0:
                self._spilled -= 1.0
                policy, candidates = self._remote_policy, self._remote
        if excluding:
            return self._retry_policy, self._without(candidates, excluding)
        return policy, candidates

    def _without(
        self, candidates: tuple[Endpoint, ...], excluding: Collection[Endpoint]
    ) -> tuple[Endpoint, ...]:
        """What is left, if need be in the other zones."""
        left = tuple(one for one in candidates if one not in excluding)
        return left or tuple(one for one in self._candidates + self._remote if one not in excluding)

    def refresh(self, now_ns: int) -> None:
        """Asks `usable` again and recomputes weights and candidates."""
        self._observe_health(now_ns)
        self._ramp(now_ns)
        in_service = [one for one in self._endpoints if one.live_weight > 0.0]
        healthy = tuple(one for one in in_service if one in self._since)
        self._panic = len(healthy) < self._rules.panic_below * len(in_service)
        if self._panic:
            healthy = tuple(in_service)
        # Always new tuples: by their identity policies see that members or weights may have changed.
        self._candidates, self._remote = self._by_zone(healthy)
        self._spilling = self._spill(in_service) if self._remote else 0.0
        if self._spilling == 1.0:
            self._candidates, self._remote, self._spilling = self._remote, (), 0.0

    def _observe_health(self, now_ns: int) -> None:
        since = {one: self._since.get(one, now_ns) for one in self._endpoints if self._usable(one)}
        if not self._seen_before:
            # At the start everyone is new, and so nobody has to be spared beside the others.
            since = dict.fromkeys(since, now_ns - self._rules.slow_start_ns)
            self._seen_before = bool(since)
        self._since = since

    def _ramp(self, now_ns: int) -> None:
        """Slow start: weights grow in a straight line; the next step is due at `_refresh_at_ns`."""
        window = self._rules.slow_start_ns
        ramping = False
        for one in self._endpoints:
            age = now_ns - self._since.get(one, now_ns)
            begun = age < window and one in self._since
            ramping = ramping or begun
            one.slow_start = max(self._rules.slow_start_from, age / window) if begun else 1.0
            one.reweigh()
        self._refresh_at_ns = now_ns + window // _SLOW_START_STEPS if ramping else _NEVER

    def _by_zone(self, healthy: tuple[Endpoint, ...]) -> tuple[tuple[Endpoint, ...], tuple[Endpoint, ...]]:
        zone = self._rules.zone
        if not zone:
            return healthy, ()
        local = tuple(one for one in healthy if one.replica.zone == zone)
        return local, tuple(one for one in healthy if one.replica.zone != zone)

    def _spill(self, in_service: Sequence[Endpoint]) -> float:
        """The share of the requests that must leave the zone because too little of it is healthy."""
        whole = sum(_full_weight(one) for one in in_service if one.replica.zone == self._rules.zone)
        healthy = sum(_full_weight(one) for one in self._candidates)
        return max(0.0, 1.0 - self._rules.overprovisioning * healthy / whole) if whole else 1.0

    def why(self, chosen: Endpoint, now_ns: int) -> str:
        """The reason of a choice that was just made, in a sentence."""
        return self._sentence(self._policy, chosen, now_ns)

    def explain(self, now_ns: int, key: bytes = b"", excluding: Collection[Endpoint] = ()) -> Explanation:
        """What `pick` would do now, and why. Changes nothing."""
        twin = copy(self)
        # All of the policies' own state, but the same endpoints.
        shared = {id(one): one for one in self._endpoints}
        twin._policy, twin._remote_policy, twin._retry_policy = deepcopy(
            (self._policy, self._remote_policy, self._retry_policy), shared
        )
        policy, candidates = twin._turn(excluding)
        chosen = policy.choose(candidates, now_ns, key) if candidates else None
        able = self._without(self.candidates, excluding)
        return Explanation(
            policy=policy.name,
            chosen=chosen,
            reason=self._sentence(policy, chosen, now_ns),
            candidates=tuple(Candidate(one, policy.score(one, now_ns)) for one in able),
            excluded=tuple(
                Exclusion(one, self._exclusion(one, excluding)) for one in self._endpoints if one not in able
            ),
        )

    def _sentence(self, policy: Policy, chosen: Endpoint | None, now_ns: int) -> str:
        if chosen is None:
            return "Nobody is left to choose from."
        words = [f"{chosen.replica.address} by {policy.name}: {policy.reason(chosen, now_ns)}"]
        if self._panic:
            words.append("too few are healthy, so that all are used")
        if self._rules.zone and chosen.replica.zone != self._rules.zone:
            words.append(f"too little of zone {self._rules.zone} is healthy, so that others help")
        return "; ".join(words) + "."

    def _exclusion(self, endpoint: Endpoint, excluding: Collection[Endpoint]) -> str:
        if endpoint in excluding:
            return "tried before"
        if endpoint.live_weight <= 0.0:
            return "drained"
        return self._why_not(endpoint) if endpoint not in self._since else "in another zone"


def _full_weight(endpoint: Endpoint) -> float:
    """Without slow start: what the endpoint will carry."""
    return endpoint.replica.weight * endpoint.live_weight
