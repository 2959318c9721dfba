"""Generated requests, valid and not, from an OpenAPI document: every answer must be as the document says.

A documented status, media type, headers and shape, whatever is asked, and never a failure of ours.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any
from uuid import UUID

import hypothesis
import schemathesis
import uvicorn
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from shared.service.application import create_app
from shared.service.definition import Service
from shared.telemetry.setup import configure
from shared.version import VERSION
from tests.conformance.catalogue import CASES
from tests.conformance.conftest import Fleet
from tests.conformance.world import World

CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
)
Ids = dict[str, dict[str, str]]
Headers = Callable[[], dict[str, str]]


@contextmanager
def served(service: Service, **settings: Any) -> Iterator[int]:
    """The service on a port of its own, in a thread, because the generated requests are synchronous."""
    telemetry = configure(service.name, version=VERSION, instance_id="openapi", environ={})
    application: Any = create_app(service, service.settings(port=0, **settings), telemetry)
    server = uvicorn.Server(uvicorn.Config(application, port=0, log_config=None, loop="asyncio"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            if not thread.is_alive():
                raise RuntimeError(f"{service.name} did not start")
            threading.Event().wait(0.01)
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()


async def known_records(fleet: Fleet, service: Service, tenant_id: UUID) -> Ids:
    """One record of each resource of the service: its id and its parent's, by the resource's path."""
    under_test, pool = await fleet.get(service)
    known: Ids = {}
    numbers = count(1)
    async with under_test.client(tenant_id) as client:
        for case in (one for one in CASES if one.service is service):
            world = World(case, under_test, tenant_id, client, pool, numbers=numbers)
            record = await world.create()
            parent = world.parent["id"] if world.parent is not None else ""
            known[case.resource.path] = {"id": record["id"], "parent_id": parent}
    return known


def faults(document: Any, url: str, headers: Headers, known: Ids, *, examples: int) -> Iterator[str]:
    """What is not as documented, in sentences. `examples` requests per operation that fit, and as many that do not.

    Half of the requests are about a record that exists, as `known` names it.
    """
    schema = schemathesis.openapi.from_dict(document)
    operations: list[Any] = [
        found.ok()  # type: ignore[union-attr]  # a document of ours is valid
        for found in schema.get_all_operations()
    ]
    for operation in sorted(operations, key=lambda one: one.method.upper() == "DELETE"):
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            try:
                _exercise(operation, mode, url, headers, known, examples)
            except (AssertionError, BaseExceptionGroup) as failure:
                yield f"{operation.method.upper()} {operation.path} ({mode.value}): {_told(failure)}"


def _told(failure: BaseException) -> str:
    if isinstance(failure, BaseExceptionGroup):
        return "\n".join(_told(one) for one in failure.exceptions)
    return str(failure)[:1500]


def _exercise(
    operation: Any, mode: GenerationMode, url: str, headers: Headers, known: Ids, examples: int
) -> None:
    existing = _ids_of(known, operation.path, "/{id}")
    parents = _ids_of(known, operation.path, "")
    turn = 0

    @hypothesis.settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(hypothesis.HealthCheck),
        phases=[hypothesis.Phase.generate],
    )
    @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
    def run(case: Any) -> None:
        nonlocal turn
        turn += 1
        if turn % 2:
            ids = {**parents, **existing}
            case.path_parameters = {
                name: ids.get(name) or value for name, value in (case.path_parameters or {}).items()
            }
        response = case.call(base_url=url, headers=headers())
        case.validate_response(response, checks=list(CHECKS))

    try:
        run()
    except hypothesis.errors.Unsatisfiable:
        return  # nothing can be wrong where nothing is taken


def _ids_of(known: Ids, path: str, suffix: str) -> dict[str, str]:
    """The ids of the resource that a path is about: that with the longest path of its own."""
    roots = [root for root in known if path.startswith(root + suffix)]
    return known[max(roots, key=len)] if roots else {}
