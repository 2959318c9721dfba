"""The textbook form of two reads, to be measured against: ORM session, pydantic response model, one query each."""

import os
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import uvicorn
from fastapi import Depends, FastAPI, HTTPException
from pydantic import BaseModel, ConfigDict
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from services.customers.contacts.models import Contact

engine = create_async_engine(os.environ["BENCH_DATABASE_URL"], pool_size=8, max_overflow=0)
sessions = async_sessionmaker(engine, expire_on_commit=False)
TENANT = UUID(os.environ["BENCH_TENANT"])
app = FastAPI()


class ContactOut(BaseModel):
    """All that a contact has, as in the service's own answer."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    source: str | None
    external_id: str | None
    version: int
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None
    given_name: str | None
    family_name: str | None
    emails: list[dict[str, Any]]
    phones: list[dict[str, Any]]
    account_id: UUID | None
    title: str | None
    department: str | None
    city: str | None
    country: str | None
    locale: str | None
    time_zone: str | None


async def session() -> AsyncIterator[AsyncSession]:
    """A session per request."""
    async with sessions() as opened:
        yield opened


Session = Annotated[AsyncSession, Depends(session)]


@app.get("/contacts/{contact_id}", response_model=ContactOut)
async def get_contact(contact_id: UUID, db: Session) -> Contact:
    """One contact."""
    contact = await db.get(Contact, (TENANT, contact_id))
    if contact is None:
        raise HTTPException(404)
    return contact


@app.get("/contacts", response_model=list[ContactOut])
async def list_contacts(db: Session, limit: int = 50) -> list[Contact]:
    """The newest contacts."""
    newest = select(Contact).where(Contact.tenant_id == TENANT, Contact.deleted_at.is_(None))
    rows = await db.scalars(newest.order_by(Contact.created_at.desc(), Contact.id.desc()).limit(limit))
    return list(rows)


if __name__ == "__main__":
    uvicorn.run(
        app, host="127.0.0.1", port=int(os.environ["BENCH_PORT"]), log_level="warning", access_log=False
    )
