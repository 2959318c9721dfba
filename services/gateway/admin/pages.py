"""The gateway's own addresses. Each page gives status, content type and body, or raises a `Problem`."""

import json
from collections.abc import Iterable, Mapping
from html import escape
from typing import TYPE_CHECKING

from services.gateway.routing.policy import Route
from shared.problems import FieldError, Problem

if TYPE_CHECKING:
    from services.gateway.resilience.upstream import Upstream

Page = tuple[int, bytes, bytes]

_JSON = b"application/json"
_HTML = b"text/html; charset=utf-8"
_DOCS = "/docs/"
_OPENAPI = "/openapi/"


def livez() -> Page:
    """200 as long as the process answers at all."""
    return 200, _JSON, b'{"status":"ok"}'


def readyz(upstreams: "Mapping[str, Upstream]") -> Page:
    """200 once each upstream has a healthy replica; else the 503 `Problem` that names those without."""
    lacking = [name for name, upstream in upstreams.items() if not upstream.ready()]
    if lacking:
        raise Problem(
            503,
            "not_ready",
            "Not ready",
            f"No healthy replica of: {', '.join(lacking)}.",
            headers={"Retry-After": "1"},
            errors=[
                FieldError(f"/upstreams/{name}", "no_healthy_replica", f"{name} has no healthy replica")
                for name in lacking
            ],
        )
    return 200, _JSON, json.dumps({"status": "ok"}).encode()


def docs(routes: Iterable[Route]) -> Page:
    """Links to every service's documentation, as far as a public route leads there."""
    public = sorted(route.prefix for route in routes if route.public)
    items = [
        f'<li><a href="{escape(prefix + slash)}">{escape(prefix.removeprefix(start))}</a></li>'
        for start, slash in ((_DOCS, "/"), (_OPENAPI, ""))
        for prefix in public
        if prefix.startswith(start)
    ]
    html = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Kontor API</title>'
        "<h1>Kontor API</h1><p>The documentation of each service, and its OpenAPI document.</p>"
        f"<ul>{''.join(items)}</ul></html>\n"
    )
    return 200, _HTML, html.encode()
