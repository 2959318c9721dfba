"""Workers that share a table, in one process."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from services.gateway.limits.shared_table import SharedTable, TableFile


class Workers:
    """A parent and the tables of its workers, by row. Who is `killed` leaves its numbers behind."""

    def __init__(self, stack: ExitStack, slots: int) -> None:
        self._stack = stack
        self._slots = slots
        self.file = TableFile(slots)
        self.tables: dict[int, SharedTable] = {}
        stack.callback(self.file.close)

    def start(self, row: int) -> SharedTable:
        self.file.admit(row)
        table = self.tables[row] = SharedTable.open(self.file.descriptor, self._slots, row)
        self._stack.callback(table.close)
        for other in self.tables.values():
            other.catch_up()
        return table


@contextmanager
def workers(count: int, slots: int = 64) -> Iterator[Workers]:
    with ExitStack() as stack:
        made = Workers(stack, slots)
        for row in range(count):
            made.start(row)
        yield made
