"""What the workers of one gateway count together: tokens by caller, and connections by client."""

from dataclasses import dataclass
from typing import Final

from services.gateway.limits.shared_table import SharedTable, TableFile

CALLER_SLOTS: Final = 1 << 16
"""Of callers whose buckets are not full at the same time; 8 MiB when all are used, by up to 8 workers."""
CLIENT_SLOTS: Final = 1 << 14


class SharedLimitsFiles:
    """The parent's side. Each worker has a row, which outlives the process."""

    def __init__(self) -> None:
        self._callers = TableFile(CALLER_SLOTS)
        self._clients = TableFile(CLIENT_SLOTS)

    @property
    def descriptors(self) -> tuple[int, int]:
        """To be sent to each worker."""
        return self._callers.descriptor, self._clients.descriptor

    def admit(self, row: int) -> None:
        """A worker is about to be started with this row."""
        self._callers.admit(row)
        self._clients.admit(row)

    def ended(self, row: int) -> None:
        """The row's worker is dead, and with it its connections. The tokens that it took remain taken."""
        self._clients.forget(row)

    def close(self) -> None:
        """Let go of it; the workers keep it."""
        self._callers.close()
        self._clients.close()


@dataclass(frozen=True, slots=True)
class SharedLimits:
    """One worker's side."""

    callers: SharedTable
    clients: SharedTable

    @classmethod
    def private(cls) -> "SharedLimits":
        """For a process that is alone."""
        return cls(SharedTable.private(CALLER_SLOTS), SharedTable.private(CLIENT_SLOTS))

    @classmethod
    def open(cls, descriptors: tuple[int, int], row: int) -> "SharedLimits":
        """For the worker with this row, which nobody else may have."""
        callers, clients = descriptors
        return cls(SharedTable.open(callers, CALLER_SLOTS, row), SharedTable.open(clients, CLIENT_SLOTS, row))

    def catch_up(self) -> None:
        """For a timer: count the workers that were started meanwhile."""
        self.callers.catch_up()
        self.clients.catch_up()
