"""The settings of the sales service: `SALES_…` in the environment."""

from pydantic_settings import SettingsConfigDict

from shared.service.settings import ServiceSettings


class SalesSettings(ServiceSettings):
    """Nothing beyond what every service has."""

    model_config = SettingsConfigDict(env_prefix="SALES_", frozen=True, extra="ignore")
