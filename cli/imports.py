"""Driving an import: resolve what another service knows, upload, watch, fetch the bad rows."""

import json
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from cli.gateway import Gateway

SERVICES = {
    "accounts": "customers",
    "contacts": "customers",
    "products": "sales",
    "sales-reps": "sales",
    "deals": "sales",
    "tickets": "tickets",
}
_ENDED = ("completed", "failed", "cancelled")
_LOOK_EVERY_S = 0.2
_PIECE_BYTES = 65_536


class ImportFailedError(Exception):
    """The import ended without success; the text says why."""


def import_file(gateway: Gateway, file: Path, mapping: dict[str, Any], errors: Path | None) -> None:
    """Imports `file` and prints how it went. Raises `ImportFailedError`."""
    service = SERVICES.get(mapping["resource"])
    if service is None:
        raise ImportFailedError(
            f"There is no resource {mapping['resource']}; there are {', '.join(SERVICES)}."
        )
    mapping = {**mapping, "columns": {n: _resolved(gateway, rule) for n, rule in mapping["columns"].items()}}
    console = Console(stderr=True)
    with _progress(console) as progress:
        location = _upload(gateway, f"/v1/{service}/imports", file, mapping, progress)
        job = _watch(gateway, location, progress)
    console.print(
        f"{job['status']}: {job['rows_read']:,} rows read, {job['rows_created']:,} created, "
        f"{job['rows_updated']:,} updated, {job['rows_unchanged']:,} unchanged, {job['rows_failed']:,} refused"
    )
    if job["rows_failed"]:
        _fetch_errors(gateway, location, errors or file.with_suffix(".errors.csv"), console)
    if job["status"] != "completed":
        raise ImportFailedError(job["failure"] or f"The import was {job['status']}.")


def _resolved(gateway: Gateway, rule: Any) -> Any:
    """Replaces `resolve` by a `map` from external ids to ours."""
    if not isinstance(rule, dict) or "resolve" not in rule:
        return rule
    wanted = rule["resolve"]
    query = {"filter[source]": wanted["source"], "fields": "id,external_id", "limit": "200"}
    records = gateway.records(f"/v1/{wanted['resource']}", **query)
    ids = {record["external_id"]: record["id"] for record in records}
    return {name: value for name, value in rule.items() if name != "resolve"} | {
        "map": ids | rule.get("map", {})
    }


@contextmanager
def _progress(console: Console) -> Iterator[Progress]:
    columns = (TextColumn("{task.description:10}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, TextColumn("{task.fields[note]}"), console=console) as progress:
        yield progress


def _upload(gateway: Gateway, path: str, file: Path, mapping: dict[str, Any], progress: Progress) -> str:
    task = progress.add_task("upload", total=file.stat().st_size, note="")
    boundary = secrets.token_hex(16)

    def body() -> Iterator[bytes]:
        yield _part(boundary, 'name="mapping"', "application/json") + json.dumps(mapping).encode() + b"\r\n"
        name = file.name.replace('"', "%22")
        yield _part(boundary, f'name="file"; filename="{name}"', "text/csv")
        with file.open("rb") as source:
            while data := source.read(_PIECE_BYTES):
                progress.advance(task, len(data))
                yield data
        yield f"\r\n--{boundary}--\r\n".encode()

    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    return gateway.request("POST", path, content=body(), headers=headers).headers["location"]


def _part(boundary: str, disposition: str, media_type: str) -> bytes:
    return (
        f"--{boundary}\r\nContent-Disposition: form-data; {disposition}\r\nContent-Type: {media_type}\r\n\r\n"
    ).encode()


def _watch(gateway: Gateway, location: str, progress: Progress) -> dict[str, Any]:
    task = progress.add_task("import", total=None, note="")
    while True:
        job: dict[str, Any] = gateway.request("GET", location).json()
        note = f"{job['rows_read']:,} rows"
        progress.update(task, total=job["size_bytes"] or None, completed=job["bytes_read"], note=note)
        if job["status"] in _ENDED:
            return job
        time.sleep(_LOOK_EVERY_S)


def _fetch_errors(gateway: Gateway, location: str, target: Path, console: Console) -> None:
    response: httpx2.Response = gateway.request("GET", f"{location}/errors")
    target.write_bytes(response.content)
    console.print(f"The refused rows are in {target}")
