"""Each service's OpenAPI document against the service itself, over a socket."""

import asyncio

from shared.database.tables import new_id
from shared.identity import IDENTITY_HEADER, Identity
from shared.identity.signer import IdentitySigner
from shared.service.definition import Service
from shared.testing.services import Keys
from tests.conformance.catalogue import every_service
from tests.conformance.conftest import Fleet
from tests.conformance.exercising import faults, known_records, served

EXAMPLES = 6


@every_service()
async def test_answers_are_as_documented(service: Service, fleet: Fleet, keys: Keys) -> None:
    under_test, _ = await fleet.get(service)
    tenant_id = new_id()
    known = await known_records(fleet, service, tenant_id)
    async with under_test.client(tenant_id) as client:
        document = (await client.get("/openapi.json")).json()
    signer = IdentitySigner(keys.private_pem)

    def identify() -> dict[str, str]:
        identity = Identity(tenant_id, "schemathesis", frozenset({"*"}))
        return {IDENTITY_HEADER: signer.sign(identity, service.name)}

    def exercise() -> list[str]:
        with served(
            service,
            database_url=under_test.database_url,
            identity_public_key_file=keys.public_file,
            cursor_key_file=keys.cursor_file,
        ) as port:
            return list(faults(document, f"http://127.0.0.1:{port}", identify, known, examples=EXAMPLES))

    found = await asyncio.to_thread(exercise)
    assert not found, "\n\n".join(found)
