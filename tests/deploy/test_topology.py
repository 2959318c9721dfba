import uuid
from pathlib import Path

import pytest

from deploy.local.credentials import Credentials, api_keys_document
from deploy.local.topology import SERVICES, Topology
from services.gateway.auth.document import KeysDocument
from services.gateway.config import parse
from services.gateway.documents import parse_document

_ROOT = Path("/nowhere")


@pytest.fixture
def topology() -> Topology:
    credentials = Credentials(
        identity_private_key_file=_ROOT / "identity.pem",
        identity_public_key_file=_ROOT / "identity.pub.pem",
        cursor_key_file=_ROOT / "cursor.key",
        api_keys_file=_ROOT / "api-keys.yaml",
        gateway_admin_key_file=_ROOT / "gateway-admin.key",
        api_key="kontor_x",
        tenant_id=uuid.UUID(int=1),
        admin_password="admin",
        passwords={service: f"{service}-password" for service in SERVICES},
    )
    return Topology(
        gateway_port=8000,
        ports={service: [20_000 + number, 20_100 + number] for number, service in enumerate(SERVICES)},
        database_urls={service: f"postgresql://{service}@127.0.0.1/{service}" for service in SERVICES},
        credentials=credentials,
        gateway_config_file=_ROOT / "gateway.yaml",
        admin_port=8001,
    )


def test_every_process_has_its_own_name_and_port(topology: Topology) -> None:
    serving = [*topology.replicas(), topology.gateway()]
    assert len({process.port for process in serving}) == 7
    names = [process.name for process in (*serving, *topology.workers())]
    assert len(set(names)) == 10
    assert {"customers-1", "sales-2", "gateway", "tickets-worker"} <= set(names)


def test_a_service_learns_its_own_database_only(topology: Topology) -> None:
    for process in (*topology.replicas(), *topology.workers()):
        service = process.name.partition("-")[0]
        assert process.environment[f"{service.upper()}_DATABASE_URL"] == topology.database_urls[service]
        for other in set(SERVICES) - {service}:
            assert topology.database_urls[other] not in process.environment.values()


def test_only_the_gateway_knows_its_admin_key(topology: Topology) -> None:
    key = str(topology.credentials.gateway_admin_key_file)
    assert topology.gateway().environment["GATEWAY_ADMIN_KEY_FILE"] == key
    assert topology.gateway().environment["GATEWAY_ADMIN_PORT"] == "8001"
    others = [*topology.replicas(), *topology.workers()]
    assert not any(key in process.environment.values() for process in others)


def test_only_the_gateway_can_sign(topology: Topology) -> None:
    key = str(topology.credentials.identity_private_key_file)
    holders = [
        process.name
        for process in (*topology.replicas(), *topology.workers(), topology.gateway())
        if key in process.environment.values()
    ]
    assert holders == ["gateway"]


@pytest.mark.parametrize(
    ("path", "upstream", "target"),
    [
        ("/v1/accounts/1", "customers", "/v1/accounts/1"),
        ("/v1/customers/imports", "customers", "/v1/customers/imports"),
        ("/v1/sales-reps", "sales", "/v1/sales-reps"),
        ("/v1/tickets/1/comments", "tickets", "/v1/tickets/1/comments"),
        ("/docs/sales", "sales", "/docs"),
        ("/openapi/tickets.json", "tickets", "/openapi.json"),
    ],
)
def test_the_gateway_understands_its_document(
    topology: Topology, path: str, upstream: str, target: str
) -> None:
    snapshot = parse(topology.gateway_document())
    route = snapshot.routes.match(path.encode())
    assert route is not None
    assert route.upstream == upstream
    assert route.target(path.encode(), b"") == target.encode()
    assert route.public == (not path.startswith("/v1/"))


def test_the_gateway_balances_over_both_replicas(topology: Topology) -> None:
    upstreams = parse(topology.gateway_document()).upstreams
    assert {name: [one.port for one in upstream.replicas] for name, upstream in upstreams.items()} == {
        service: list(topology.ports[service]) for service in SERVICES
    }


def test_the_gateway_understands_the_keys() -> None:
    (key,) = parse_document(api_keys_document("kontor_x", uuid.UUID(int=1)), KeysDocument).keys
    assert (key.tenant_id, key.scopes) == (uuid.UUID(int=1), frozenset({"*"}))
