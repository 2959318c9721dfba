"""The secrets of one deployment: generated on the first run, kept in files only their owner can read."""

import hashlib
import json
import os
import secrets
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

API_KEY_PREFIX = "kontor_"
_PRIVATE = 0o600
_KEY_ENTROPY_BYTES = 30  # 40 characters of base64url


class CredentialsError(Exception):
    """A file of secrets is unreadable or makes no sense; the message is one sentence naming it."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Where the secrets are that processes read from files, and those the deployment itself hands out."""

    identity_private_key_file: Path
    identity_public_key_file: Path
    cursor_key_file: Path
    api_keys_file: Path
    gateway_admin_key_file: Path
    api_key: str
    tenant_id: uuid.UUID
    admin_password: str
    passwords: dict[str, str]
    """The password of each service's database role."""


def load_or_make(directory: Path, *, services: Sequence[str], data_exists: bool) -> Credentials:
    """Read the secrets of `directory`, generating whichever is missing.

    With `data_exists` the databases' passwords must be there already: new ones would not open the old data.
    Raises CredentialsError for a damaged file, OSError when the directory cannot be used.
    """
    directory.mkdir(mode=0o700, exist_ok=True)
    directory.chmod(0o700)
    passwords = _passwords(directory / "passwords.json", services, data_exists=data_exists)
    demo = _demo(directory / "demo.json")
    cursor_key = directory / "cursor.key"
    if not cursor_key.exists():
        write_private(cursor_key, secrets.token_hex(32) + "\n")
    gateway_admin_key = directory / "gateway-admin.key"
    if not gateway_admin_key.exists():
        write_private(gateway_admin_key, secrets.token_urlsafe(32) + "\n")
    private_key, public_key = directory / "identity.pem", directory / "identity.pub.pem"
    if not (private_key.exists() and public_key.exists()):
        _make_identity_keys(private_key, public_key)
    api_keys = directory / "api-keys.yaml"
    write_private(api_keys, api_keys_document(demo.api_key, demo.tenant_id))
    return Credentials(
        identity_private_key_file=private_key,
        identity_public_key_file=public_key,
        cursor_key_file=cursor_key,
        api_keys_file=api_keys,
        gateway_admin_key_file=gateway_admin_key,
        api_key=demo.api_key,
        tenant_id=demo.tenant_id,
        admin_password=passwords["admin"],
        passwords={service: passwords[service] for service in services},
    )


def api_keys_document(api_key: str, tenant_id: uuid.UUID) -> str:
    """What the gateway reads: it knows keys by their SHA-256 only. (JSON, which is YAML too.)"""
    digest = hashlib.sha256(api_key.encode()).hexdigest()
    entry = {
        "id": "demo",
        "sha256": digest,
        "tenant_id": str(tenant_id),
        "principal": "demo",
        "scopes": ["*"],
    }
    return json.dumps({"keys": [entry]}, indent=2) + "\n"


def write_private(path: Path, text: str) -> None:
    """Replace a file by one of mode 0600, whole or not at all, even if the machine stops half-way."""
    unfinished = path.with_name(path.name + ".unfinished")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)


@dataclass(frozen=True, slots=True)
class _Demo:
    tenant_id: uuid.UUID
    api_key: str


def _demo(path: Path) -> _Demo:
    if not path.exists():
        api_key = API_KEY_PREFIX + secrets.token_urlsafe(_KEY_ENTROPY_BYTES)
        write_private(path, json.dumps({"tenant": str(uuid.uuid4()), "api_key": api_key}) + "\n")
    document = _read(path)
    try:
        return _Demo(uuid.UUID(document["tenant"]), document["api_key"])
    except (KeyError, ValueError) as error:
        raise CredentialsError(_damaged(path)) from error


def _passwords(path: Path, services: Sequence[str], *, data_exists: bool) -> dict[str, str]:
    if not path.exists():
        if data_exists:
            raise CredentialsError(
                f"{path} is missing, and with it the passwords of the databases beside it:"
                " restore it, or start on another directory."
            )
        made = {name: secrets.token_urlsafe(24) for name in ("admin", *services)}
        write_private(path, json.dumps(made) + "\n")
    passwords = _read(path)
    if not {"admin", *services} <= passwords.keys():
        raise CredentialsError(_damaged(path))
    return passwords


def _make_identity_keys(private_path: Path, public_path: Path) -> None:
    # Only the first run needs it, and it takes longer to import than all the rest of this package.
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415

    key = Ed25519PrivateKey.generate()
    pem = serialization.Encoding.PEM
    public = key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    # The private key last: while it is missing, both are made anew.
    write_private(public_path, public.decode())
    write_private(private_path, private.decode())


def _read(path: Path) -> dict[str, str]:
    try:
        document = json.loads(path.read_text())
    except ValueError as error:
        raise CredentialsError(_damaged(path)) from error
    if not isinstance(document, dict) or not all(isinstance(value, str) for value in document.values()):
        raise CredentialsError(_damaged(path))
    return document


def _damaged(path: Path) -> str:
    return f"{path} is damaged: restore it, or start on another directory."
