"""The whole demo workspace, table by table, in an order that keeps every reference whole."""

from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

from deploy.local.demo import accounts, catalogue, contacts, deals, tickets
from deploy.local.demo.batches import Batch, in_batches
from deploy.local.demo.sizes import Sizes
from deploy.local.demo.timeline import Timeline

_PIECE = 1_000

FOUNDING_TABLES = {"customers": "accounts", "sales": "pipelines", "tickets": "tickets"}
"""By service: the table whose first record says that the database has been filled."""


class Workspace:
    """What there is up to `now`; the same for the same tenant, instant, seed and sizes."""

    def __init__(self, tenant_id: UUID, now: datetime, seed: int, sizes: Sizes) -> None:
        self._tenant_id = tenant_id
        self._timeline = Timeline(now)
        self._seed = seed
        self._sizes = sizes
        self._catalogue = catalogue.Catalogue(tenant_id, self._timeline, seed)

    @property
    def records(self) -> int:
        """How many records there are to be, without the lines of their history."""
        sizes, made = self._sizes, self._catalogue
        of_catalogue = len(made.pipeline_rows) + len(made.product_rows) + len(made.rep_rows)
        return sizes.accounts + sizes.contacts + sizes.deals + sizes.tickets + of_catalogue

    def batches(self) -> Iterator[Batch]:
        """Everything, made piece by piece."""
        common = (self._tenant_id, self._timeline, self._seed)
        companies = accounts.Accounts(*common)
        companies.make(self._sizes.accounts)
        yield from in_batches(accounts.ACCOUNTS, companies.rows)
        people = contacts.Contacts(*common, companies.made)
        people.make(self._sizes.contacts)
        yield from in_batches(contacts.CONTACTS, people.rows)
        yield from self._sales(deals.Deals(*common, self._catalogue, companies.made, people.made))
        yield from self._tickets(tickets.Tickets(*common, people.made))

    def _sales(self, selling: deals.Deals) -> Iterator[Batch]:
        made = self._catalogue
        yield Batch(catalogue.PIPELINES, made.pipeline_rows)
        yield Batch(catalogue.PRODUCTS, made.product_rows)
        yield Batch(catalogue.SALES_REPS, made.rep_rows)
        for number in _pieces(self._sizes.deals):
            selling.rows, selling.change_rows = [], []
            selling.make(number)
            yield Batch(deals.DEALS, selling.rows)
            yield Batch(deals.STAGE_CHANGES, selling.change_rows)

    def _tickets(self, desk: tickets.Tickets) -> Iterator[Batch]:
        openings = desk.openings(self._sizes.tickets)
        for first in range(0, len(openings), _PIECE):
            yield from desk.make(openings[first : first + _PIECE])
        yield Batch(tickets.COUNTERS, desk.counter_rows)


def _pieces(number: int) -> Iterator[int]:
    for first in range(0, number, _PIECE):
        yield min(_PIECE, number - first)
