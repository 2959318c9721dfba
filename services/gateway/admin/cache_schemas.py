"""What the admin API tells of caches, and what it is asked to do with them."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from services.gateway.admin.schemas import Answer, Stored
from services.gateway.admin.trace_schemas import TENANT
from services.gateway.config.routes import EvictionName, VisibilityName

Tag = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,200}$")]
Target = Annotated[str, StringConstraints(pattern=r"^/[!-~]{0,8000}$")]


class Cache(Answer):
    """A route's cache, of all workers together: each has one of its own, and so the same answer may be in several.

    `requests` are GET and HEAD by what became of them: `hit`; `collapsed`, after waiting for one that fetched the
    same; `shared`, which the second level had; `stale`, mostly to be validated; `bypass`, as the request asked for that
    or no key holds it; and `miss`.
    """

    route: str
    prefix: str
    policies: list[EvictionName] = Field(
        description="Of eviction, in force; more than one if workers differ."
    )
    visibility: VisibilityName
    current: bool = Field(
        description="Whether all workers know of all changes; one that does not uses nothing."
    )
    bound_bytes: int
    used_bytes: int
    entries: int
    tags: int
    requests: dict[str, int]
    hit_ratio: float | None = Field(
        description="Hits, collapsed and shared, of all requests; null when there were none."
    )
    unproven: int = Field(
        description="Requests for what is stored but was not used, as not all changes were certain to be known."
    )
    in_flight: int = Field(description="What is being fetched, and others may wait for.")
    stored: int
    not_stored: dict[str, int] = Field(description="Answers that came and were not stored, by why.")
    evicted: int
    expired: int
    invalidated: int
    too_large: int
    workers: list[int]


class Second(Answer):
    """The second level, of all workers together.

    `counts` tell what became of looks (`hits`, `misses`, `outdated` as something was changed, `unusable` or `undated`
    by what is known here, `garbled`, `failed`), of answers to be stored (`stored`, `refused` as something was changed
    meanwhile, `dropped` as too many waited, `failed_stores`), and of changes (`changes`, `failed_changes`).
    """

    cluster: bool
    primaries: int = Field(description="That there are, as far as is known.")
    servers: list[str] = Field(description="Those that any worker is connected to.")
    losses: int = Field(description="Connections that ended or did not come about.")
    failures: dict[str, int] = Field(
        description="Asked in vain: `unavailable` without a connection, `busy`, `lost` without an answer, `refused`."
    )
    counts: dict[str, int]
    queued: int = Field(description="Answers that wait to be stored.")
    plain_bytes: int = Field(description="Of the bodies stored so far, as callers get them.")
    stored_bytes: int = Field(description="The same as they were stored: compressed, where that pays.")
    workers: dict[str, int] = Field(description="How many servers each worker is connected to.")


class Proofs(Answer):
    """Of one upstream: how often the gateway asked what was committed there that it had not been told."""

    asked: int
    failures: int = Field(description="Questions without an answer.")
    resets: int = Field(description="How often everything had to be taken for changed.")


class Speaker(Answer):
    """What one worker does for the gateway. Without a `shared_cache` there is no registry, and null in its fields."""

    registered: bool | None = Field(description="Others certainly wait for this gateway.")
    settled: bool | None = Field(description="The registry can be relied on; else all writes wait.")
    others: int | None = Field(description="Other gateways in the registry.")
    entries: int = Field(
        description="How often this gateway was entered, or could not be certain that it was."
    )
    heard: int = Field(description="Writes through other gateways.")
    lapses: int = Field(
        description="Times in which nothing stored could be used, of each upstream, by now over."
    )
    failed_renewals: int
    proofs: dict[str, Proofs]


class PeerWrites(Answer):
    """Writes whose callers had to wait until other gateways knew.

    `counts` by how that ended: `acknowledged` by all; else it took as long as stored answers may be used without a
    proof: `silent` (somebody did not acknowledge), `unsettled` (nobody knew who all are), `unreachable` (nor ask).
    """

    under_way: int
    waited_s: float
    counts: dict[str, int]


class Peers(Answer):
    """Other gateways before the same services, of all workers together."""

    gateway: str | None = Field(description="This one's name in the registry; of each start, another one.")
    speaker: Speaker | None = Field(description="Null while the workers are about to elect one.")
    writes: PeerWrites
    upstreams: dict[str, bool] = Field(
        description="Whether what is stored of an upstream may be used, as far as other gateways go."
    )


class Comparison(Answer):
    """What each policy would have scored on a sample of these very requests. `favourite`: what `adaptive` goes by."""

    share: float = Field(description="Of the keys, that are sampled; the least of the workers'.")
    requests: int = Field(description="Sampled, that were scored: the last of them.")
    hit_ratios: dict[str, float]
    optimum: float | None = Field(description="What could have been hit at best, knowing the future.")


class WorkersComparison(Comparison):
    """Of one worker."""

    policy: EvictionName
    favourite: str


class Policies(Comparison):
    """Of all workers, weighed by their requests, and of each by its number."""

    route: str
    policies: list[EvictionName]
    workers: dict[str, WorkersComparison]


class Used(Stored):
    """What is stored under a key. Keys that look alike here are shown as one: those of several audiences or queries."""

    keys: int
    workers: list[int]


class PolicyOrder(BaseModel):
    """How a route's cache makes room from now on, until the next reload."""

    model_config = ConfigDict(extra="forbid")

    policy: EvictionName


class PurgeOrder(BaseModel):
    """What to drop: either `tags` of an `upstream`, or of a `route` a `path`, all that begins with `prefix`, or all.

    Of a `route` without a `tenant`, that of all tenants; of `tags` without one, what is stored for everyone.
    """

    model_config = ConfigDict(extra="forbid")

    upstream: str | None = None
    tags: list[Tag] | None = Field(None, min_length=1, max_length=1000, description="As services name them.")
    route: str | None = None
    path: Target | None = Field(None, description="With its query, as callers send it.")
    prefix: Target | None = None
    tenant: str | None = Field(None, pattern=TENANT)

    @model_validator(mode="after")
    def _means_one_thing(self) -> Self:
        by_tags = self.upstream is not None and self.tags is not None
        by_route = self.route is not None and None in (self.path, self.prefix)
        strange = (self.route, self.path, self.prefix) if by_tags else (self.upstream, self.tags)
        if not (by_tags or by_route) or any(one is not None for one in strange):
            raise ValueError(
                "name an upstream and tags, or a route and at most one of path and prefix, and nothing else"
            )
        return self


class Purged(Answer):
    """How many keys were dropped, of all `workers` together. What was on its way is not stored either."""

    dropped: int
    workers: list[int]
