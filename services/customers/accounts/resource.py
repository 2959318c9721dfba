"""Accounts as a resource: how they are filtered, sorted, searched and included."""

from services.customers.accounts import models, schemas
from services.customers.accounts.service import AccountRules
from shared.resources.definition import Reference, Resource, Sort, column_filters, column_sorts
from shared.resources.filters import DECIMAL, Filter

ACCOUNTS: Resource = Resource(
    name="accounts",
    singular="account",
    model=models.Account,
    writable=schemas.AccountIn,
    readable=schemas.Account,
    filters=column_filters(
        models.Account,
        "name",
        "domain",
        "sector",
        "year_established",
        "employees",
        "country",
        "city",
        "parent_id",
        annual_revenue=Filter("t.annual_revenue_amount", DECIMAL, nullable=True),
    ),
    sorts=column_sorts(
        models.Account,
        "name",
        "employees",
        annual_revenue=Sort("t.annual_revenue_amount", DECIMAL, nullable=True),
    ),
    search=models.SEARCH,
    rules=AccountRules(),
    references=(Reference("parent_id", lambda: ACCOUNTS, include="parent"),),
)
