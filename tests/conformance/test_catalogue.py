"""That the suite covers what the services offer: their documentation must hold nothing that no case is about."""

from typing import Any

from shared.resources.documentation import Endpoint
from shared.resources.routes import Handlers
from shared.service.definition import Service
from tests.conformance.catalogue import CASES, Case, every, every_service
from tests.conformance.conftest import Fleet
from tests.conformance.world import World

METHODS = {"get", "put", "post", "patch", "delete"}


async def documented(fleet: Fleet, service: Service) -> set[tuple[str, str]]:
    """Every operation of the service's OpenAPI document."""
    under_test, _ = await fleet.get(service)
    async with under_test.client() as client:
        document: dict[str, Any] = (await client.get("/openapi.json")).json()
    return {
        (method.upper(), path)
        for path, item in document["paths"].items()
        for method in item
        if method in METHODS
    }


def endpoints(case: Case) -> list[Endpoint]:
    """What the kit adds for the resource; the handlers are never called here."""
    return Handlers(case.resource, None, None).endpoints()  # type: ignore[arg-type]


def test_the_suite_found_every_service() -> None:
    assert {case.service.name for case in CASES} >= {"customers"}


@every_service()
async def test_every_declared_operation_is_documented(service: Service, fleet: Fleet) -> None:
    found = await documented(fleet, service)
    for case in (one for one in CASES if one.service is service):
        for endpoint in endpoints(case):
            path = endpoint.path.replace(":path}", "}")
            assert (endpoint.method, path) in found, f"{endpoint.method} {path} is not documented"


@every_service()
async def test_every_documented_path_belongs_to_a_resource(service: Service, fleet: Fleet) -> None:
    roots = tuple(case.resource.path for case in CASES if case.service is service)
    for _, path in sorted(await documented(fleet, service)):
        assert path.startswith(roots), f"no conformance test covers {path}"


@every("list")
async def test_a_record_can_be_made(case: Case, world: World) -> None:
    """Everything else rests on this: when it fails for a new resource, see `bodies.py`."""
    record = await world.create()
    answer = await world.client.get(await world.path())
    assert record["id"] in [one["id"] for one in answer.json()["data"]]
