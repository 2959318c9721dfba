"""What a service says of itself; everything else about its application is the same for all."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from fastapi import APIRouter
from sqlalchemy import MetaData

from shared.database.database import Database
from shared.resources.cursors import CursorSigner
from shared.resources.definition import Resource
from shared.service.settings import ServiceSettings


@dataclass(frozen=True)
class Parts:
    """What a service's own routes and jobs are built from."""

    settings: ServiceSettings
    database: Database
    signer: CursorSigner


RouterFactory = Callable[[Parts], APIRouter]
Job = Callable[[Parts], Awaitable[None]]


@dataclass(frozen=True)
class Service:
    """A service: its name (also its audience and its database), its resources, and whatever only it has.

    `jobs` run for as long as the worker process does.
    """

    name: str
    title: str
    settings: type[ServiceSettings]
    metadata: MetaData
    migrations: Path
    resources: tuple[Resource, ...]
    routers: tuple[RouterFactory, ...] = ()
    jobs: tuple[Job, ...] = ()
    summary: str = ""
    documents: tuple[type, ...] = field(default=())
    """Pydantic models that the service's own routes refer to in their documentation."""
