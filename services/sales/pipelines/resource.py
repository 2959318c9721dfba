"""Pipelines as a resource."""

from services.sales.pipelines import models, schemas
from services.sales.pipelines.service import PipelineRules
from shared.resources.definition import Resource, column_filters, column_sorts

PIPELINES: Resource = Resource(
    name="pipelines",
    singular="pipeline",
    model=models.Pipeline,
    writable=schemas.PipelineIn,
    readable=schemas.Pipeline,
    filters=column_filters(models.Pipeline, "name"),
    sorts=column_sorts(models.Pipeline, "name"),
    rules=PipelineRules(),
    unique={"uq_pipelines_name": ("name",)},
)
