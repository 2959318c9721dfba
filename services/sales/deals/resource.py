"""Deals and their stage changes as resources."""

from services.sales.deals import models, schemas
from services.sales.deals.service import DealRules
from services.sales.pipelines.resource import PIPELINES
from services.sales.products.resource import PRODUCTS
from services.sales.sales_reps.resource import SALES_REPS
from shared.resources.definition import (
    READ_ONLY,
    Parent,
    Reference,
    Resource,
    Sort,
    column_filters,
    column_sorts,
)
from shared.resources.filters import DECIMAL, ID, KEY, ArrayFilter, Filter, choice

DEALS: Resource = Resource(
    name="deals",
    singular="deal",
    model=models.Deal,
    writable=schemas.DealIn,
    readable=schemas.Deal,
    filters=column_filters(
        models.Deal,
        "name",
        "account_id",
        "product_id",
        "rep_id",
        "pipeline_id",
        "stage_id",
        "engaged_on",
        "closed_on",
        "stage_changed_at",
        status=Filter("t.status", choice("open", "won", "lost")),
        contact_id=ArrayFilter("t.contact_ids", ID),
        amount=Filter("t.amount_amount", DECIMAL, nullable=True),
        currency=Filter("t.amount_currency", KEY, nullable=True),
    ),
    sorts=column_sorts(
        models.Deal,
        "name",
        "engaged_on",
        "closed_on",
        amount=Sort("t.amount_amount", DECIMAL, nullable=True),
    ),
    search=models.SEARCH,
    rules=DealRules(),
    references=(
        Reference("product_id", lambda: PRODUCTS, include="product"),
        Reference("rep_id", lambda: SALES_REPS, include="rep"),
        Reference("pipeline_id", lambda: PIPELINES, include="pipeline"),
    ),
)

STAGE_CHANGES: Resource = Resource(
    name="stage-changes",
    singular="stage change",
    model=models.DealStageChange,
    readable=schemas.StageChange,
    filters=column_filters(
        models.DealStageChange, "changed_at", "from_stage_id", "to_stage_id", "to_stage_kind", "principal"
    ),
    sorts=column_sorts(models.DealStageChange, "changed_at"),
    default_sort="changed_at",
    parent=Parent(DEALS, "deal_id"),
    operations=READ_ONLY,
)
