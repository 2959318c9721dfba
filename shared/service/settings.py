"""Settings that every service has: typed, frozen, from the environment with the service's prefix."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class ServiceSettings(BaseSettings):
    """Read once by the composition root. A service subclasses it with `env_prefix` and its own additions."""

    # An error's text must not show what was given: the database's URL holds a password.
    model_config = SettingsConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    host: str = "127.0.0.1"
    port: int = Field(ge=0, le=65535)
    database_url: SecretStr
    """postgresql://user:password@host:port/database"""
    database_url_file: Path | None = None
    """Instead of `database_url`: the file that holds it, where secrets are handed over as files."""
    identity_public_key_file: Path
    """Ed25519, PEM: the gateway's signature on identities is checked with it."""
    cursor_key_file: Path
    """At least 32 random bytes as hexadecimal text; all replicas of a service share it."""
    instance: str = "1"
    log_format: Literal["text", "json"] = "text"
    read_connections: int = Field(default=8, ge=1, le=100)
    write_connections: int = Field(default=8, ge=1, le=100)
    history_retention_days: int | None = Field(default=None, ge=1)
    """How long histories (append-only tables) are kept: at least so many days, by whole months. None: for ever."""
    event_retention_days: int = Field(default=31, ge=1)
    """How long the log of changes is kept, likewise: as long as a follower may be away without beginning anew."""

    @model_validator(mode="before")
    @classmethod
    def _read_database_url(cls, values: dict[str, Any]) -> dict[str, Any]:
        file = values.get("database_url_file")
        if file is None:
            return values
        if "database_url" in values:
            raise ValueError("there are a database_url and a database_url_file: which is meant?")
        try:
            return values | {"database_url": Path(file).read_text("utf-8").strip()}
        except OSError as error:
            raise ValueError(f"database_url_file: {error}") from error


def read_cursor_key(path: Path) -> bytes:
    """The key in the file. Raises ValueError for one that is too short to sign with."""
    key = bytes.fromhex(path.read_text("ascii").strip())
    if len(key) < 32:
        raise ValueError(f"{path}: a cursor key has at least 32 bytes")
    return key
