"""`kontor top`: where the time of the requests goes, per route and per hop, live in the terminal."""

import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Final

import typer

from cli.gateway import GatewayError
from cli.gateway_admin import KeyFile, Url
from cli.scraping import ACTIVE, LAG, LITTLES_LAW, Window, frames, open_metrics
from cli.tallies import COMPONENTS, Tally, tallies

_GATEWAY: Final = "gateway"
_WIDEST_NAME: Final = 44
_NARROWEST_NAME: Final = 12
_MOST_SILENT: Final = 3
_NONE: Final = "-"
# Of a terminal: another screen without a cursor and back, to its top, to the end of the line, all that is below.
_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
_HOME, _REST_OF_LINE, _BELOW = "\x1b[H", "\x1b[K", "\x1b[J"

_HEADINGS: Final = (
    f"{'req/s':>9} {'errors':>8} {'p50':>8} {'p95':>8} {'mean':>8}  ="
    f" {'processing':>10} + {'network':>8} + {'system':>8}  {'mostly':10}"
)
_HOP_HEADINGS: Final = f" {'active':>7} {'lag':>8} {'Little':>7}"


def top(
    url: Url,
    key_file: KeyFile,
    every: Annotated[
        float, typer.Option(min=0.2, max=3600, help="Seconds between two readings, and so of each window.")
    ] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Print one table and end.")] = False,
) -> None:
    """Live: rate, errors, response times and their three terms, per route and per hop. Ctrl-C ends it."""
    show: _Screen | _Paper = _Screen() if sys.stdout.isatty() and not once else _Paper()
    try:
        with open_metrics(url, key_file, with_replicas=True) as metrics, show:
            for seen in frames(metrics.scrape, lambda: time.sleep(every)):
                show.show(seen, url)
                if once:
                    break
    except GatewayError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        return


class _Paper:
    """Where output is kept, as in a pipe: one table after the other, and sentences on standard error."""

    def __init__(self) -> None:
        self._said = ""

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None

    def show(self, seen: Window | str, source: str) -> None:
        """The next table, or a sentence unless it was the last one as well."""
        if isinstance(seen, Window):
            typer.echo("\n".join(table(seen, source)) + "\n")
        elif seen != self._said:
            typer.echo(seen, err=True)
        self._said = seen if isinstance(seen, str) else ""


class _Screen:
    """A terminal: the last table stays in place, under a sentence if there is one."""

    def __init__(self) -> None:
        self._last: Sequence[str] = ()

    def __enter__(self) -> None:
        sys.stdout.write(_ENTER)

    def __exit__(self, *_: object) -> None:
        sys.stdout.write(_LEAVE)
        sys.stdout.flush()

    def show(self, seen: Window | str, source: str) -> None:
        """Draws over what is there, without a flicker."""
        columns, lines = shutil.get_terminal_size()
        if isinstance(seen, Window):
            self._last = table(seen, source, lines - 1)
        drawn = [*([seen] if isinstance(seen, str) else []), *self._last][: lines - 1]
        body = "".join(f"{line[:columns]}{_REST_OF_LINE}\n" for line in drawn)
        sys.stdout.write(_HOME + body + _BELOW)
        sys.stdout.flush()


def table(window: Window, source: str, most_lines: int | None = None) -> list[str]:
    """The window as lines of text; times in milliseconds. Of the routes only the busiest that `most_lines` allow."""
    routes = tallies(window, "http_route", _GATEWAY)
    hops = tallies(window, "hop")
    whole = hops.get(_GATEWAY, Tally(window.seconds))
    head = [
        f"{source}  the last {window.seconds:.1f} s: {whole.rate:,.1f} requests/s,"
        f" {_share(whole.error_rate)} errors; times in ms"
    ]
    if not hops:
        return [*head, "", "No request was answered in this time."]
    below = ["", *_hop_lines(window, hops), *_silence(window.after.silent)]
    names = {name: name or "(no route)" for name in routes}
    width = _name_width(["route", *names.values()])
    lines = [f"{_cut(names[name], width)} {_figures(tally)}".rstrip() for name, tally in routes.items()]
    if most_lines is not None and (room := max(most_lines - len(head) - len(below) - 3, 1)) < len(lines):
        lines = [*lines[:room], f"... and {len(lines) - room} more"]
    heading = (
        [f"{'route':{width}} {_HEADINGS}".rstrip()] if lines else ["No request was answered by the gateway."]
    )
    return [*head, "", *heading, *lines, *below]


def _hop_lines(window: Window, hops: dict[str, Tally]) -> Iterator[str]:
    active, lag, little = (_by_hop(window, name) for name in (ACTIVE, LAG, LITTLES_LAW))
    width = _name_width(["hop", *hops])
    yield f"{'hop':{width}} {_HEADINGS}{_HOP_HEADINGS}"
    for hop, tally in hops.items():
        ratios = little.get(hop, [])
        state = (
            f"{sum(active[hop]):,.0f}" if hop in active else _NONE,
            _ms(max(lag[hop])) if hop in lag else _NONE,
            # Of several processes the one that is the farthest from what the law says.
            f"{max(ratios, key=lambda ratio: abs(ratio - 1)):.2f}" if ratios else _NONE,
        )
        yield f"{_cut(hop, width)} {_figures(tally)} {state[0]:>7} {state[1]:>8} {state[2]:>7}"


def _silence(replicas: Mapping[str, str]) -> Iterator[str]:
    if replicas:
        reasons = [f"{address} ({reason})" for address, reason in replicas.items()]
        more = f" and {len(reasons) - _MOST_SILENT} more" if len(reasons) > _MOST_SILENT else ""
        yield f"Without metrics of their own: {', '.join(reasons[:_MOST_SILENT])}{more}"


def _by_hop(window: Window, gauge: str) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for labels, value in window.after.values(gauge):
        found.setdefault(labels.get("hop", ""), []).append(value)
    return found


def _figures(tally: Tally) -> str:
    processing, network, system = (_ms(tally.term_s(component)) for component in COMPONENTS)
    return (
        f"{tally.rate:>9,.1f} {_share(tally.error_rate):>8}"
        f" {_ms(tally.quantile_s(0.5)):>8} {_ms(tally.quantile_s(0.95)):>8} {_ms(tally.mean_s):>8}  ="
        f" {processing:>10} + {network:>8} + {system:>8}  {tally.dominant or _NONE:10}"
    )


def _name_width(names: Iterable[str]) -> int:
    return min(max(_NARROWEST_NAME, *map(len, names)), _WIDEST_NAME)


def _cut(name: str, width: int) -> str:
    return f"{name if len(name) <= width else name[: width - 3] + '...':{width}}"


def _ms(seconds: float | None) -> str:
    return _NONE if seconds is None else f"{seconds * 1e3:,.2f}"


def _share(share: float | None) -> str:
    return _NONE if share is None else f"{share:.2%}"
