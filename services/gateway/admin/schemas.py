"""The admin API's documents."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from services.gateway.control.steering import HEAVIEST


class Answer(BaseModel):
    """What the API says; what a worker tells of itself may hold more than is written down here."""

    model_config = ConfigDict(extra="ignore", ser_json_inf_nan="null")


class Problem(Answer):
    """RFC 9457, as every error of the suite."""

    type: str
    title: str
    status: int
    code: str
    detail: str | None = None
    instance: str
    request_id: str
    errors: list[dict[str, Any]] = []
    workers: list[dict[str, Any]] = Field(
        default=[],
        description="Those because of which nothing was reloaded: `worker`, its number, and `reason`.",
    )


class Route(Answer):
    """A route in force."""

    name: str
    prefix: str
    hosts: list[str]
    methods: list[str]
    upstream: str
    policy: str | None
    public: bool
    rewrite: str | None
    priority: str
    timeout_s: float
    attempt_timeout_s: float | None
    max_retries: int
    hedged: bool
    slow_s: float | None = Field(description="From when on a request is slow; null: learnt.")


class Account(Answer):
    """Attempts and how they ended: `attempts` = `first` + `retries` + `hedges` = `in_flight` + all `outcomes`."""

    requests: int
    attempts: int
    first: int
    retries: int
    hedges: int
    in_flight: int
    outcomes: dict[str, int]
    turned_away: dict[str, int]


class Connections(Answer):
    """To one replica."""

    open: int
    idle: int
    opened: int


class Circuit(Answer):
    """A replica's circuit breaker; of several workers the worst."""

    state: Literal["closed", "half_open", "open"]
    attempts: int
    failures: int
    probes: int
    retry_in_s: float
    opened_count: int


class Ejection(Answer):
    """Whether a replica is left out because it does worse than the others."""

    ejected: bool
    returns_in_s: float | None
    reason: str


class Replica(Answer):
    """A replica as all workers together see it. `why_not`: the reasons of those that do not use it."""

    address: str
    zone: str
    usable: bool
    why_not: list[str]
    healthy: bool
    drained: bool
    weight: float = Field(
        description="What it carries: configured weight, live weight and slow start multiplied, 0 when drained."
    )
    configured_weight: float
    live_weight: float = Field(description="As set through this API, 1 unless told.")
    active: int = Field(description="Requests in flight there, of all workers.")
    requests: int
    failures: int
    latency_ms: float = Field(description="The peak-sensitive moving average; the slowest worker's.")
    load: dict[str, Any] | None = Field(description="The newest report of the replica itself.")
    connections: Connections
    circuit: Circuit
    ejection: Ejection | None


class Concurrency(Answer):
    """The adaptive limits of all workers, added up."""

    limit: int
    in_flight: int
    waiting: dict[str, int]
    rejected: int
    latency_ms: float


class Upstream(Answer):
    """An upstream as all workers together see it, and as each does, by its number."""

    name: str
    policy: str
    panic: bool
    account: Account
    concurrency: Concurrency | None
    retries_available: int
    replicas: list[Replica]
    workers: dict[str, dict[str, Any]]


class Ledger(Answer):
    """The accounts of all workers. `mistakes`: what does not add up; `workers`: whose accounts these are."""

    balances: bool
    mistakes: list[str]
    total: Account | None
    upstreams: dict[str, Account]
    workers: list[int]


class SharedLimit(Answer):
    """How a worker holds rate limits together with other gateways."""

    in_step: bool = Field(description="It is; else it limits with the other workers of its gateway alone.")
    waiting: int = Field(description="Callers who have spent something that nobody was told of yet.")
    servers: list[str] = Field(description="Where it is connected: one of a cluster's counts.")
    losses: int = Field(description="Connections that ended or did not come about.")
    failures: dict[str, int] = Field(
        description="Asked in vain: `unavailable` without a connection, `busy`, `lost` without an answer, `refused`."
    )
    counts: dict[str, int] = Field(
        description="How often what a caller had spent was `sent`, that was `answered`, it was `forgotten` as nobody"
        " could be asked; and how often the worker fell out of step (`losses`)."
    )


class Worker(Answer):
    """A worker process. `ready`: it serves; `restarts`: how often it was started again."""

    number: int
    pid: int | None
    ready: bool
    restarts: int
    age_s: float
    connections: int | None = Field(description="Of callers; null when the worker does not answer.")
    uncounted: int | None = Field(
        description="Requests and connections that were let through, as the other workers could not be told of them."
    )
    shared_limit: SharedLimit | None = Field(
        description="Null where no other gateways are named, or the worker does not answer."
    )


class Reloaded(Answer):
    """What is in force now. `applied`: the workers that went over to it; another one begins with it."""

    routes: int
    upstreams: int
    keys: int
    workers: int
    workers_before: int
    applied: list[int]


class Weight(BaseModel):
    """What a replica's configured weight is multiplied by; 0 gives it nothing."""

    model_config = ConfigDict(extra="forbid")

    weight: float = Field(ge=0, le=HEAVIEST, allow_inf_nan=False)


class Candidate(Answer):
    """Who could be chosen; the lowest score is preferred where the policy compares any."""

    address: str
    score: float | None = None
    weight: float
    active: int


class Exclusion(Answer):
    """Who could not, and why."""

    address: str
    reason: str


class Balancing(Answer):
    """Who would be chosen among whom."""

    policy: str
    hash_key: str | None = None
    panic: bool
    chosen: str | None = None
    candidates: list[Candidate]
    excluded: list[Exclusion]


class Stored(Answer):
    """What a cache holds under one key. Of whom it is for, the tenant alone is told, and of queries only names."""

    tenant_id: str | None
    url: str
    visibility: Literal["everyone", "tenant", "scopes", "principal"]
    hits: int
    bytes: int
    variants: int = Field(description="Answers, which differ by what `Vary` names.")
    age_s: int = Field(description="Of the latest.")
    ttl_s: int = Field(description="For so long it is fresh; negative when it is stale.")
    tags: list[str]


class Caching(Answer):
    """What the route's cache would do: answer it (`hit`), have it wait for another (`collapsed`), or let it go on.

    `unknown`: that depends on who asks. `stored` may be there and not do; `reason` says why.
    """

    outcome: Literal["hit", "miss", "stale", "collapsed", "bypass", "unavailable", "unknown"]
    reason: str
    stored: Stored | None = None


class Explanation(Answer):
    """What would become of a request, in one worker; parts that it would not come to are absent."""

    worker: int
    outcome: Literal["forwarded", "queued", "cached", "own_page", "refused"]
    reason: str
    problem: dict[str, Any] | None = None
    route: dict[str, Any] | None = None
    auth: dict[str, Any] | None = None
    rate_limit: dict[str, Any] | None = None
    upstream: str | None = None
    cache: Caching | None = None
    target: str | None = None
    deadline: dict[str, Any] | None = None
    retries: dict[str, Any] | None = None
    hedging: dict[str, Any] | None = None
    concurrency: dict[str, Any] | None = None
    balancing: Balancing | None = None
