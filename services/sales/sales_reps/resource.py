"""Sales representatives as a resource."""

from services.sales.sales_reps import models, schemas
from shared.resources.definition import Resource, column_filters, column_sorts

SALES_REPS: Resource = Resource(
    name="sales-reps",
    singular="sales rep",
    model=models.SalesRep,
    writable=schemas.SalesRepIn,
    readable=schemas.SalesRep,
    filters=column_filters(models.SalesRep, "name", "email", "team", "manager", "region"),
    sorts=column_sorts(models.SalesRep, "name"),
    search=models.SEARCH,
)
