"""What `kontor capacity` prints: the points beside the law and the ideal line, and what a target needs."""

import math
from collections.abc import Iterator
from typing import Final

from cli.load_points import CONCURRENCY, REPLICAS, Series
from shared.telemetry.capacity import Fit, needed_without_some
from shared.telemetry.formulas import count_on_ideal_line

_MOST_ROWS: Final = 40
_FAR: Final = 2
"""Times the largest N measured: an answer beyond it is more a guess than a figure."""


def report(series: Series, found: Fit, target: float | None) -> Iterator[str]:
    """The table, the law, how far to trust it, and what the target needs."""
    law = found.law
    yield f"{series.unit:>11} {'measured':>12} {'fitted':>12} {'ideal':>12}   requests/s"
    for n, measured in found.points[:_MOST_ROWS]:
        yield f"{n:>11,.4g} {measured:>12,.1f} {law.throughput(n):>12,.1f} {law.ideal(n):>12,.1f}"
    if (more := len(found.points) - _MOST_ROWS) > 0:
        yield f"{'':11} and {more} points more, up to N = {found.points[-1].n:,.4g}"
    yield ""
    yield "X(N) = lambda N / (1 + sigma (N - 1) + kappa N (N - 1))"
    yield f"  lambda {law.rate:,.6g} requests/s of one alone; the ideal line is lambda N"
    yield f"  sigma  {law.contention:.4g}  cannot be done side by side"
    yield f"  kappa  {law.coherency:.4g}  each pair costs by keeping in step"
    yield f"  fit    R2 = {found.r_squared:.4f} of {len(found.points)} points"
    yield f"  peak   {_peak(found)}"
    for warning in found.warnings:
        yield f"  ! {warning}"
    if target:
        yield ""
        yield from _answer(series, found, target)


def _peak(found: Fit) -> str:
    law = found.law
    if math.isfinite(law.peak_n):
        return f"{law.peak_throughput:,.1f} requests/s at N = {law.peak_n:,.4g}"
    if math.isfinite(law.peak_throughput):
        return f"none: it approaches {law.peak_throughput:,.1f} requests/s and never falls"
    return "none: it grows without end, as the ideal line does"


def _answer(series: Series, found: Fit, target: float) -> Iterator[str]:
    law, wanted = found.law, f"{target:,.6g} requests/s"
    ideally, needed = law.needed_ideally(target), law.needed(target)
    ideal = f"on the ideal line {ideally:,} would do" if ideally else "on the ideal line nothing does"
    what = "replicas" if series.unit == REPLICAS else "requests under way"
    if needed is None:
        yield f"{wanted} are not reachable with any number of {what}: {_limit(found)}; {ideal}."
    else:
        yield f"{wanted} need {needed:,} {what}; {ideal}."
        if needed > _FAR * found.points[-1].n:
            yield f"  ! That is far beyond the largest N measured, {found.points[-1].n:,.4g}: measure nearer to it."
    yield from _doubt(series, needed, target, what)
    if series.unit == CONCURRENCY:
        yield from _by_replicas(series, found, target)


def _limit(found: Fit) -> str:
    law = found.law
    if math.isfinite(law.peak_n):
        return f"the law peaks at {law.peak_throughput:,.1f} with N = {law.peak_n:,.4g}"
    return f"the law stays below {law.peak_throughput:,.1f}"


def _doubt(series: Series, needed: int | None, target: float, what: str) -> Iterator[str]:
    spread = needed_without_some(series.points, target)
    if spread is None or spread == (needed, needed):
        return
    least, most = spread
    if least is None:
        yield "  ! When a part of the points is left out, it is not reachable."
    elif most is None:
        yield f"  ! When a part of the points is left out, it is {least:,} {what} or not reachable at all."
    else:
        yield f"  When a part of the points is left out, it is {least:,} to {most:,} {what}."


def _by_replicas(series: Series, found: Fit, target: float) -> Iterator[str]:
    """What is measured at one number of replicas says how much they serve, not how well more of them work together."""
    law = found.law
    best = law.throughput(min(law.peak_n, found.points[-1].n))
    count = series.replicas or 1
    ideally = count_on_ideal_line(target, best / count)
    each = (
        f"{best / count:,.1f} requests/s each"
        if series.replicas
        else f"{best:,.1f} requests/s a system as measured"
    )
    name = "replicas" if series.replicas else "such systems"
    yield f"  By S = N x C at least {ideally:,} {name}, with C = {each}, the best within what was measured."
    yield "  How far more of them fall behind the ideal line shows only in points at three or more numbers of replicas:"
    yield "  measure each with --replicas N --save points.csv, then: kontor capacity points.csv --target ..."
