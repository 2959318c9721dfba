"""The sales service: what is sold, by whom, and how far each deal is."""

from pathlib import Path

from services.sales.deals.imports import DEAL_IMPORT
from services.sales.deals.resource import DEALS, STAGE_CHANGES
from services.sales.deals.routes import stage_change_router
from services.sales.deals.schemas import DealSummary, StageChangeIn
from services.sales.deals.service import keep_history_partitions
from services.sales.deals.summary import summary_router
from services.sales.models import Base, Import
from services.sales.pipelines.resource import PIPELINES
from services.sales.products.imports import PRODUCT_IMPORT
from services.sales.products.resource import PRODUCTS
from services.sales.sales_reps.imports import SALES_REP_IMPORT
from services.sales.sales_reps.resource import SALES_REPS
from services.sales.settings import SalesSettings
from shared.imports.wiring import with_imports
from shared.service.definition import Service

SERVICE = with_imports(
    Service(
        name="sales",
        title="Kontor sales",
        summary="Pipelines and their stages, products, sales representatives, and the deals between them.",
        settings=SalesSettings,
        metadata=Base.metadata,
        migrations=Path(__file__).parent / "migrations",
        resources=(PIPELINES, PRODUCTS, SALES_REPS, DEALS, STAGE_CHANGES),
        routers=(stage_change_router, summary_router),
        jobs=(keep_history_partitions,),
        documents=(StageChangeIn, DealSummary),
    ),
    Import,
    {"products": PRODUCT_IMPORT, "sales-reps": SALES_REP_IMPORT, "deals": DEAL_IMPORT},
)
