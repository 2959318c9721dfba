"""Products as a resource."""

from services.sales.products import models, schemas
from shared.resources.definition import Resource, Sort, column_filters, column_sorts
from shared.resources.filters import DECIMAL, Filter

PRODUCTS: Resource = Resource(
    name="products",
    singular="product",
    model=models.Product,
    writable=schemas.ProductIn,
    readable=schemas.Product,
    filters=column_filters(
        models.Product,
        "name",
        "series",
        "active",
        list_price=Filter("t.list_price_amount", DECIMAL, nullable=True),
    ),
    sorts=column_sorts(
        models.Product,
        "name",
        list_price=Sort("t.list_price_amount", DECIMAL, nullable=True),
    ),
    search=models.SEARCH,
    unique={"uq_products_name": ("name",)},
)
