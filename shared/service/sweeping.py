"""What every service's worker does besides its own jobs: forgetting idempotency keys that are too old to matter."""

import asyncio
import logging

from shared.idempotency import forget_old_keys
from shared.problems import Problem
from shared.service.definition import Parts

SWEEP_EVERY_S = 600.0
_logger = logging.getLogger(__name__)


async def sweep_idempotency_keys(parts: Parts) -> None:
    """Deletes keys after their 24 hours, every ten minutes. A database that is away is asked again next time."""
    while True:
        try:
            forgotten = await parts.database.write(forget_old_keys, repeatable=True)
        except Problem as problem:
            _logger.warning("idempotency keys not swept: %s", problem)
        else:
            if forgotten:
                _logger.info("forgot %d idempotency keys", forgotten)
        await asyncio.sleep(SWEEP_EVERY_S)
