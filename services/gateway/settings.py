"""What the gateway is told by its environment, each variable prefixed `GATEWAY_`."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

Port = Annotated[int, Field(ge=0, le=65535)]


class GatewaySettings(BaseSettings):
    """Frozen; files are named here and read by the composition root.

    A document that asks nobody for a key (`auth: {mode: none}`) needs neither `identity_private_key_file` nor
    `api_keys_file`. `drain_s`: after SIGTERM, how long requests under way may still take, in seconds. The admin
    API listens only when it has a port and a file with its key, which is at least 16 characters.
    """

    model_config = SettingsConfigDict(env_prefix="GATEWAY_", frozen=True)

    host: str = "127.0.0.1"
    port: Port = 8000
    config_file: Path
    identity_private_key_file: Path | None = None
    api_keys_file: Path | None = None
    log_format: Literal["text", "json"] = "text"
    instance: str = "gateway-1"
    drain_s: Annotated[int, Field(ge=0, le=3600)] = 30
    admin_host: str = "127.0.0.1"
    admin_port: Port | None = None
    admin_key_file: Path | None = None

    @model_validator(mode="after")
    def _admin_is_whole(self) -> Self:
        if (self.admin_port is None) != (self.admin_key_file is None):
            missing = "GATEWAY_ADMIN_PORT" if self.admin_port is None else "GATEWAY_ADMIN_KEY_FILE"
            raise ValueError(f"the admin API needs {missing} as well")
        return self
