"""The settings of the customers service: `CUSTOMERS_…` in the environment."""

from pydantic_settings import SettingsConfigDict

from shared.service.settings import ServiceSettings


class CustomersSettings(ServiceSettings):
    """Nothing beyond what every service has."""

    model_config = SettingsConfigDict(env_prefix="CUSTOMERS_", frozen=True, extra="ignore")
