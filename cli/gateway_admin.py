"""`kontor gateway replicas|explain|drain|undrain|weight|reload|caches|purge`: a gateway's admin API from a terminal."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from cli.gateway import Gateway, GatewayError

Url = Annotated[
    str,
    typer.Option(
        "--admin-url", envvar="KONTOR_ADMIN_URL", help="As `make run` prints it.", show_default=False
    ),
]
KeyFile = Annotated[
    Path,
    typer.Option(
        "--admin-key-file", envvar="KONTOR_ADMIN_KEY_FILE", exists=True, dir_okay=False, help="The admin key."
    ),
]
Address = Annotated[str, typer.Argument(help="The replica: host:port.")]
UpstreamName = Annotated[str, typer.Argument(help="The upstream's name.")]


def add_commands(group: typer.Typer) -> None:
    """Add the commands to `kontor gateway`."""
    for command in (replicas, explain, drain, undrain, weight, reload, caches, purge):
        group.command(command.__name__)(command)


def replicas(url: Url, key_file: KeyFile) -> None:
    """Every replica: what runs there, how fast it is, and why it is not used."""
    for upstream in _ask(url, key_file, "GET", "upstreams"):
        typer.echo(f"{upstream['name']} ({upstream['policy']})")
        _print(_replica_lines(upstream["replicas"]))


def explain(
    url: Url,
    key_file: KeyFile,
    path: Annotated[str, typer.Argument(help="Path and query of a request.")],
    method: Annotated[str, typer.Option()] = "GET",
    host: Annotated[str, typer.Option()] = "localhost",
    caller_key: Annotated[
        str, typer.Option(envvar="KONTOR_API_KEY", help="An API key to try.", show_default=False)
    ] = "",
) -> None:
    """What would become of a request now, and why. Sends nothing."""
    headers = {"X-Api-Key": caller_key} if caller_key else {}
    query = {"path": path, "method": method, "host": host}
    answer = _ask(url, key_file, "GET", "explain", params=query, headers=headers)
    _print(_explanation_lines(answer))


def drain(url: Url, key_file: KeyFile, upstream: UpstreamName, address: Address) -> None:
    """Send a replica nothing new; what runs there ends in peace."""
    _print(_replica_lines([_steer(url, key_file, upstream, address, "drain")]))


def undrain(url: Url, key_file: KeyFile, upstream: UpstreamName, address: Address) -> None:
    """Use a replica again."""
    _print(_replica_lines([_steer(url, key_file, upstream, address, "undrain")]))


def weight(
    url: Url,
    key_file: KeyFile,
    upstream: UpstreamName,
    address: Address,
    factor: Annotated[float, typer.Argument(help="The configured weight is multiplied by it.")],
) -> None:
    """Give a replica more or less than its configured weight."""
    _print(_replica_lines([_steer(url, key_file, upstream, address, "weight", json={"weight": factor})]))


def reload(url: Url, key_file: KeyFile) -> None:
    """Put the gateway's document and keys in force as they are on its disk now: all or nothing."""
    told = _ask(url, key_file, "POST", "reload")
    counts = ", ".join(f"{told[name]} {name}" for name in ("routes", "upstreams", "keys", "workers"))
    typer.echo(f"in force: {counts}")


def caches(url: Url, key_file: KeyFile) -> None:
    """Every route's cache: how well it does, what it holds, and why answers are not stored."""
    _print(_cache_lines(_ask(url, key_file, "GET", "caches")))


def purge(
    url: Url,
    key_file: KeyFile,
    route: Annotated[str, typer.Option(help="A route's name: all that is stored of it.")] = "",
    path: Annotated[str, typer.Option(help="Of the route only this path, with its query.")] = "",
    prefix: Annotated[str, typer.Option(help="Of the route only what begins so.")] = "",
    upstream: Annotated[str, typer.Option(help="An upstream's name, instead of a route: with --tag.")] = "",
    tag: Annotated[list[str] | None, typer.Option(help="What shows this, as often as needed.")] = None,
    tenant: Annotated[str, typer.Option(help="Of one tenant only.")] = "",
) -> None:
    """Drop what is stored, in all workers."""
    named = {
        "route": route,
        "path": path,
        "prefix": prefix,
        "upstream": upstream,
        "tags": tag,
        "tenant": tenant,
    }
    order = {name: value for name, value in named.items() if value}
    told = _ask(url, key_file, "POST", "caches/purge", json=order)
    typer.echo(f"dropped: {told['dropped']}")


def _steer(url: str, key_file: Path, upstream: str, address: str, action: str, **options: Any) -> Any:
    path = f"upstreams/{quote(upstream, safe='')}/replicas/{quote(address, safe='')}/{action}"
    return _ask(url, key_file, "PUT" if action == "weight" else "POST", path, **options)


def _ask(url: str, key_file: Path, method: str, path: str, **options: Any) -> Any:
    try:
        with Gateway(url.rstrip("/") + "/", key_file.read_text().strip()) as admin:
            return admin.request(method, path, **options).json()
    except GatewayError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None


def _replica_lines(replicas: Iterable[dict[str, Any]]) -> Iterator[str]:
    for one in replicas:
        state = "in use" if one["usable"] else ", ".join(one["why_not"])
        yield (
            f"  {one['address']:24} {state:20} weight {one['weight']:g}, {one['active']} in flight,"
            f" {one['latency_ms']:.1f} ms, {one['requests']} requests, {one['failures']} failed"
        )


def _cache_lines(caches: Iterable[dict[str, Any]]) -> Iterator[str]:
    for one in caches:
        ratio = "nothing asked for" if one["hit_ratio"] is None else f"hit ratio {one['hit_ratio']:.1%}"
        yield f"{one['route']} ({one['prefix']}, {', '.join(one['policies'])}): {ratio}"
        yield "  " + ", ".join(f"{count} {outcome}" for outcome, count in one["requests"].items())
        used, bound = (one[name] / 1024**2 for name in ("used_bytes", "bound_bytes"))
        yield (
            f"  {one['entries']} entries, {used:.1f} of {bound:.1f} MiB, {one['evicted']} evicted,"
            f" {one['expired']} expired, {one['invalidated']} invalidated"
        )
        if not one["current"]:
            yield "  not used at the moment: a worker is not certain to know of all changes"
        if one["not_stored"]:
            yield "  not stored: " + ", ".join(f"{count} {why}" for why, count in one["not_stored"].items())


def _explanation_lines(told: dict[str, Any]) -> Iterator[str]:
    yield f"{told['outcome']}: {told['reason']}"
    if problem := told.get("problem"):
        yield f"  answer    {problem['status']} {problem['code']}"
    if route := told.get("route"):
        yield f"  route     {route['name']} ({route['prefix']})"
    if auth := told.get("auth"):
        yield f"  key       {auth['outcome']}: {auth['reason']}"
    if limit := told.get("rate_limit"):
        yield f"  allowance {limit['remaining']} left for {limit['counted_by']}"
    if cache := told.get("cache"):
        yield f"  cache     {cache['outcome']}: {cache['reason']}"
    if balancing := told.get("balancing"):
        yield f"  policy    {balancing['policy']}"
        for one in balancing["candidates"]:
            yield f"  candidate {one['address']} score {one.get('score', 0):.4g}, {one['active']} in flight"
        for one in balancing["excluded"]:
            yield f"  excluded  {one['address']} {one['reason']}"


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        typer.echo(line)
