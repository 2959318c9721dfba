"""The command line: what an operator or a partner does without writing a client."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from cli.capacity import capacity
from cli.gateway import Gateway, GatewayError
from cli.gateway_admin import add_commands
from cli.imports import ImportFailedError, import_file
from cli.mappings import known_mappings, load_mapping
from cli.top import top
from cli.trace import trace

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
gateway = typer.Typer(no_args_is_help=True, help="The gateway's own commands.")
app.add_typer(gateway, name="gateway")
add_commands(gateway)
app.command()(capacity)
app.command()(top)
app.command()(trace)


@app.callback()
def kontor() -> None:
    """Kontor's command line."""


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="The CSV file.")],
    mapping: Annotated[
        str,
        typer.Option("--mapping", "-m", help="A mapping of this project by name, or a YAML or JSON file."),
    ],
    url: Annotated[str, typer.Option(envvar="KONTOR_URL", help="The gateway.")] = "http://127.0.0.1:8000",
    key: Annotated[str, typer.Option(envvar="KONTOR_API_KEY", help="An API key.", show_default=False)] = "",
    on_error: Annotated[
        str | None, typer.Option(help="skip: leave bad rows out; abort: keep nothing if one is bad.")
    ] = None,
    errors: Annotated[Path | None, typer.Option(help="Where the bad rows are written to.")] = None,
) -> None:
    """Import a CSV file through the gateway and watch it."""
    try:
        document = load_mapping(mapping)
        if on_error is not None:
            document["on_error"] = on_error
        with Gateway(url, key) as gateway:
            import_file(gateway, file, document, errors)
    except (GatewayError, ImportFailedError, ValueError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None


@app.command()
def mappings() -> None:
    """List the mappings that come with the project."""
    for name, summary in known_mappings():
        typer.echo(f"{name:20} {summary}")


@gateway.command("check")
def gateway_check(
    file: Annotated[str, typer.Argument(help="The gateway's document; - reads the standard input.")],
) -> None:
    """Check a gateway's document: 0 if it is in order, 1 with every mistake, 2 if it cannot be read."""
    # The other commands need none of the gateway's packages, and should not wait for them.
    with _gateways_packages():
        from cli.gateway_check import check  # noqa: PLC0415 - see above
        from services.gateway.documents import DocumentError, UnreadableError  # noqa: PLC0415 - see above
    try:
        typer.echo(check(file))
    except DocumentError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2 if isinstance(error, UnreadableError) else 1) from None


@gateway.command("new-key")
def gateway_new_key(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="What logs and limits call it.")],
    tenant: Annotated[UUID, typer.Option(help="The tenant whose records it may see.")],
    scope: Annotated[
        list[str] | None, typer.Option(help="What it may do; more than once for several. '*' is everything.")
    ] = None,
    principal: Annotated[str | None, typer.Option(help="Who acts by it; key:ID unless told.")] = None,
) -> None:
    """Make an API key: its entry in the gateway's file of keys goes to the output, the key to the error output."""
    with _gateways_packages():
        from cli.gateway_keys import KeyEntryError, make_key  # noqa: PLC0415 - as above
    try:
        key, entry = make_key(key_id, tenant, principal, scope or ())
    except KeyEntryError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    typer.echo(entry)
    typer.echo(key, err=True)


@contextmanager
def _gateways_packages() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        typer.echo(f"This command needs the gateway's packages, kontor[gateway]: {error}", err=True)
        raise typer.Exit(2) from None


def main() -> None:
    """The entry point, by whatever name it is called."""
    app(prog_name="kontor")
