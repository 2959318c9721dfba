"""Points for a scalability law out of a gateway's metrics, under whatever load there is."""

import time
from collections.abc import Callable, Iterator, Sequence
from statistics import mode

from cli.load_points import LoadPoint
from cli.scraping import ATTEMPTS, REPLICA_UP, REQUESTS, Labels, Scrape, Window, failed, frames
from shared.telemetry.formulas import littles_law, throughput


def observe(
    scrape: Callable[[], Scrape], span_s: float, every_s: float, upstream: str, tell: Callable[[str], None]
) -> Iterator[LoadPoint]:
    """A point for each window in which a request or more was under way on average.

    Of the requests at the gateway, or of an upstream's attempts if one is named. A gateway that goes away and comes
    back costs windows only, and `tell` gets a sentence. Raises `GatewayError` when it is not there to begin with.
    """
    ends = time.monotonic() + span_s
    windows = points = 0
    for seen in frames(scrape, lambda: time.sleep(every_s)):
        if isinstance(seen, str):
            tell(seen)
        else:
            windows += 1
            point = point_of(seen, upstream)
            points += point is not None
            if point is not None:
                yield point
        if time.monotonic() >= ends:
            break
    tell(f"In {points} of {windows} windows a request or more was under way on average.")


def point_of(window: Window, upstream: str) -> LoadPoint | None:
    """What was served in a window, and how many requests were under way; None when that was less than one.

    The mean number under way is Little's law: rate x mean, so the sum of the durations by the time.
    """
    name = ATTEMPTS if upstream else REQUESTS
    own = ("crm_upstream_name", upstream) if upstream else ("hop", "gateway")
    counts = [one for one in window.increases(f"{name}_count") if own in one[0].items()]
    requests = sum(count for _, count in counts)
    served = sum(count for labels, count in counts if _was_served(labels))
    rate = throughput(requests, window.seconds)
    if not rate or not served:
        return None
    duration_s = sum(grown for labels, grown in window.increases(f"{name}_sum") if own in labels.items())
    concurrency = littles_law(rate, duration_s / requests)
    if concurrency < 1:
        return None
    return LoadPoint(_replicas_up(window, upstream), concurrency, served / window.seconds)


def of_usual_replicas(points: Sequence[LoadPoint]) -> list[LoadPoint]:
    """Those with the number of replicas that was up most often: what more or fewer served is another curve."""
    usual = mode(point.replicas for point in points)
    return [point for point in points if point.replicas == usual]


def _was_served(labels: Labels) -> bool:
    # Saying "too many" is cheap: counted, it would make the capacity look endless.
    return not failed(labels) and labels.get("http_response_status_code") != "429"


def _replicas_up(window: Window, upstream: str) -> int | None:
    """How many replicas of the upstream are up, as every process of the gateway agrees; None when none is known."""
    up: dict[tuple[str, str], float] = {}
    for labels, value in window.after.values(REPLICA_UP):
        if upstream and labels.get("crm_upstream_name") == upstream:
            address = labels.get("server_address", ""), labels.get("server_port", "")
            up[address] = min(up.get(address, 1.0), value)
    return round(sum(up.values())) or None
