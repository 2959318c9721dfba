"""The settings of the tickets service: `TICKETS_…` in the environment."""

from pydantic_settings import SettingsConfigDict

from shared.service.settings import ServiceSettings


class TicketsSettings(ServiceSettings):
    """Nothing beyond what every service has."""

    model_config = SettingsConfigDict(env_prefix="TICKETS_", frozen=True, extra="ignore")
