"""Import jobs as a resource: listed, filtered and read like every other, made and cancelled by routes of their own."""

from shared.imports.schemas import ImportJob
from shared.imports.tables import ImportRecord
from shared.resources.definition import READ_ONLY, Resource, WritableDocument, column_filters, column_sorts
from shared.resources.filters import Filter, choice

STATUSES = ("uploading", "queued", "running", "completed", "failed", "cancelled")
ENDED = ("completed", "failed", "cancelled")


def imports_resource(service: str, model: type[ImportRecord]) -> Resource:
    """The jobs of one service, at `/v1/<service>/imports`."""
    return Resource(
        name=f"{service}/imports",
        singular="import",
        model=model,
        writable=WritableDocument,
        readable=ImportJob,
        filters=column_filters(model, "resource", status=Filter("t.status", choice(*STATUSES))),
        sorts=column_sorts(model),
        operations=READ_ONLY,
    )
