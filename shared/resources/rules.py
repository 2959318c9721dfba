"""Where a feature says what is particular about its records.

The generic use cases call these at fixed moments, inside the transaction; what they raise (a `Problem`) undoes it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from shared.identity import Identity

RecordT = TypeVar("RecordT")


@dataclass(frozen=True)
class Unit:
    """One unit of work: the open transaction, who asks, and the instant at which it all happens."""

    session: AsyncSession
    identity: Identity
    now: datetime

    @property
    def tenant_id(self) -> UUID:
        return self.identity.tenant_id


class Rules(Generic[RecordT]):
    """The hooks of one resource. The base does nothing; features override what they need."""

    async def complete(
        self, unit: Unit, values: dict[str, Any], stored: RecordT | None, pointer: str
    ) -> None:
        """Fills in, in place, what the caller left out of `values`, and adds columns that follow from them.

        `stored` is the record before the change, None for a new one. Only what differs from it afterwards is a
        change, so that sending the same document again changes nothing. `pointer` leads to the document within
        the body.
        """

    async def before_create(self, unit: Unit, record: RecordT) -> None:
        """`record` carries the caller's values and its ids, and is not stored yet."""

    async def before_update(self, unit: Unit, record: RecordT, before: Mapping[str, Any]) -> None:
        """`record` carries the new values, `before` the same fields as they were."""

    async def before_delete(self, unit: Unit, record: RecordT) -> None:
        """The record is about to be softly deleted."""

    async def before_restore(self, unit: Unit, record: RecordT) -> None:
        """The record is about to come back."""

    async def after_write(self, unit: Unit, record: RecordT) -> None:
        """The record's row has been written in this transaction."""
