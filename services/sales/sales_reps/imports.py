"""Sales representatives from a file."""

from services.sales.sales_reps.resource import SALES_REPS
from shared.imports.target import ImportField, ImportTarget

SALES_REP_IMPORT = ImportTarget(
    resource=SALES_REPS,
    fields={
        "name": ImportField(column="name", required=True),
        "email": ImportField("email", "email"),
        "team": ImportField(column="team", max_length=100),
        "manager": ImportField(column="manager"),
        "region": ImportField(column="region", max_length=100),
    },
    independent=True,
)
