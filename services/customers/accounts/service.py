"""What happens when an account is written: no account is ever its own ancestor."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import text

from services.customers.accounts.models import Account
from shared.problems import FieldError, invalid_fields
from shared.resources.rules import Rules, Unit

_ANCESTORS = text(
    """
    WITH RECURSIVE ancestors AS (
        SELECT id, parent_id FROM accounts WHERE tenant_id = :tenant_id AND id = :parent_id
        UNION
        SELECT a.id, a.parent_id FROM accounts a JOIN ancestors b ON a.id = b.parent_id
        WHERE a.tenant_id = :tenant_id
    )
    SELECT EXISTS (SELECT FROM ancestors WHERE id = :id)
    """
)
# Two moves at once could close a circle that neither sees, so moves take turns within a tenant.
ONE_MOVE_AT_A_TIME = "SELECT pg_advisory_xact_lock(hashtextextended('accounts.parent_id ' || {tenant_id}, 0))"
"""SQL to be filled with SQL of the tenant's id."""
_ONE_MOVE_AT_A_TIME = text(ONE_MOVE_AT_A_TIME.format(tenant_id=":tenant_id"))


class AccountRules(Rules[Account]):
    """An account is never its own ancestor."""

    async def before_update(self, unit: Unit, record: Account, before: Mapping[str, Any]) -> None:
        """Checks a move to another parent."""
        if record.parent_id is not None and record.parent_id != before["parent_id"]:
            await _refuse_circle(unit, record.id, record.parent_id)


async def _refuse_circle(unit: Unit, record_id: UUID, parent_id: UUID) -> None:
    with unit.session.no_autoflush:
        await unit.session.execute(_ONE_MOVE_AT_A_TIME, {"tenant_id": str(unit.tenant_id)})
        ids = {"tenant_id": unit.tenant_id, "id": record_id, "parent_id": parent_id}
        if (await unit.session.execute(_ANCESTORS, ids)).scalar_one():
            detail = "The account would become its own ancestor."
            raise invalid_fields([FieldError("/parent_id", "circular", detail)])
