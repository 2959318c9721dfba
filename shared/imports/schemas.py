"""An import job as callers see it."""

from typing import Any
from uuid import UUID

from pydantic import BaseModel

from shared.fields import Instant


class ImportJob(BaseModel):
    """A job: what it loads, how far it is, and how it ended."""

    id: UUID
    version: int
    created_at: Instant
    updated_at: Instant
    resource: str
    status: str
    file_name: str | None
    mapping: dict[str, Any]
    size_bytes: int
    bytes_read: int
    rows_read: int
    rows_created: int
    rows_updated: int
    rows_unchanged: int
    rows_failed: int
    failure: str | None
    started_at: Instant | None
    finished_at: Instant | None
