"""What the gateway is told by its environment, each variable prefixed `GATEWAY_`."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class GatewaySettings(BaseSettings):
    """Frozen; files are named here and read by the composition root.

    `drain_s`: after SIGTERM, how long requests under way may still take, in seconds.
    """

    model_config = SettingsConfigDict(env_prefix="GATEWAY_", frozen=True)

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    config_file: Path
    identity_private_key_file: Path
    api_keys_file: Path
    log_format: Literal["text", "json"] = "text"
    instance: str = "gateway-1"
    drain_s: Annotated[int, Field(ge=0, le=3600)] = 30
