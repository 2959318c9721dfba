"""`kontor trace`: where the time of a request went, from Jaeger, a file, or the gateway's own buffer."""

import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.gateway import Gateway, GatewayError
from cli.trace_sources import SourceError, from_file, from_gateway, from_jaeger
from cli.trace_text import NARROWEST, listing, waterfall
from cli.trace_tree import TERMS, Span, build

_TRACE_ID = re.compile(r"(?:[0-9a-f]{2}-)?([0-9a-f]{32})(?:-[0-9a-f]{16}-[0-9a-f]{2})?")


def trace(
    trace_id: Annotated[
        str | None,
        typer.Argument(help="A trace id, or a whole traceparent; without one the latest are listed."),
    ] = None,
    file: Annotated[
        Path | None, typer.Option(help="Read OTLP JSON from here.", exists=True, dir_okay=False)
    ] = None,
    jaeger: Annotated[
        str | None, typer.Option(envvar="KONTOR_JAEGER_URL", help="Ask this Jaeger, by its API v3.")
    ] = None,
    admin_url: Annotated[
        str | None,
        typer.Option(envvar="KONTOR_ADMIN_URL", help="Ask the gateway's buffer, as `make run` prints it."),
    ] = None,
    admin_key_file: Annotated[
        Path | None,
        typer.Option(envvar="KONTOR_ADMIN_KEY_FILE", exists=True, dir_okay=False, help="The admin key."),
    ] = None,
    route: Annotated[str | None, typer.Option(help="List only this route, by its prefix.")] = None,
    min_ms: Annotated[float, typer.Option(help="List only what took so long.")] = 0.0,
    status: Annotated[int | None, typer.Option(help="List only this status.")] = None,
    dominant: Annotated[
        str | None, typer.Option(help=f"List only where this term is the largest: {', '.join(TERMS)}.")
    ] = None,
    limit: Annotated[int, typer.Option(help="List at most so many.")] = 20,
    width: Annotated[
        int | None, typer.Option(min=NARROWEST, help="Columns; those of the terminal unless told.")
    ] = None,
) -> None:
    """Where the time of a request went: the waterfall, the formula of each hop, the critical path.

    Of several sources a file comes before Jaeger, and Jaeger before the gateway's buffer, which alone can list.
    """
    columns = width or max(NARROWEST, shutil.get_terminal_size().columns)
    question = {"route": route, "min_ms": min_ms, "status": status, "dominant": dominant, "limit": limit}
    try:
        wanted = _trace_id(trace_id) if trace_id is not None else None
        if file is not None:
            lines = _of_file(file, wanted, columns)
        elif jaeger is not None and wanted is not None:
            lines = waterfall(build(from_jaeger(jaeger, wanted)), columns)
        else:
            lines = _of_gateway(admin_url, admin_key_file, wanted, question, columns)
    except (GatewayError, SourceError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    for line in lines:
        typer.echo(line)


_NO_SOURCE = (
    "Say where the trace is: --file; or give a trace id and --jaeger (KONTOR_JAEGER_URL); or ask the gateway's"
    " buffer by --admin-url and --admin-key-file (KONTOR_ADMIN_URL, KONTOR_ADMIN_KEY_FILE)."
)


def _trace_id(text: str) -> str:
    match = _TRACE_ID.fullmatch(text.strip().lower())
    if match is None:
        raise SourceError(f"{text!r} is no trace id: it has 32 hexadecimal digits.")
    return match[1]


def _of_gateway(
    url: str | None, key_file: Path | None, wanted: str | None, question: dict[str, Any], columns: int
) -> Iterator[str]:
    if url is None or key_file is None:
        raise SourceError(_NO_SOURCE)
    with Gateway(url.rstrip("/") + "/", key_file.read_text().strip()) as gateway:
        if wanted is not None:
            return waterfall(build(from_gateway(gateway, wanted)), columns)
        query = {name: value for name, value in question.items() if value is not None}
        return listing(gateway.request("GET", "traces", params=query).json(), columns)


def _of_file(file: Path, wanted: str | None, columns: int) -> Iterator[str]:
    spans = from_file(file)
    ids = list(dict.fromkeys(span.trace_id for span in spans))
    if wanted is not None and wanted not in ids:
        raise SourceError(f"There is no trace {wanted} in {file}; there are {len(ids)} others.")
    if wanted is None and len(ids) > 1:
        return _ids(spans)
    return waterfall(build(span for span in spans if wanted in (None, span.trace_id)), columns)


def _ids(spans: Iterable[Span]) -> Iterator[str]:
    counts: dict[str, int] = {}
    for span in spans:
        counts[span.trace_id] = counts.get(span.trace_id, 0) + 1
    for trace_id, count in counts.items():
        yield f"{trace_id} {count} spans"
