"""What a route may choose of its cache."""

from dataclasses import dataclass, field
from typing import Final

from services.gateway.caching.eviction.policies import DEFAULT_POLICY
from services.gateway.caching.http.decision import Rules
from services.gateway.caching.http.keys import Visibility

LARGEST_STORED: Final = 1024**2
"""A body of more bytes is passed on as it comes, and never stored."""


@dataclass(frozen=True, slots=True)
class CacheRule:
    """`bound_bytes` for everything that the cache of a route occupies in one worker process.

    `visibility` says who may be given the same answer. `fresh_s` is for how long an answer is fresh that names the
    records it contains, and so goes as soon as one of them changes; any other lives by its own `Cache-Control`.
    `most_waiting` requests wait for one that fetches what they want; more go forward themselves.
    `shared` says whether other gateways may have its answers, and it theirs, where there is a second level.
    """

    bound_bytes: int = 32 * 1024**2
    policy: str = DEFAULT_POLICY
    visibility: Visibility = Visibility.SCOPES
    fresh_s: int = 60
    most_waiting: int = 1_000
    rules: Rules = field(default_factory=Rules)
    shared: bool = True
