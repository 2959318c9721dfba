"""Accounts from a file."""

from services.customers.accounts.resource import ACCOUNTS
from shared.imports.target import Check, ImportField, ImportTarget

# A parent may come later in the file than its children, so it is looked for when both are there.
_ADOPT = """
    UPDATE accounts c SET parent_id = p.id FROM staged s, accounts p
    WHERE s.parent IS NOT NULL AND NOT s.superseded
      AND c.tenant_id = $1 AND c.source = $2 AND c.external_id = s.key AND c.deleted_at IS NULL
      AND p.tenant_id = $1 AND p.source = $2 AND p.external_id = s.parent AND p.deleted_at IS NULL
      AND c.parent_id IS DISTINCT FROM p.id
"""

ACCOUNT_IMPORT = ImportTarget(
    resource=ACCOUNTS,
    fields={
        "name": ImportField(column="name", required=True),
        "domain": ImportField(column="domain", max_length=253),
        "sector": ImportField(column="sector", max_length=100),
        "year_established": ImportField("integer", "year_established", minimum=1, maximum=9999),
        "employees": ImportField("integer", "employees", minimum=0, maximum=2_000_000_000),
        "annual_revenue": ImportField("money", "annual_revenue"),
        "country": ImportField(column="country", max_length=100),
        "city": ImportField(column="city", max_length=100),
        "description": ImportField(column="description", max_length=100_000),
        "parent": ImportField(max_length=255),
    },
    checks=(Check("parent", "circular", "an account is not its own parent", "s.parent = s.key"),),
    after=(_ADOPT,),
)
