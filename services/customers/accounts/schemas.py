"""Accounts as callers write and read them."""

from typing import Annotated
from uuid import UUID

from pydantic import Field

from shared.fields import Domain, Line, Money, Prose, Word
from shared.resources.definition import RecordDocument, WritableDocument


class AccountIn(WritableDocument):
    """An organisation."""

    name: Line
    domain: Domain | None = None
    sector: Word | None = None
    year_established: Annotated[int, Field(ge=1, le=9999)] | None = None
    employees: Annotated[int, Field(ge=0, le=2_000_000_000)] | None = None
    annual_revenue: Money | None = None
    country: Word | None = None
    city: Word | None = None
    parent_id: UUID | None = None
    description: Prose | None = None


class Account(RecordDocument):
    """An organisation."""

    name: str
    domain: str | None
    sector: str | None
    year_established: int | None
    employees: int | None
    annual_revenue: Money | None
    country: str | None
    city: str | None
    parent_id: UUID | None
    description: str | None
