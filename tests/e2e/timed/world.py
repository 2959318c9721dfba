"""How the gateway is laid out for the mixed traffic: every way a request can take."""

from typing import Any, Final

SERVICES: Final[dict[str, dict[str, str]]] = {"one": {}, "two": {}}
ECHOES: Final = ("a", "b")
BOTH: Final = ["one", "two"]

UPSTREAMS: Final[dict[str, dict[str, Any]]] = {
    "customers": {"replicas": BOTH, "retries": {"max_retries": 0}, "hedging": False},
    "echo": {"replicas": list(ECHOES), "retries": {"max_retries": 0}, "hedging": False},
    "pair": {
        "replicas": BOTH,
        "policy": "round_robin",
        "hedging": False,
        "retry_budget": {"percent": 100, "min_per_second": 1_000},
    },
    "hedged": {
        "replicas": BOTH,
        "policy": "round_robin",
        "hedging": {"min_samples": 1, "percentile": 10, "min_delay_s": 0.005, "max_hedges_percent": 100},
    },
    "queued": {
        "replicas": BOTH,
        "hedging": False,
        "concurrency": {
            "min_limit": 1,
            "initial_limit": 2,
            "max_limit": 2,
            "queue": {"max_waiting": 4, "max_wait_s": 0.02},
        },
    },
    "late": {"replicas": BOTH, "hedging": False, "retries": {"max_retries": 0}},
}

ROUTES: Final[list[dict[str, Any]]] = [
    {"name": "v1", "prefix": "/v1", "upstream": "customers", "methods": ["GET", "HEAD", "POST", "PATCH"]},
    {"name": "faults", "prefix": "/faults", "upstream": "customers"},
    {"name": "echo", "prefix": "/echo", "upstream": "echo", "rewrite": "/"},
    {"name": "cached", "prefix": "/cached", "upstream": "customers", "rewrite": "/", "cache": {}},
    {"name": "pair", "prefix": "/pair", "upstream": "pair", "rewrite": "/"},
    {"name": "hedged", "prefix": "/hedged", "upstream": "hedged", "rewrite": "/"},
    {"name": "queued", "prefix": "/queued", "upstream": "queued", "rewrite": "/"},
    {"name": "late", "prefix": "/late", "upstream": "late", "rewrite": "/", "timeout_s": 0.1},
]

LIMITS: Final = {"max_body_bytes": 2_000_000}

LAYOUT: Final[dict[str, Any]] = {
    "services": SERVICES,
    "echoes": ECHOES,
    "routes": ROUTES,
    "upstreams": UPSTREAMS,
    "limits": LIMITS,
}
"""What `timed` takes."""
