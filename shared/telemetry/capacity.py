"""How throughput grows with what serves it: the Universal Scalability Law, fitted to measured points. Pure.

    X(N) = lambda N / (1 + sigma (N - 1) + kappa N (N - 1))

N is a number of replicas, or of requests under way; X requests per second. lambda is what one alone serves, sigma
the share of the work that cannot be done side by side, kappa what each pair costs by keeping in step. With both 0
it is the ideal line, S = N x C. With kappa > 0 there is a peak, beyond which more of them serve less.

Source: N. J. Gunther, Guerrilla Capacity Planning, 2007.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from operator import mul
from statistics import fmean, median
from typing import Final, NamedTuple

from shared.telemetry.formulas import count_on_ideal_line, ideal_capacity

_FEWEST_SIZES: Final = 3
"""As many different N as there are parameters."""
_ROUNDS: Final = 200
_SETTLED: Final = 1e-12
_HUBER: Final = 1.345
"""In standard deviations: 95 % of the efficiency of least squares where the noise is normal (Huber, 1964)."""
_MAD_TO_DEVIATION: Final = 1.4826
_ORDINARY_NOISE: Final = 0.02
"""Of the median throughput: what is this close is no outlier, however well all the others fit."""
_ROUNDING: Final = 1e-9
_SINGULAR: Final = 1e-12
_FEW_POINTS: Final = 6
_SMALL_RANGE: Final = 4
_POOR_FIT: Final = 0.9
_PARTS_LEFT_OUT: Final = 20


class Point(NamedTuple):
    """One measurement: with `n` replicas (or requests under way) so many requests per second were served."""

    n: float
    throughput: float


class ScalabilityLaw(NamedTuple):
    """The law with its parameters."""

    rate: float
    """lambda: requests per second of one alone."""
    contention: float
    """sigma, 0 to 1."""
    coherency: float
    """kappa, 0 or more."""

    def throughput(self, n: float) -> float:
        """Requests per second that `n` of them serve."""
        return self.rate * n / (1 + self.contention * (n - 1) + self.coherency * n * (n - 1))

    def ideal(self, n: float) -> float:
        """Requests per second on the ideal line."""
        return ideal_capacity(n, self.rate)

    @property
    def peak_n(self) -> float:
        """Where throughput is highest, at least 1; infinite when it never falls."""
        if self.coherency == 0:
            return 1.0 if self.contention == 1 else math.inf
        return max(math.sqrt((1 - self.contention) / self.coherency), 1.0)

    @property
    def peak_throughput(self) -> float:
        """The most that is ever served per second; infinite only for the ideal line."""
        if math.isfinite(self.peak_n):
            return self.throughput(self.peak_n)
        return self.rate / self.contention if self.contention else math.inf

    def needed(self, target: float) -> int | None:
        """The fewest that serve `target` requests per second; None when no number of them does."""
        highest = self._highest_useful(target)
        if highest is None or self.throughput(highest) < target * (1 - _ROUNDING):
            return None
        lowest = 1
        while lowest < highest:  # throughput only grows up to the highest useful number
            middle = (lowest + highest) // 2
            if self.throughput(middle) >= target * (1 - _ROUNDING):
                highest = middle
            else:
                lowest = middle + 1
        return lowest

    def needed_ideally(self, target: float) -> int | None:
        """The fewest that would serve `target` on the ideal line."""
        return count_on_ideal_line(target * (1 - _ROUNDING), self.rate)

    def _highest_useful(self, target: float) -> int | None:
        """The whole number with the highest throughput; where it never falls, one that surely reaches the target."""
        if math.isfinite(self.peak_n):
            below = math.floor(self.peak_n)
            return max((below, below + 1), key=self.throughput)
        # X(N) = T solved for N, with kappa = 0; beyond the asymptote there is no solution.
        left = self.rate - self.contention * target
        return math.ceil(target * (1 - self.contention) / left) + 1 if left > 0 else None


class Fit(NamedTuple):
    """A law that was fitted, and how far to trust it."""

    law: ScalabilityLaw
    points: Sequence[Point]
    """Sorted by N."""
    r_squared: float
    """The share of the throughput's variance that the law explains, at most 1; below 0 it is worse than the mean."""
    warnings: Sequence[str]
    """Sentences for people."""


class FitError(ValueError):
    """No law can be fitted to these points; the text is for people."""


def fit(points: Iterable[Point], *, robust: bool = True) -> Fit:
    """The law that fits best: least squares of the throughput, outliers bounded by Huber's weights.

    Not `robust` is plain least squares, as most tools fit the law. 1 >= sigma >= 0 and kappa >= 0 hold by
    construction. Raises `FitError` with fewer than three different N, with an N below 1, or with a throughput that
    is not positive.
    """
    found = sorted(points)
    _check(found)
    law = _fitted(found, robust)
    explained = _r_squared(law, found)
    return Fit(law, found, explained, list(_warnings(law, found, explained)))


def needed_without_some(points: Iterable[Point], target: float) -> tuple[int | None, int | None] | None:
    """How far the answer hangs on single points: the least and the most that `target` needs when some are left out.

    Each of up to 20 points is left out in turn; of more points every twentieth. The most is None when the target
    is then out of reach, both are when it always is. None altogether when no law can be fitted to what is left.
    """
    found = sorted(points)
    parts = min(len(found), _PARTS_LEFT_OUT)
    rests = [[point for index, point in enumerate(found) if index % parts != part] for part in range(parts)]
    answers = [_fitted(rest, True).needed(target) for rest in rests if _sizes(rest) >= _FEWEST_SIZES]
    if not answers:
        return None
    reached = [answer for answer in answers if answer is not None]
    return min(reached, default=None), max(reached) if len(reached) == len(answers) else None


def _check(points: Sequence[Point]) -> None:
    for n, throughput in points:
        if not (math.isfinite(n) and n >= 1):
            raise FitError(f"N = {n:g}: it must be 1 or more.")
        if not (math.isfinite(throughput) and throughput > 0):
            raise FitError(f"A throughput of {throughput:g} at N = {n:g}: it must be positive.")
    if _sizes(points) < _FEWEST_SIZES:
        raise FitError(
            f"The law has three parameters and needs {_FEWEST_SIZES} different N; there are {_sizes(points)}."
        )


def _sizes(points: Sequence[Point]) -> int:
    return len({point.n for point in points})


# The law turned over is linear: N / X = a + b (N - 1) + c N (N - 1), with a = 1 / lambda, b = sigma a, c = kappa a.
# A step of Gauss and Newton towards the least squares of X is then a weighted least-squares fit of N / X, and the
# bounds a >= b >= 0, c >= 0 can be kept exactly: the best point within them is the best one of the interior or of
# one of the few faces, each a linear problem of its own.

_Linear = tuple[float, float, float]
_Row = tuple[_Linear, float, float]
"""Of a point the three columns (1, N - 1, N (N - 1)), the value to be met, and its weight."""

_FACES: Final[Sequence[Sequence[_Linear]]] = (
    ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    ((1, 0, 0), (0, 1, 0)),
    ((1, 0, 0), (0, 0, 1)),
    ((1, 0, 0),),
    ((1, 1, 0), (0, 0, 1)),  # sigma = 1
    ((1, 1, 0),),
)
"""Directions that span each: what a, b and c may be there is a sum of them, none less than 0 times."""


def _fitted(points: Sequence[Point], robust: bool) -> ScalabilityLaw:
    """From two beginnings, since weights that bound outliers may have more than one place to rest."""
    flat = fmean(point.throughput / point.n for point in points)
    starts = [(1 / flat, 0.0, 0.0), _linearised(points)]
    rested = [_descend(points, start, robust) for start in starts]
    scale = min(_scale(points, one, robust) for one in rested)
    best = min(rested, key=lambda one: _loss(points, one, scale))
    a, b, c = best
    return ScalabilityLaw(1 / a, min(b / a, 1.0), c / a)


def _linearised(points: Sequence[Point]) -> _Linear:
    """Least squares of N / X, weighted so that a relative error counts alike at every N."""
    rows = [(_columns(n), n / throughput, (throughput / n) ** 2) for n, throughput in points]
    return _bounded_least_squares(rows) or rows[0][0]


def _descend(points: Sequence[Point], start: _Linear, robust: bool) -> _Linear:
    """Gauss-Newton steps from `start`, halved until the loss falls, to where it does not any more."""
    now = start
    for _ in range(_ROUNDS):
        scale = _scale(points, now, robust)
        aim = _bounded_least_squares(list(_working_rows(points, now, scale)))
        if aim is None:
            return now
        loss = _loss(points, now, scale)
        better = next((one for one in _between(now, aim) if _loss(points, one, scale) < loss), None)
        if better is None:
            return now
        gained = loss - _loss(points, better, scale)
        now = better
        if gained <= _SETTLED * loss:
            return now
    return now


def _between(now: _Linear, aim: _Linear) -> Iterator[_Linear]:
    step = 1.0
    for _ in range(20):
        a, b, c = (mine + step * (theirs - mine) for mine, theirs in zip(now, aim, strict=True))
        yield a, b, c
        step /= 2


def _working_rows(points: Sequence[Point], now: _Linear, scale: float) -> Iterator[_Row]:
    for n, throughput in points:
        columns = _columns(n)
        turned = _dot(columns, now)
        modelled = n / turned
        slope = modelled / turned  # of X against N / X, without its sign
        residual = throughput - modelled
        yield columns, turned - residual / slope, slope**2 * _huber_weight(residual, scale)


def _columns(n: float) -> _Linear:
    return 1.0, n - 1, n * (n - 1)


def _dot(one: Sequence[float], other: Sequence[float]) -> float:
    products: Iterator[float] = map(mul, one, other)
    return sum(products)


def _residuals(points: Sequence[Point], now: _Linear) -> list[float]:
    return [throughput - n / _dot(_columns(n), now) for n, throughput in points]


def _scale(points: Sequence[Point], now: _Linear, robust: bool) -> float:
    """The standard deviation of the noise, in requests per second, as the middle residual tells it.

    It is infinite when no residual is to count as an outlier's.
    """
    if not robust:
        return math.inf
    spread = _MAD_TO_DEVIATION * median(map(abs, _residuals(points, now)))
    return max(spread, _ORDINARY_NOISE * median(point.throughput for point in points))


def _huber_weight(residual: float, scale: float) -> float:
    bound = _HUBER * scale
    return 1.0 if abs(residual) <= bound else bound / abs(residual)


def _loss(points: Sequence[Point], now: _Linear, scale: float) -> float:
    """Huber's: the square near the law, no more than the distance far from it."""
    bound = _HUBER * scale
    distances = (abs(residual) for residual in _residuals(points, now))
    return math.fsum(d * d / 2 if d <= bound else bound * (d - bound / 2) for d in distances)


def _bounded_least_squares(rows: Sequence[_Row]) -> _Linear | None:
    """The a, b, c within their bounds with the least weighted squares; None where only a <= 0 would do."""
    candidates = [found for face in _FACES if (found := _on_face(rows, face)) is not None]
    return min(candidates, key=lambda one: _squares(rows, one), default=None)


def _squares(rows: Sequence[_Row], one: _Linear) -> float:
    return math.fsum(weight * (value - _dot(columns, one)) ** 2 for columns, value, weight in rows)


def _on_face(rows: Sequence[_Row], face: Sequence[_Linear]) -> _Linear | None:
    """The best point of the face's span; None where it is not within the bounds or not unique."""
    columns = [[math.sqrt(weight) * _dot(x, direction) for x, _, weight in rows] for direction in face]
    norms = [math.sqrt(_dot(column, column)) for column in columns]
    if not all(norms):
        return None
    columns = [[value / norm for value in column] for column, norm in zip(columns, norms, strict=True)]
    values = [math.sqrt(weight) * value for _, value, weight in rows]
    matrix = [[_dot(one, other) for other in columns] for one in columns]
    solved = _solve(matrix, [_dot(column, values) for column in columns])
    if solved is None:
        return None
    times = [value / norm for value, norm in zip(solved, norms, strict=True)]
    a, b, c = (_dot(times, [direction[index] for direction in face]) for index in range(3))
    return (a, b, c) if a > 0 and 0 <= b <= a and c >= 0 else None


def _solve(matrix: list[list[float]], values: list[float]) -> list[float] | None:
    """Gauss's elimination of a small symmetric system with ones on its diagonal; None when it is singular."""
    size = len(values)
    rows = [[*row, value] for row, value in zip(matrix, values, strict=True)]
    for pivot in range(size):
        rows[pivot:] = sorted(rows[pivot:], key=lambda row: -abs(row[pivot]))
        if abs(rows[pivot][pivot]) < _SINGULAR:
            return None
        for index in range(pivot + 1, size):
            factor = rows[index][pivot] / rows[pivot][pivot]
            rows[index] = [
                mine - factor * theirs for mine, theirs in zip(rows[index], rows[pivot], strict=True)
            ]
    solved = [0.0] * size
    for index in reversed(range(size)):
        rest = _dot(rows[index][index + 1 : size], solved[index + 1 :])
        solved[index] = (rows[index][size] - rest) / rows[index][index]
    return solved


def _r_squared(law: ScalabilityLaw, points: Sequence[Point]) -> float:
    mean = fmean(point.throughput for point in points)
    total = math.fsum((point.throughput - mean) ** 2 for point in points)
    unexplained = math.fsum((point.throughput - law.throughput(point.n)) ** 2 for point in points)
    if total == 0:
        return 1.0 if unexplained == 0 else 0.0
    return 1 - unexplained / total


def _warnings(law: ScalabilityLaw, points: Sequence[Point], r_squared: float) -> Iterator[str]:
    first, last = points[0].n, points[-1].n
    if len(points) < _FEW_POINTS:
        yield f"Only {len(points)} points for three parameters: with {_FEW_POINTS} or more the fit can be judged."
    if last < _SMALL_RANGE * first:
        yield (
            f"N ranges only from {first:g} to {last:g}: measure up to {_SMALL_RANGE * first:g} or more,"
            " since contention shows late."
        )
    if r_squared < _POOR_FIT:
        yield f"The law explains only {max(r_squared, 0):.0%} of the variance: the system may not follow it."
    if math.isfinite(law.peak_n) and law.peak_n > last:
        yield f"The peak at N = {law.peak_n:.4g} lies beyond the largest N measured, {last:g}: it is extrapolated."
    elif law.coherency == 0 and _grows_to_the_end(points):
        yield f"Throughput still grows at the largest N measured, {last:g}: no peak can be told from these points."


def _grows_to_the_end(points: Sequence[Point]) -> bool:
    highest = max(points, key=lambda point: point.throughput)
    return highest.n == points[-1].n
