"""The customers service: who the business deals with."""

from pathlib import Path

from services.customers.accounts.resource import ACCOUNTS
from services.customers.models import Base
from services.customers.settings import CustomersSettings
from shared.service.definition import Service

SERVICE = Service(
    name="customers",
    title="Kontor customers",
    summary="Accounts (organisations) and the contacts (people) in them.",
    settings=CustomersSettings,
    metadata=Base.metadata,
    migrations=Path(__file__).parent / "migrations",
    resources=(ACCOUNTS,),
)
