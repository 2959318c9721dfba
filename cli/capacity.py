"""`kontor capacity`: how throughput grows with load or replicas, and how many replicas a target needs."""

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

from cli.capacity_report import report
from cli.gateway import GatewayError
from cli.load_points import (
    LoadPoint,
    PointsError,
    read_points,
    save_points,
    series_of,
)
from cli.load_run import LoadError, Step, Target, check_plan, run_step, target_of
from cli.observing import observe, of_usual_replicas
from cli.scraping import Metrics, open_metrics
from shared.telemetry.capacity import FitError, fit

_BUSY_CALLER: Final = 0.8
"""Of a core: beyond it the load's own process may be what is slow."""


class _InputError(Exception):
    """The options do not go together; the text is for people."""


def capacity(
    file: Annotated[
        Path | None,
        typer.Argument(
            exists=True,
            dir_okay=False,
            readable=True,
            help="Points as CSV or JSON: throughput, and replicas or concurrency.",
            show_default=False,
        ),
    ] = None,
    target: Annotated[
        float | None, typer.Option(min=0, help="Requests/s that are wanted.", show_default=False)
    ] = None,
    metrics: Annotated[
        bool,
        typer.Option("--metrics", help="Measure from the gateway's /metrics, under whatever load there is."),
    ] = False,
    load: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Put a load on this URL of http://127.0.0.1 step by step.", show_default=False
        ),
    ] = None,
    replicas: Annotated[
        int | None, typer.Option(min=1, help="How many replicas serve what is measured.", show_default=False)
    ] = None,
    save: Annotated[
        Path | None,
        typer.Option(dir_okay=False, help="Add what is measured to this CSV file.", show_default=False),
    ] = None,
    steps: Annotated[
        str, typer.Option(help="With --load: how many connections, one after the other.")
    ] = "1,2,4,8,16,32",
    seconds: Annotated[
        float, typer.Option(min=0.2, max=120, help="With --load: how long each step is.")
    ] = 5.0,
    key: Annotated[
        str, typer.Option(envvar="KONTOR_API_KEY", help="With --load: an API key.", show_default=False)
    ] = "",
    span: Annotated[
        float, typer.Option("--for", min=1, max=86_400, help="With --metrics: for so many seconds.")
    ] = 60.0,
    every: Annotated[
        float, typer.Option(min=0.2, max=3_600, help="With --metrics: seconds of each point.")
    ] = 2.0,
    upstream: Annotated[
        str,
        typer.Option(
            help="With --metrics: this upstream's replicas, not the whole gateway.", show_default=False
        ),
    ] = "",
    url: Annotated[
        str,
        typer.Option(
            "--admin-url", envvar="KONTOR_ADMIN_URL", help="As `make run` prints it.", show_default=False
        ),
    ] = "",
    key_file: Annotated[
        Path | None,
        typer.Option(
            "--admin-key-file",
            envvar="KONTOR_ADMIN_KEY_FILE",
            exists=True,
            dir_okay=False,
            help="The admin key.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Fit the Universal Scalability Law to a file's points, to the gateway's metrics, or to a load put here."""
    try:
        _check_sources(file, metrics, load)
        if file is not None:
            measured = read_points(file)
        elif load is not None:
            measured = asyncio.run(_put_load(target_of(load, key), _numbers(steps), seconds, replicas))
        else:
            measured = _observed(_admin(url, key_file), span, every, upstream, replicas)
        if save is not None:
            save_points(save, measured)
        series = series_of(measured)
        _print(report(series, fit(series.points), target))
    except (_InputError, PointsError, LoadError, GatewayError, FitError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None


def _check_sources(file: Path | None, metrics: bool, load: str | None) -> None:
    if sum((file is not None, metrics, load is not None)) != 1:
        raise _InputError(
            "Say where the points come from: a FILE, or --metrics, or --load http://127.0.0.1:8000/..."
        )


def _admin(url: str, key_file: Path | None) -> Metrics:
    if not url or key_file is None:
        raise _InputError(
            "--metrics needs --admin-url and --admin-key-file (or KONTOR_ADMIN_URL and KONTOR_ADMIN_KEY_FILE)."
        )
    return open_metrics(url, key_file)


def _numbers(steps: str) -> list[int]:
    try:
        return [int(step) for step in steps.split(",")]
    except ValueError:
        raise _InputError(f"--steps are whole numbers with commas, such as 1,2,4,8, not {steps!r}.") from None


async def _put_load(
    target: Target, steps: Sequence[int], seconds: float, replicas: int | None
) -> list[LoadPoint]:
    check_plan(steps, seconds)
    measured = []
    for connections in steps:
        step = await run_step(target, connections, seconds)
        _tell("\n".join(_step_lines(step)))
        measured.append(LoadPoint(replicas, connections, step.throughput))
    return measured


def _step_lines(step: Step) -> Iterator[str]:
    mean_s = step.good_s / step.good
    yield f"N = {step.connections}: {step.throughput:,.1f} requests/s, {mean_s * 1e3:,.2f} ms on average"
    if bad := sum(step.bad.values()):
        kinds = ", ".join(f"{count} x {what}" for what, count in step.bad.most_common(3))
        yield f"  ! {bad} answers were not good and do not count: {kinds}"
    if step.own_cpu > _BUSY_CALLER:
        yield (
            f"  ! putting the load took {step.own_cpu:.0%} of a core: what is measured may be this command."
            " Use a load generator such as wrk, and give its figures in a file."
        )


def _observed(
    metrics: Metrics, span: float, every: float, upstream: str, replicas: int | None
) -> list[LoadPoint]:
    with metrics:
        points = list(observe(metrics.scrape, span, every, upstream, _tell))
    if not points:
        what = f"the upstream {upstream}" if upstream else "the gateway"
        raise PointsError(
            f"There is nothing to fit for {what}: measure while there is load, and while it grows."
        )
    if replicas:
        return [point._replace(replicas=replicas) for point in points]
    usual = of_usual_replicas(points)
    if others := len(points) - len(usual):
        _tell(f"{others} windows do not count: the number of replicas that are up was another.")
    return usual


def _tell(text: str) -> None:
    """What happens meanwhile goes to standard error: the report is for the standard output."""
    typer.echo(text, err=True)


def _print(lines: Iterator[str]) -> None:
    for line in lines:
        typer.echo(line)
