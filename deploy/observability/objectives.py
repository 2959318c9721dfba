"""What is promised to callers, and how fast a broken promise alarms whom. Change it here, then write the rules anew.

The method is that of Google's SRE Workbook, chapter 5 ("Alerting on SLOs"): a burn rate of 1 spends exactly the
error budget of the period; an alert wants a long window, which says that it matters, and a short one, which says
that it still goes on and lets the alert end soon afterwards.
"""

from dataclasses import dataclass
from typing import Literal

Severity = Literal["page", "ticket"]


@dataclass(frozen=True, slots=True)
class Objective:
    """What callers of some routes may expect, over 30 days.

    `routes`: a regular expression over `http.route`, whole; None: every route that no other objective names.
    `availability`: the share of requests that are answered whole and below 500.
    `within_s`: seconds; a bound of the duration's histogram, for nothing in between can be told apart.
    `share_within`: the share of requests that are answered so fast; those answered with 5xx are not looked at.
    """

    name: str
    routes: str | None
    availability: float
    within_s: float
    share_within: float


@dataclass(frozen=True, slots=True)
class BurnRate:
    """Alarm when the budget burns `factor` times as fast as it may, over both windows (Prometheus durations)."""

    factor: float
    long: str
    short: str
    severity: Severity


OBJECTIVES = (
    Objective("interactive", None, availability=0.999, within_s=0.25, share_within=0.99),
    # A job is begun, and its file taken in, within the request.
    Objective("imports", "/v1/[^/]+/imports", availability=0.999, within_s=2.5, share_within=0.95),
)

# Of a budget for 30 days: 2 % in 1 h, 5 % in 6 h, 10 % in a day, 10 % in three.
BURN_RATES = (
    BurnRate(14.4, "1h", "5m", "page"),
    BurnRate(6, "6h", "30m", "page"),
    BurnRate(3, "1d", "2h", "ticket"),
    BurnRate(1, "3d", "6h", "ticket"),
)

LEAST_BAD_REQUESTS = 10
"""In the long window: on a route that few use, one failure alone burns any budget and tells nothing."""

UNPROMISED = ("", "/livez", "/readyz", "/metrics")
"""Routes of which nothing is promised: those that there are not, and those that only machines ask."""
