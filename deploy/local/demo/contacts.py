"""The demo's contacts: people at the accounts, and a few who belong to none."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic_core import to_json

from deploy.local.demo.accounts import Account
from deploy.local.demo.batches import Table, columns
from deploy.local.demo.choosing import Weighted
from deploy.local.demo.countries import COUNTRIES, City, Country
from deploy.local.demo.people import Name, latin, name_pool
from deploy.local.demo.timeline import Timeline, id_at

CONTACTS = Table(
    "customers",
    "contacts",
    columns("given_name family_name emails phones account_id title department city country locale time_zone"),
)
_WITHOUT_ACCOUNT = 0.05
# Titles by department; the departments that deal with a supplier like ours come up more often.
_DEPARTMENTS: tuple[tuple[str, int, tuple[str, ...]], ...] = (
    ("Operations", 24, ("Operations Manager", "Head of Operations", "Warehouse Manager", "Shift Supervisor")),
    (
        "IT",
        22,
        ("IT Manager", "System Administrator", "Head of IT", "Integration Engineer", "Support Analyst"),
    ),
    ("Purchasing", 16, ("Buyer", "Head of Purchasing", "Procurement Manager", "Category Manager")),
    ("Finance", 12, ("Accountant", "Chief Financial Officer", "Controller", "Accounts Payable Clerk")),
    ("Logistics", 12, ("Logistics Manager", "Supply Chain Planner", "Fleet Manager")),
    ("Management", 8, ("Managing Director", "Chief Executive Officer", "Chief Operating Officer", "Owner")),
    ("Sales", 6, ("Sales Director", "Account Manager", "Store Manager")),
)
_DEPARTMENT_WEIGHTS = [weight for _, weight, _ in _DEPARTMENTS]


@dataclass(frozen=True, slots=True)
class Contact:
    """What the other generators know of a contact."""

    id: UUID
    created_at: datetime
    given_name: str
    email: str
    account: Account | None
    language: str
    zone: ZoneInfo


class Contacts:
    """Makes contacts; they come in the order of their creation, `made` and `rows` alike."""

    def __init__(self, tenant_id: UUID, timeline: Timeline, seed: int, accounts: list[Account]) -> None:
        self._tenant_id = tenant_id
        self._timeline = timeline
        self._seed = seed
        self._rng = Random(f"{seed} contacts")  # noqa: S311 (demo data, not secrets)
        self._accounts = Weighted(accounts, [account.weight + 1.5 for account in accounts])
        self._zones = {city.zone: ZoneInfo(city.zone) for country in COUNTRIES for city in country.cities}
        self._taken: set[str] = set()
        self.made: list[Contact] = []
        self.rows: list[tuple[Any, ...]] = []

    def make(self, number: int) -> None:
        """So many."""
        pairs = sorted((self._make_one() for _ in range(number)), key=lambda pair: pair[0].created_at)
        self.made = [contact for contact, _ in pairs]
        self.rows = [row for _, row in pairs]

    def _make_one(self) -> tuple[Contact, tuple[Any, ...]]:
        rng = self._rng
        if rng.random() < _WITHOUT_ACCOUNT:
            country = rng.choices(COUNTRIES, [country.weight for country in COUNTRIES])[0]
            city = rng.choices(country.cities, [city.weight for city in country.cities])[0]
            account, zone = None, self._zones[city.zone]
            created_at = self._timeline.instant(zone, rng)
        else:
            account = self._accounts.pick(rng)
            country, city, zone = account.country, account.city, account.zone
            created_at = self._met(account)
        given, family = name_pool(country.names, self._seed).pick(rng)
        email = self._address(
            given, family, account.domain if account else f"mailbox.{country.domain}.example"
        )
        contact = Contact(
            id_at(created_at, rng), created_at, given.text, email, account, country.language, zone
        )
        return contact, self._row(contact, family, country, city)

    def _met(self, account: Account) -> datetime:
        """Most are entered with their account, the others as they come up."""
        rng = self._rng
        if rng.random() < 0.6:
            met = account.created_at + timedelta(seconds=30 + rng.random() * 7_200)
        else:
            met = account.created_at + (self._timeline.now - account.created_at) * rng.random()
        return min(met, self._timeline.now)

    def _address(self, given: Name, family: Name, domain: str) -> str:
        """`first.last@` or `f.last@`; a namesake gets a number."""
        local = (
            f"{given.latin}.{family.latin}"
            if self._rng.random() < 0.75
            else f"{given.latin[0]}.{family.latin}"
        )
        address, number = f"{local}@{domain}", 1
        while address in self._taken:
            number += 1
            address = f"{local}{number}@{domain}"
        self._taken.add(address)
        return address

    def _row(self, contact: Contact, family: Name, country: Country, city: City) -> tuple[Any, ...]:
        rng, account = self._rng, contact.account
        title = department = None
        if account is not None:
            department, _, titles = rng.choices(_DEPARTMENTS, _DEPARTMENT_WEIGHTS)[0]
            title = rng.choice(titles)
        return (
            self._tenant_id,
            contact.id,
            1,
            contact.created_at,
            contact.created_at,
            contact.given_name,
            family.text,
            self._emails(contact, family, country),
            self._phones(country, city, at_work=account is not None),
            account.id if account is not None else None,
            title,
            department,
            city.name,
            country.name,
            country.locale,
            city.zone,
        )

    def _emails(self, contact: Contact, family: Name, country: Country) -> str:
        entries = [_entry("address", contact.email, "work" if contact.account else "home", primary=True)]
        if contact.account is not None and self._rng.random() < 0.12:
            given = latin(contact.given_name, country.language) or family.latin
            private = f"{given}.{family.latin}{self._rng.randrange(60, 100)}@mailbox.{country.domain}.example"
            entries.append(_entry("address", private, "home", primary=False))
        return to_json(entries).decode()

    def _phones(self, country: Country, city: City, *, at_work: bool) -> str:
        rng = self._rng
        entries = []
        if at_work and rng.random() < 0.8:
            entries.append(("work", f"{country.dial} {city.area} {_digits(country.line, rng)}"))
        if rng.random() < (0.45 if at_work else 0.7):
            number = _digits(country.mobile, rng).replace("{area}", city.area)
            entries.append(("mobile", f"{country.dial} {number}"))
        return to_json(
            [
                _entry("number", number, kind, primary=not place)
                for place, (kind, number) in enumerate(entries)
            ]
        ).decode()


def _entry(member: str, value: str, kind: str, *, primary: bool) -> dict[str, Any]:
    return {member: value, "kind": kind, "primary": primary}


def _digits(pattern: str, rng: Random) -> str:
    count = pattern.count("#")
    digits = iter(f"{rng.randrange(10**count):0{count}d}")
    return "".join(next(digits) if character == "#" else character for character in pattern)
