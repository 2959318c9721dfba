"""Each service's OpenAPI document as partners use it: with an API key, through a real gateway process.

Fewer requests than to the service itself: what is new here is what the gateway refuses, adds and passes on.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from deploy.local.credentials import Credentials, load_or_make
from deploy.local.ports import free_port
from deploy.local.programs import service_launch
from deploy.local.topology import SERVICES as DEPLOYED
from deploy.local.topology import Process, Topology
from shared.service.definition import Service
from tests.conformance.catalogue import SERVICES, every_service
from tests.conformance.conftest import Fleet
from tests.conformance.exercising import faults, known_records, served
from tests.deploy.suite_process import eventually

EXAMPLES = 2

pytestmark = pytest.mark.process


@dataclass(frozen=True)
class Suite:
    """Every service behind one gateway, and the secrets of this deployment."""

    url: str
    credentials: Credentials


@pytest.fixture(scope="module")
async def suite(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Suite]:
    """The gateway as `make run` starts it, over services that run in threads."""
    folder = tmp_path_factory.mktemp("suite")
    credentials = load_or_make(folder / "secrets", services=DEPLOYED, data_exists=False)
    urls = {service.name: (await fleet.get(service))[0].database_url for service in SERVICES}
    with ExitStack() as stack:
        ports = {
            service.name: stack.enter_context(
                served(
                    service,
                    database_url=urls[service.name],
                    identity_public_key_file=credentials.identity_public_key_file,
                    cursor_key_file=credentials.cursor_key_file,
                )
            )
            for service in SERVICES
        }
        topology = Topology(
            gateway_port=free_port(),
            ports={name: [port] for name, port in ports.items()},
            database_urls=urls,
            credentials=credentials,
            gateway_config_file=folder / "gateway.yaml",
        )
        topology.gateway_config_file.write_text(topology.gateway_document())
        stack.enter_context(_running(topology.gateway(), folder / "gateway.log"))
        yield Suite(f"http://127.0.0.1:{topology.gateway_port}", credentials)


@contextmanager
def _running(gateway: Process, log: Path) -> Iterator[None]:
    with log.open("wb") as output:
        process = service_launch(gateway).spawn(output)
    try:

        def is_ready() -> bool:
            assert process.poll() is None, log.read_text()
            try:
                return httpx2.get(f"http://127.0.0.1:{gateway.port}/readyz", trust_env=False).is_success
            except httpx2.TransportError:
                return False

        eventually(is_ready, "the gateway")
        yield
        assert "Traceback" not in log.read_text()
    finally:
        process.terminate()
        process.wait(10)


@every_service()
async def test_answers_are_as_documented(service: Service, fleet: Fleet, suite: Suite) -> None:
    known = await known_records(fleet, service, suite.credentials.tenant_id)
    authorization = {"Authorization": f"Bearer {suite.credentials.api_key}"}

    def exercise() -> list[str]:
        document = httpx2.get(f"{suite.url}/openapi/{service.name}.json", trust_env=False).json()
        return list(faults(document, suite.url, lambda: authorization, known, examples=EXAMPLES))

    found = await asyncio.to_thread(exercise)
    assert not found, "\n\n".join(found)


async def test_without_a_key_the_answer_is_documented_too(suite: Suite) -> None:
    answer = await asyncio.to_thread(httpx2.get, f"{suite.url}/v1/accounts", trust_env=False)
    assert (answer.status_code, answer.headers["content-type"]) == (401, "application/problem+json")
