"""Contacts as a resource: how they are filtered, sorted, searched and included."""

from services.customers.accounts.resource import ACCOUNTS
from services.customers.contacts import models, schemas
from shared.resources.definition import Reference, Resource, column_filters, column_sorts
from shared.resources.filters import TEXT, ElementFilter

CONTACTS = Resource(
    name="contacts",
    singular="contact",
    model=models.Contact,
    writable=schemas.ContactIn,
    readable=schemas.Contact,
    filters=column_filters(
        models.Contact,
        "given_name",
        "family_name",
        "account_id",
        "title",
        "department",
        "city",
        "country",
        "locale",
        "time_zone",
        email=ElementFilter("t.emails", TEXT, member="address", search=models.SEARCH),
        phone=ElementFilter("t.phones", TEXT, member="number", search=models.SEARCH),
    ),
    sorts=column_sorts(models.Contact, "family_name"),
    search=models.SEARCH,
    references=(Reference("account_id", lambda: ACCOUNTS, include="account"),),
)
