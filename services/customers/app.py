"""The customers service: who the business deals with."""

from functools import partial
from pathlib import Path

from services.customers.accounts.imports import ACCOUNT_IMPORT
from services.customers.accounts.resource import ACCOUNTS
from services.customers.contacts.imports import CONTACT_IMPORT
from services.customers.contacts.resource import CONTACTS
from services.customers.models import Base, Import
from services.customers.settings import CustomersSettings
from shared.imports.reading.mapping import Mapping
from shared.imports.resource import imports_resource
from shared.imports.routes import imports_router
from shared.imports.schemas import ImportJob
from shared.imports.worker import import_job
from shared.service.definition import Service

IMPORTS = imports_resource("customers", Import)
IMPORTABLE = {"accounts": ACCOUNT_IMPORT, "contacts": CONTACT_IMPORT}

SERVICE = Service(
    name="customers",
    title="Kontor customers",
    summary="Accounts (organisations) and the contacts (people) in them.",
    settings=CustomersSettings,
    metadata=Base.metadata,
    migrations=Path(__file__).parent / "migrations",
    resources=(ACCOUNTS, CONTACTS, IMPORTS),
    routers=(partial(imports_router, IMPORTS, IMPORTABLE),),
    jobs=(import_job(IMPORTABLE),),
    documents=(Mapping, ImportJob),
)
