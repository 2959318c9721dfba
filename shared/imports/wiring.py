"""Adding imports to a service: one call in its `app.py`."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from shared.imports.reading.mapping import Mapping as ColumnMapping
from shared.imports.resource import imports_resource
from shared.imports.routes import imports_router
from shared.imports.schemas import ImportJob
from shared.imports.tables import ImportRecord
from shared.imports.target import ImportTarget
from shared.imports.worker import import_job
from shared.service.definition import Service


def with_imports(service: Service, model: type[ImportRecord], targets: Mapping[str, ImportTarget]) -> Service:
    """The service with its jobs at `/v1/<service>/imports`, and a worker that runs them.

    Their resource comes first: `/v1/tickets/imports` would otherwise be taken for a ticket of the id "imports".
    """
    resource = imports_resource(service.name, model)
    return replace(
        service,
        resources=(resource, *service.resources),
        routers=(*service.routers, partial(imports_router, resource, targets)),
        jobs=(*service.jobs, import_job(targets)),
        documents=(*service.documents, ColumnMapping, ImportJob),
    )
