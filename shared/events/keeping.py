"""The worker's part: the log's months, made ahead and dropped when nobody needs them any more."""

from shared.database.partitions import keep_partitions
from shared.events.schema import EVENT_LOG
from shared.service.definition import Parts


async def keep_event_log(parts: Parts) -> None:
    """A job of every service. Whoever follows the log and stays away for longer has to begin anew."""
    await keep_partitions(parts.database, [EVENT_LOG], retention_days=parts.settings.event_retention_days)
