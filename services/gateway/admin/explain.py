"""The pipeline run dry: what would become of a request now, and why. Counts nothing, connects to nobody."""

from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass, field
from math import isfinite
from typing import TYPE_CHECKING, Any

from services.gateway.auth.policy import authenticate
from services.gateway.limits.rate_limiter import RateLimiter, too_many_requests
from services.gateway.protocol.request_head import RequestHead, malformed, parse_request_head
from shared.problems import Problem, unavailable

if TYPE_CHECKING:
    from services.gateway.auth.keys import Caller, KeyRing
    from services.gateway.routing.destination import Destination


@dataclass(frozen=True, slots=True)
class Question:
    """A request that nobody has sent. `target` is path and query as sent, `client` the caller's address.

    Without a `key` a caller with a good one is assumed: then no allowance of his can be told.
    """

    target: str
    method: str = "GET"
    host: str = "localhost"
    client: str = "127.0.0.1"
    key: str | None = None
    headers: dict[str, str] = field(default_factory=dict)

    def head(self) -> RequestHead:
        """As the protocol reads it. Raises the `Problem` with which it refuses it."""
        lines = [f"{self.method} {self.target} HTTP/1.1", f"host: {self.host}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        if self.key is not None:
            lines.append(f"x-api-key: {self.key}")
        try:
            return parse_request_head("\r\n".join(lines).encode("ascii"))
        except UnicodeEncodeError:
            raise malformed("it is not all ASCII") from None


class DryRun:
    """`route` finds the destination or raises a `Problem`; without `keys` everyone may ask."""

    def __init__(
        self,
        route: "Callable[[RequestHead, bytes], Destination]",
        pages: Collection[bytes],
        keys: "KeyRing | None",
        limiter: RateLimiter | None,
    ) -> None:
        self._route = route
        self._pages = pages
        self._keys = keys
        self._limiter = limiter

    def explain(self, question: Question, now_ns: int) -> dict[str, Any]:
        """The story of the request as far as it would come, as JSON (`admin.schemas.Explanation`)."""
        story: dict[str, Any] = {"outcome": "refused"}
        try:
            self._tell(story, question, now_ns)
        except Problem as problem:
            story["reason"] = problem.detail or problem.title
            story["problem"] = {"status": problem.status, "code": problem.code, "title": problem.title}
        return story

    def _tell(self, story: dict[str, Any], question: Question, now_ns: int) -> None:
        head = question.head()
        path = head.path
        if path in self._pages:
            story |= {"outcome": "own_page", "reason": "The gateway answers this itself."}
            return
        destination = self._route(head, path)
        story["route"] = _route_of(destination)
        caller = self._authenticate(story, head, destination, question.key is not None)
        self._limit(story, caller, question.client)
        upstream = destination.upstream
        story["upstream"] = upstream.name
        if _answered_from_cache(story, destination, head, caller, now_ns):
            return
        story["target"] = destination.target(head).decode("ascii")
        story["deadline"] = _deadline(destination, head, now_ns)
        story["retries"] = _retries(destination, now_ns)
        story["hedging"] = _hedging(destination, now_ns)
        story["concurrency"] = upstream.limiter.describe() if upstream.limiter is not None else None
        _balance(story, destination, destination.key(head, question.client), now_ns)

    def _authenticate(
        self, story: dict[str, Any], head: RequestHead, destination: "Destination", has_key: bool
    ) -> "Caller | None":
        if self._keys is None or destination.public:
            why = "the gateway asks nobody for a key" if self._keys is None else "the route is public"
            story["auth"] = {"outcome": "not_needed", "reason": why}
            return None
        if not has_key:
            story["auth"] = {"outcome": "assumed", "reason": "no key was given to try"}
            return None
        story["auth"] = {"outcome": "refused", "reason": "this key is not valid"}
        caller = authenticate(list(head.fields.found.items()), self._keys)
        identity = caller.identity
        story["auth"] = {
            "outcome": "accepted",
            "reason": "the key is known",
            "key_id": caller.key_id,
            "tenant_id": str(identity.tenant_id),
            "principal": identity.principal,
            "scopes": sorted(identity.scopes),
        }
        return caller

    def _limit(self, story: dict[str, Any], caller: "Caller | None", client: str) -> None:
        if self._limiter is None or story["auth"]["outcome"] == "assumed":
            return
        who = caller.key_id if caller is not None else f"address:{client}"
        allowance = self._limiter.peek(who)
        story["rate_limit"] = {
            "counted_by": who,
            "allowed": allowance.allowed,
            "remaining": allowance.remaining,
            "full_in_s": allowance.full_in_s,
            "retry_after_s": allowance.retry_after_s,
        }
        if not allowance.allowed:
            raise too_many_requests(allowance)


def _route_of(destination: "Destination") -> dict[str, Any]:
    route = destination.route
    return {
        "name": route.name,
        "prefix": route.prefix,
        "hosts": list(route.hosts),
        "methods": list(route.methods),
        "public": route.public,
        "rewrite": route.rewrite,
        "priority": route.priority.name.lower(),
    }


def _answered_from_cache(
    story: dict[str, Any],
    destination: "Destination",
    head: RequestHead,
    caller: "Caller | None",
    now_ns: int,
) -> bool:
    """Whether nobody would be asked."""
    if destination.cache is None:
        return False
    identity = caller.identity if caller is not None else None
    story["cache"] = told = destination.cache.explain(head, identity, now_ns)
    if told["outcome"] == "unavailable":
        raise Problem(504, "not_cached", "Gateway timeout", told["reason"])
    if told["outcome"] == "hit":
        story |= {"outcome": "cached", "reason": told["reason"]}
        return True
    return False


def _deadline(destination: "Destination", head: RequestHead, now_ns: int) -> dict[str, Any]:
    route = destination.route
    asked = head.fields.found.get(b"x-kontor-timeout-ms")
    deadline_ns = destination.deadlines.deadline(now_ns, asked)
    return {
        "timeout_s": route.timeout_s,
        "attempt_timeout_s": route.attempt_timeout_s,
        "attempt_s": (destination.deadlines.attempt_deadline(now_ns, deadline_ns) - now_ns) / 1e9,
    }


def _retries(destination: "Destination", now_ns: int) -> dict[str, Any]:
    rule = asdict(destination.route.retry)
    rule["retry_on"] = sorted(outcome.label for outcome in destination.route.retry.retry_on)
    return {**rule, "available": destination.upstream.budget.available(now_ns)}


def _hedging(destination: "Destination", now_ns: int) -> dict[str, Any] | None:
    if destination.hedging is None or destination.route.hedging is None:
        return None
    return {**asdict(destination.route.hedging), **destination.hedging.describe(now_ns)}


def _balance(story: dict[str, Any], destination: "Destination", key: bytes, now_ns: int) -> None:
    explanation = destination.balancer.explain(now_ns, key)
    story["balancing"] = {
        "policy": explanation.policy,
        "hash_key": key.decode("latin-1") or None,
        "panic": destination.balancer.panic,
        "chosen": explanation.chosen.replica.address if explanation.chosen is not None else None,
        "candidates": [
            {
                "address": one.endpoint.replica.address,
                "score": one.score if isfinite(one.score) else None,
                "weight": one.endpoint.weight,
                "active": one.endpoint.active,
            }
            for one in explanation.candidates
        ],
        "excluded": [
            {"address": one.endpoint.replica.address, "reason": one.reason} for one in explanation.excluded
        ],
    }
    if explanation.chosen is None:
        raise unavailable(f"No replica of {destination.upstream.name} can take requests at the moment.")
    limiter = destination.upstream.limiter
    if limiter is not None and limiter.in_flight >= limiter.limit:
        story["outcome"] = "queued"
        story["reason"] = (
            f"{destination.upstream.name} has as much to do as it can: the request would wait, and then go to "
            + explanation.reason
        )
        return
    story["outcome"] = "forwarded"
    story["reason"] = explanation.reason
