"""Contacts as callers write and read them."""

from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, Field, model_validator

from services.customers.contacts.rules import MAX_ENTRIES, require_some_name, with_one_primary
from shared.fields import Email, LocaleTag, Phone, Word, ZoneName
from shared.resources.definition import Document, RecordDocument, WritableDocument

EmailKind = Literal["work", "home", "other"]
PhoneKind = Literal["work", "mobile", "home", "fax", "other"]


class EmailAddress(Document):
    """An address. Exactly one of a contact's is primary: the first, unless another is marked."""

    address: Email
    kind: EmailKind = "work"
    primary: bool = False

    @property
    def identity(self) -> str:
        """Two spellings that differ in case only are one address."""
        return self.address.lower()


class PhoneNumber(Document):
    """A telephone number, as typed. Exactly one of a contact's is primary: the first, unless another is marked."""

    number: Phone
    kind: PhoneKind = "work"
    primary: bool = False

    @property
    def identity(self) -> str:
        """The number as typed: `+49 30 1` and `+49301` may well be meant as two."""
        return self.number


Emails = Annotated[list[EmailAddress], Field(max_length=MAX_ENTRIES), AfterValidator(with_one_primary)]
Phones = Annotated[list[PhoneNumber], Field(max_length=MAX_ENTRIES), AfterValidator(with_one_primary)]


class ContactIn(WritableDocument):
    """A person. One of `given_name`, `family_name` and `emails` must be there: many sources know no more."""

    given_name: Word | None = None
    family_name: Word | None = None
    emails: Emails = Field(default_factory=list)
    phones: Phones = Field(default_factory=list)
    account_id: UUID | None = None
    title: Word | None = None
    department: Word | None = None
    city: Word | None = None
    country: Word | None = None
    locale: LocaleTag | None = None
    time_zone: ZoneName | None = None

    @model_validator(mode="after")
    def _named(self) -> Self:
        require_some_name(self.given_name, self.family_name, self.emails)
        return self


class Contact(RecordDocument):
    """A person."""

    given_name: str | None
    family_name: str | None
    emails: list[EmailAddress]
    phones: list[PhoneNumber]
    account_id: UUID | None
    title: str | None
    department: str | None
    city: str | None
    country: str | None
    locale: str | None
    time_zone: str | None
