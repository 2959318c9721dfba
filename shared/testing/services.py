"""A service in the test's own process: its whole application over a real database, without a port."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from shared.asgi import App
from shared.database.tables import new_id
from shared.identity import IDENTITY_HEADER, Identity
from shared.identity.signer import IdentitySigner
from shared.service.application import create_app
from shared.service.definition import Service
from shared.telemetry.setup import configure
from shared.version import VERSION


@dataclass(frozen=True)
class Keys:
    """The keys of one test deployment, as files."""

    private_pem: bytes
    public_file: Path
    cursor_file: Path

    @classmethod
    def make(cls, folder: Path) -> "Keys":
        """Fresh ones."""
        key = Ed25519PrivateKey.generate()
        public_file, cursor_file = folder / "identity.pub.pem", folder / "cursor.key"
        public_file.write_bytes(
            key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        )
        cursor_file.write_text(secrets.token_hex(32))
        return cls(
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), public_file, cursor_file
        )


class ServiceUnderTest:
    """A running service; `client()` is a caller as the gateway would present it."""

    def __init__(self, service: Service, app: App, keys: Keys, database_url: str) -> None:
        self.service = service
        self.app = app
        self.database_url = database_url
        self._signer = IdentitySigner(keys.private_pem)

    def client(self, tenant_id: UUID | None = None, principal: str = "tester") -> httpx2.AsyncClient:
        """A client of this tenant (a new one by default)."""
        identity = Identity(tenant_id or new_id(), principal, frozenset({"*"}))
        first = self._signer.sign(identity, self.service.name)

        def renew(request: httpx2.Request) -> httpx2.Request:
            """As the gateway does, for an identity expires within two minutes; a test's own token stays."""
            if request.headers.get(IDENTITY_HEADER) == first:
                request.headers[IDENTITY_HEADER] = self._signer.sign(identity, self.service.name)
            return request

        return httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=self.app),
            base_url=f"http://{self.service.name}",
            headers={IDENTITY_HEADER: first},
            auth=renew,
        )


@asynccontextmanager
async def running(
    service: Service, database_url: str, keys: Keys, **settings: Any
) -> AsyncIterator[ServiceUnderTest]:
    """Starts the service's application on this database and stops it afterwards."""
    made = service.settings(
        port=0,
        database_url=database_url,
        identity_public_key_file=keys.public_file,
        cursor_key_file=keys.cursor_file,
        **settings,
    )
    telemetry = configure(service.name, version=VERSION, instance_id="test", environ={})
    app = create_app(service, made, telemetry)
    async with _lifespan(app):
        yield ServiceUnderTest(service, app, keys, database_url)


@asynccontextmanager
async def _lifespan(app: App) -> AsyncIterator[None]:
    """Drives the application's start and stop as a server does."""
    to_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    from_app: asyncio.Queue[Any] = asyncio.Queue()

    async def run() -> None:
        await app({"type": "lifespan", "asgi": {"version": "3.0"}}, to_app.get, from_app.put)

    task = asyncio.create_task(run())
    await _say(to_app, from_app, "startup")
    try:
        yield
    finally:
        await _say(to_app, from_app, "shutdown")
        await task


async def _say(to_app: asyncio.Queue[dict[str, Any]], from_app: asyncio.Queue[Any], what: str) -> None:
    await to_app.put({"type": f"lifespan.{what}"})
    answer = await from_app.get()
    if answer["type"] != f"lifespan.{what}.complete":
        raise RuntimeError(answer.get("message", answer["type"]))
