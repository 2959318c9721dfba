"""The scripts of the Compose deployment, run for real: what makes its secrets, and what makes its databases."""

import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
import pytest

from deploy.local.postgres import PostgresServer, temporary_server
from deploy.local.postgres_binaries import find_binaries
from deploy.local.topology import SERVICES
from services.gateway.auth.document import KeysDocument
from services.gateway.documents import read_document
from shared.identity import Identity
from shared.identity.signer import IdentitySigner
from shared.identity.verifier import IdentityVerifier
from shared.service.settings import read_cursor_key

COMPOSE = Path(__file__).parent.parent.parent / "deploy" / "compose"

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the deployment's folder with its secrets made."""
    folder = tmp_path_factory.mktemp("compose")
    for name in ("make-secrets.sh", "init-databases.sh", ".env.example"):
        shutil.copy(COMPOSE / name, folder)
    _make_secrets(folder)
    return folder


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with temporary_server(in_memory=True) as server:
        yield server


def test_every_secret_is_made_for_its_owner_only(deployment: Path) -> None:
    files = {path.name: path for path in (deployment / "secrets").iterdir()}
    named = "".join((COMPOSE / name).read_text() for name in ("compose.yaml", "observability.yaml"))
    assert all(f"./secrets/{name}}}" in named for name in set(files) - {"api-key"})
    assert len(files) == 16
    assert {stat.S_IMODE(path.stat().st_mode) for path in files.values()} == {0o600}
    assert stat.S_IMODE((deployment / "secrets").stat().st_mode) == 0o700
    settings = dict(line.split("=") for line in (deployment / ".env").read_text().splitlines() if "=" in line)
    owners = {(str(path.stat().st_uid), str(path.stat().st_gid)) for path in files.values()}
    assert owners == {(settings["KONTOR_UID"], settings["KONTOR_GID"])}
    assert settings["KONTOR_UID"] != "0", "no container runs as root"


def test_secrets_are_completed_and_never_overwritten(deployment: Path) -> None:
    secrets = deployment / "secrets"
    before = {path.name: path.read_bytes() for path in secrets.iterdir()}
    (secrets / "sales-database-url").unlink()
    (secrets / "identity-public-key.pem").unlink()
    assert _make_secrets(deployment) == [
        "made secrets/sales-database-url",
        "made secrets/identity-public-key.pem",
    ]
    assert {path.name: path.read_bytes() for path in secrets.iterdir()} == before


def test_the_gateway_knows_the_key(deployment: Path) -> None:
    secrets = deployment / "secrets"
    ring = read_document(secrets / "api-keys.json", KeysDocument).ring()
    caller = ring.find((secrets / "api-key").read_text().strip().encode())
    assert caller is not None
    assert caller.identity.tenant_id.version == 4
    assert caller.identity.scopes == {"*"}


def test_services_trust_the_gateway(deployment: Path) -> None:
    secrets = deployment / "secrets"
    identity = Identity(UUID(int=1), "someone", frozenset())
    token = IdentitySigner((secrets / "identity-private-key.pem").read_bytes()).sign(identity, "sales")
    verifier = IdentityVerifier((secrets / "identity-public-key.pem").read_bytes(), "sales")
    assert verifier.verify(token) == identity


def test_services_accept_their_cursor_keys(deployment: Path) -> None:
    keys = {read_cursor_key(deployment / "secrets" / f"{service}-cursor-key") for service in SERVICES}
    assert len(keys) == len(SERVICES)


async def test_each_service_enters_its_own_database_only(deployment: Path, server: PostgresServer) -> None:
    answer = _init_databases(deployment / "secrets", server)
    assert answer.returncode == 0, answer.stderr
    for service in SERVICES:
        url = urlsplit((deployment / "secrets" / f"{service}-database-url").read_text().strip())
        assert (url.hostname, url.port, url.path) == ("postgres", 5432, f"/{service}")
        for database in SERVICES:
            here = server.url(database, role=str(url.username), password=str(url.password))
            if database == service:
                connection = await asyncpg.connect(here)
                await connection.execute("CREATE TABLE probe (id int)")
                await connection.close()
            else:
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await asyncpg.connect(here)


def test_a_missing_password_stops_it(server: PostgresServer, tmp_path: Path) -> None:
    answer = _init_databases(tmp_path, server)
    assert answer.returncode == 1
    assert "customers-password is missing, empty or not readable" in answer.stderr


def _make_secrets(folder: Path) -> list[str]:
    answer = subprocess.run([folder / "make-secrets.sh"], capture_output=True, text=True, check=True)
    return answer.stdout.splitlines()


def _init_databases(secrets: Path, server: PostgresServer) -> subprocess.CompletedProcess[str]:
    """As the image's own entrypoint would, but over TCP."""
    admin = urlsplit(server.admin_url)
    environment = {
        "PATH": f"{find_binaries().directory}:{os.environ['PATH']}",
        "KONTOR_SECRETS": str(secrets),
        "POSTGRES_USER": str(admin.username),
        "PGPASSWORD": str(admin.password),
        "PGHOST": str(admin.hostname),
        "PGPORT": str(admin.port),
    }
    script = COMPOSE / "init-databases.sh"
    return subprocess.run(["bash", script], env=environment, capture_output=True, text=True, check=False)
