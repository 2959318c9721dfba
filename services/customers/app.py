"""The customers service: who the business deals with."""

from pathlib import Path

from services.customers.accounts.imports import ACCOUNT_IMPORT
from services.customers.accounts.resource import ACCOUNTS
from services.customers.contacts.imports import CONTACT_IMPORT
from services.customers.contacts.resource import CONTACTS
from services.customers.models import Base, Import
from services.customers.settings import CustomersSettings
from shared.imports.wiring import with_imports
from shared.service.definition import Service

SERVICE = with_imports(
    Service(
        name="customers",
        title="Kontor customers",
        summary="Accounts (organisations) and the contacts (people) in them.",
        settings=CustomersSettings,
        metadata=Base.metadata,
        migrations=Path(__file__).parent / "migrations",
        resources=(ACCOUNTS, CONTACTS),
    ),
    Import,
    {"accounts": ACCOUNT_IMPORT, "contacts": CONTACT_IMPORT},
)
