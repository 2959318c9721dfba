"""Products from a file."""

from services.sales.products.resource import PRODUCTS
from shared.imports.target import Check, ImportField, ImportTarget

_NAME_TAKEN = """
    EXISTS (SELECT FROM products p WHERE p.tenant_id = $1 AND p.deleted_at IS NULL AND lower(p.name) = lower(s.name)
            AND (p.source, p.external_id) IS DISTINCT FROM ($2::text, s.key))
    OR EXISTS (SELECT FROM staged o WHERE lower(o.name) = lower(s.name) AND o.key <> s.key AND o.row < s.row)
"""

PRODUCT_IMPORT = ImportTarget(
    resource=PRODUCTS,
    fields={
        "name": ImportField(column="name", required=True),
        "series": ImportField(column="series", max_length=100),
        "list_price": ImportField("money", "list_price"),
        "active": ImportField("boolean", "active", sql="coalesce(s.active::boolean, true)"),
    },
    checks=(Check("name", "duplicate_key", "another product has this name already", _NAME_TAKEN),),
)
