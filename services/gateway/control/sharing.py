"""What the workers of one gateway have in common without messages: stamps, and what limits are counted with."""

from services.gateway.caching.stamps import StampsFile
from services.gateway.limits.shared import SharedLimitsFiles


class SharedMemory:
    """The parent's side. A row is one worker's and its successors'; all others look at it."""

    def __init__(self) -> None:
        self._stamps = StampsFile()
        self._limits = SharedLimitsFiles()

    @property
    def descriptors(self) -> list[int]:
        """To be sent to each worker: of the stamps, of the callers' tokens, of the clients' connections."""
        return [self._stamps.descriptor, *self._limits.descriptors]

    def take_row(self) -> int:
        """A row for a worker that is about to be started. Raises `ValueError` when there are too many."""
        row = self._stamps.take_row()
        self._limits.admit(row)
        return row

    def ended(self, row: int) -> None:
        """The process that had the row is dead."""
        self._limits.ended(row)

    def give_back(self, row: int) -> None:
        """The row's worker has ended for good."""
        self.ended(row)
        self._stamps.give_back(row)

    def close(self) -> None:
        """Let go of it; the workers keep it."""
        self._stamps.close()
        self._limits.close()
