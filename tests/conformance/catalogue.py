"""Every resource of every service, found through the services' own declarations: nobody has to enlist one here."""

import importlib
from dataclasses import dataclass
from pathlib import Path

import pytest

import services
from shared.resources.definition import EVERY_OPERATION, Operation, Resource
from shared.service.definition import Service


@dataclass(frozen=True)
class Case:
    """One resource of one service."""

    service: Service
    resource: Resource

    @property
    def name(self) -> str:
        """How the test run calls it."""
        path = self.resource.path.removeprefix("/v1/").replace("/{parent_id}", "")
        return f"{self.service.name}:{path}"


def _services() -> tuple[Service, ...]:
    found = []
    for folder in sorted(Path(services.__path__[0]).iterdir()):
        if (folder / "app.py").exists():
            application = importlib.import_module(f"services.{folder.name}.app")
            declared = getattr(application, "SERVICE", None)  # the gateway is a service of another kind
            if declared is not None:
                found.append(declared)
    return tuple(found)


SERVICES: tuple[Service, ...] = _services()
CASES: tuple[Case, ...] = tuple(Case(service, one) for service in SERVICES for one in service.resources)


def every(*operations: Operation) -> pytest.MarkDecorator:
    """Runs the test once for each resource that offers all of these operations."""
    unknown = set(operations) - EVERY_OPERATION
    if unknown:
        raise ValueError(f"no such operations: {unknown}")
    chosen = [case for case in CASES if set(operations) <= case.resource.operations]
    return pytest.mark.parametrize("case", chosen, ids=[case.name for case in chosen])


def every_service() -> pytest.MarkDecorator:
    """Runs the test once for each service."""
    return pytest.mark.parametrize("service", SERVICES, ids=[service.name for service in SERVICES])
