"""The formulas that the sources name, each a small pure function with its unit; docs/formulas.md explains them.

Nothing divides by zero: where nothing was measured there is no figure, and the answer is None.
Counts and durations are not negative; seconds are seconds, and a share is between 0 and 1.
"""

import math
from collections.abc import Iterable, Mapping
from itertools import accumulate
from typing import Final

_TOLERATED: Final = 4
"""Apdex: who waited up to this many times the target tolerates it."""


def response_time(start_ns: int, end_ns: int) -> int:
    """T = T_e - T_s, in ns; both are readings of one monotonic clock.

    Raises ValueError when the end is before the start: then they are not.
    """
    if end_ns < start_ns:
        raise ValueError(f"the end, {end_ns} ns, is before the start, {start_ns} ns")
    return end_ns - start_ns


def sum_of_terms(processing_ns: int, network_ns: int, system_ns: int) -> int:
    """Response time = request processing time + network latency + system response time, in ns."""
    return processing_ns + network_ns + system_ns


def throughput(requests: float, seconds: float) -> float | None:
    """Requests per second: R / T."""
    return _quotient(requests, seconds)


def error_rate(failed: float, requests: float) -> float | None:
    """The share of the requests that failed."""
    return _quotient(failed, requests)


def availability(served_s: float, seconds: float) -> float | None:
    """The share of the time in which requests were served."""
    return _quotient(served_s, seconds)


def security_events(counts: Mapping[str, int]) -> int:
    """How many security events there were, of all kinds together."""
    return sum(counts.values())


def security_event_rate(events: float, seconds: float) -> float | None:
    """Security events per second."""
    return _quotient(events, seconds)


def customer_satisfaction(scores: Iterable[float]) -> float | None:
    """The mean score, on the scale that was asked for."""
    given = list(scores)
    return _quotient(math.fsum(given), len(given))


def apdex(durations_s: Iterable[float], target_s: float) -> float | None:
    """The application performance index of response times, 0 to 1, with the target T in seconds.

    (satisfied + tolerating / 2) / all, where the satisfied waited up to T and the tolerating up to 4 T. Whoever got
    an error is frustrated however fast it came: give math.inf for it. Source: Apdex Technical Specification 1.1.
    Raises ValueError when the target is not positive.
    """
    if not target_s > 0:
        raise ValueError(f"the target must be positive, not {target_s} s")
    waited = list(durations_s)
    satisfied = sum(one <= target_s for one in waited)
    tolerated = sum(one <= _TOLERATED * target_s for one in waited)
    return apdex_of_counts(satisfied, tolerated - satisfied, len(waited))


def apdex_of_counts(satisfied: float, tolerating: float, requests: float) -> float | None:
    """The same from counts, as a histogram with bounds at T and 4 T has them."""
    return _quotient(satisfied + tolerating / 2, requests)


def littles_law(rate: float, mean_s: float) -> float:
    """Requests under way on average: arrivals per second times their mean response time in seconds.

    Source: J. D. C. Little, "A Proof for the Queuing Formula L = lambda W", 1961.
    """
    return rate * mean_s


def littles_law_ratio(active: float, rate: float, mean_s: float) -> float | None:
    """Requests under way as counted, by what the law says: 1 in a steady state whose books are right."""
    return _quotient(active, littles_law(rate, mean_s))


def throughput_of_places(places: float, processing_s: float) -> float | None:
    """R / T = N / P: what N places, each busy for P seconds with a request, serve per second."""
    return _quotient(places, processing_s)


def places_needed(rate: float, processing_s: float) -> float:
    """N = R / T x P: how many places a rate per second keeps busy."""
    return rate * processing_s


def ideal_capacity(count: float, each: float) -> float:
    """S = N x C, or S = C x M: what N replicas (M machines) of capacity C serve if they never hinder one another."""
    return count * each


def count_on_ideal_line(target: float, each: float) -> int | None:
    """The fewest replicas whose ideal capacity reaches the target; None where one serves nothing."""
    if each <= 0:
        return None
    # The quotient may have been rounded onto, or past, a whole number.
    near = math.ceil(target / each)
    candidates = range(max(near - 1, 1), max(near, 1) + 1)
    return next((count for count in candidates if ideal_capacity(count, each) >= target), near + 1)


def histogram_quantile(quantile: float, buckets: Mapping[float, float]) -> float | None:
    """The value that a share of the observations does not exceed, estimated as Prometheus does.

    `buckets` are cumulative counts by their upper bounds. Within the bucket that holds the rank the observations
    are taken to be spread evenly, the first bucket beginning at 0; a rank in the last, unbounded one gives the
    highest bound there is. None without observations, or where a bucket without bound is missing.
    Raises ValueError for a quantile outside of 0 to 1. Source: Prometheus, `histogram_quantile`.
    """
    if not 0 <= quantile <= 1:
        raise ValueError(f"a quantile is between 0 and 1, not {quantile}")
    bounds = sorted(buckets)
    # Buckets that were read one after the other may contradict one another a little; they never fall in truth.
    counts = list(accumulate((buckets[bound] for bound in bounds), max))
    if len(bounds) < 2 or bounds[-1] != math.inf or counts[-1] == 0:
        return None
    rank = quantile * counts[-1]
    index = next(index for index, count in enumerate(counts) if count >= rank)
    if index == len(bounds) - 1:
        return bounds[-2]
    if index == 0:
        return _within(0.0, bounds[0], rank, counts[0]) if bounds[0] > 0 else bounds[0]
    below = counts[index - 1]
    return _within(bounds[index - 1], bounds[index], rank - below, counts[index] - below)


def _within(lower: float, upper: float, rank: float, count: float) -> float:
    # Only the lowest quantile of an empty first bucket has no count: Prometheus has no figure for it, we have its end.
    return lower + (upper - lower) * (rank / count) if count else lower


def _quotient(part: float, whole: float) -> float | None:
    return part / whole if whole else None
