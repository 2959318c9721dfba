"""What every service's worker does besides its own jobs: forgetting idempotency keys that are too old to matter."""

import logging

from shared.database.chores import keep_doing
from shared.idempotency import forget_old_keys
from shared.service.definition import Parts

SWEEP_EVERY_S = 600.0
_logger = logging.getLogger(__name__)


async def sweep_idempotency_keys(parts: Parts) -> None:
    """Deletes keys after their 24 hours, every ten minutes. A database that is away is asked again."""

    async def sweep() -> None:
        forgotten = await parts.database.write(forget_old_keys, repeatable=True)
        if forgotten:
            _logger.info("forgot %d idempotency keys", forgotten)

    await keep_doing("sweeping idempotency keys", sweep, every_s=SWEEP_EVERY_S)
