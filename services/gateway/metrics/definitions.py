"""The metrics that only a gateway has. Data."""

from typing import Final

from shared.telemetry.metrics.definitions import HTTP_BOUNDS_NS, SHARED_METRICS, Across, Kind, Metric

_REPLICA: Final = ("crm.upstream.name", "server.address", "server.port")

ATTEMPT_DURATION: Final = Metric(
    "http.client.request.duration",
    Kind.HISTOGRAM,
    "s",
    "One attempt at one replica, however it ended.",
    (*_REPLICA, "http.response.status_code", "error.type"),
    bounds_ns=HTTP_BOUNDS_NS,
)
ATTEMPTS: Final = Metric(
    "crm.gateway.attempts",
    Kind.COUNTER,
    "{attempt}",
    "Attempts that began, by what they were made for.",
    ("crm.upstream.name", "kind"),
)
OUTCOMES: Final = Metric(
    "crm.gateway.attempt.outcomes",
    Kind.COUNTER,
    "{attempt}",
    "Attempts that ended, by how.",
    ("crm.upstream.name", "outcome"),
)
TURNED_AWAY: Final = Metric(
    "crm.gateway.turned_away",
    Kind.COUNTER,
    "{request}",
    "Requests for an upstream that got no attempt, by why.",
    ("crm.upstream.name", "reason"),
)
REPLICA_UP: Final = Metric(
    "crm.gateway.replica.up",
    Kind.GAUGE,
    "",
    "Whether the replica passes its health checks, to every worker: 1 or 0.",
    _REPLICA,
    Across.MIN,
)
REPLICA_ACTIVE: Final = Metric(
    "crm.gateway.replica.active_requests",
    Kind.GAUGE,
    "{request}",
    "Attempts under way at the replica.",
    _REPLICA,
)
REPLICA_WEIGHT: Final = Metric(
    "crm.gateway.replica.weight",
    Kind.GAUGE,
    "",
    "What the replica carries: configured weight, live weight and slow start multiplied, 0 when drained.",
    _REPLICA,
    Across.MAX,
)
CIRCUIT_OPEN: Final = Metric(
    "crm.gateway.replica.circuit_open",
    Kind.GAUGE,
    "",
    "Whether any worker's circuit breaker keeps attempts from the replica: 1 or 0.",
    _REPLICA,
    Across.MAX,
)
CACHE_REQUESTS: Final = Metric(
    "crm.gateway.cache.requests",
    Kind.COUNTER,
    "{request}",
    "GET and HEAD requests of a route with a cache, by what became of them there.",
    ("http.route", "outcome"),
)
CACHE_BYTES: Final = Metric(
    "crm.gateway.cache.bytes",
    Kind.GAUGE,
    "By",
    "What a route's cache occupies, with everything about it.",
    ("http.route",),
)
CACHE_ENTRIES: Final = Metric(
    "crm.gateway.cache.entries", Kind.GAUGE, "{entry}", "Keys that a route's cache holds.", ("http.route",)
)
CACHE_EVICTIONS: Final = Metric(
    "crm.gateway.cache.evictions",
    Kind.COUNTER,
    "{entry}",
    "What a route's cache dropped to make room.",
    ("http.route",),
)
CACHE_INVALIDATIONS: Final = Metric(
    "crm.gateway.cache.invalidations",
    Kind.COUNTER,
    "{entry}",
    "What a route's cache dropped because something was changed, or an operator wished it.",
    ("http.route",),
)
CACHE_UNPROVEN: Final = Metric(
    "crm.gateway.cache.unproven",
    Kind.COUNTER,
    "{request}",
    "Requests for what is stored but was not used, as it was not certain that all changes were known here.",
    ("http.route",),
)
CACHE_SECOND_OPERATIONS: Final = Metric(
    "crm.gateway.cache.second.operations",
    Kind.COUNTER,
    "{operation}",
    "What became of looks into the second level, of what was to be stored there, and of changes it was told of.",
    ("outcome",),
)
CACHE_SECOND_FAILURES: Final = Metric(
    "crm.gateway.cache.second.failures",
    Kind.COUNTER,
    "{command}",
    "What the servers of the second level were asked in vain, or could not be asked.",
    ("error.type",),
)
CACHE_SECOND_MISSING: Final = Metric(
    "crm.gateway.cache.second.missing",
    Kind.GAUGE,
    "{server}",
    "Servers of the second level that cannot be asked, by the worker that lacks most.",
    (),
    Across.MAX,
)
CACHE_PEERS_WRITES: Final = Metric(
    "crm.gateway.cache.peers.writes",
    Kind.COUNTER,
    "{request}",
    "Writes whose callers waited until other gateways knew, by how that ended.",
    ("outcome",),
)
CACHE_PEERS_WAIT: Final = Metric(
    "crm.gateway.cache.peers.wait.time",
    Kind.COUNTER,
    "s",
    "The time that callers waited for other gateways.",
    (),
)
CACHE_PEERS_LAPSES: Final = Metric(
    "crm.gateway.cache.peers.lapses",
    Kind.COUNTER,
    "{lapse}",
    "Times in which nothing that is stored of an upstream could be used for that, by now over.",
    (),
)
CACHE_PEERS_OTHERS: Final = Metric(
    "crm.gateway.cache.peers.others",
    Kind.GAUGE,
    "{gateway}",
    "Other gateways in the registry.",
    (),
    Across.MAX,
)
RATE_LIMIT_ALONE: Final = Metric(
    "crm.gateway.rate_limit.alone",
    Kind.GAUGE,
    "{worker}",
    "Workers that hold rate limits without the other gateways that they should hold them with.",
    (),
)
RATE_LIMIT_SHARED: Final = Metric(
    "crm.gateway.rate_limit.shared",
    Kind.COUNTER,
    "{operation}",
    "How often what a caller had spent was sent to the common count, answered, or forgotten; and losses of step.",
    ("outcome",),
)

GATEWAY_METRICS: Final = (
    ATTEMPT_DURATION,
    ATTEMPTS,
    OUTCOMES,
    TURNED_AWAY,
    REPLICA_UP,
    REPLICA_ACTIVE,
    REPLICA_WEIGHT,
    CIRCUIT_OPEN,
    CACHE_REQUESTS,
    CACHE_BYTES,
    CACHE_ENTRIES,
    CACHE_EVICTIONS,
    CACHE_INVALIDATIONS,
    CACHE_UNPROVEN,
    CACHE_SECOND_OPERATIONS,
    CACHE_SECOND_FAILURES,
    CACHE_SECOND_MISSING,
    CACHE_PEERS_WRITES,
    CACHE_PEERS_WAIT,
    CACHE_PEERS_LAPSES,
    CACHE_PEERS_OTHERS,
    RATE_LIMIT_ALONE,
    RATE_LIMIT_SHARED,
)
CATALOGUE: Final = {metric.name: metric for metric in (*SHARED_METRICS, *GATEWAY_METRICS)}
"""Everything that a worker tells its parent."""
