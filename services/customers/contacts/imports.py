"""Contacts from a file."""

from services.customers.contacts.resource import CONTACTS
from shared.imports.target import Check, Derived, ImportField, ImportTarget, Lookup, live_record

# Parameters and tables as `shared.imports.target` says.
_ACCOUNTS = f"""
    SELECT wanted.key, a.id FROM (SELECT DISTINCT account AS key FROM staged WHERE account IS NOT NULL) wanted
    CROSS JOIN LATERAL ({live_record("accounts", "wanted.key")}) a
"""
_EMAILS = """
    CASE WHEN s.email IS NULL THEN '[]'::jsonb
         ELSE jsonb_build_array(jsonb_build_object('address', s.email, 'kind', 'work', 'primary', true)) END
"""
_PHONES = """
    CASE WHEN s.phone IS NULL THEN '[]'::jsonb
         ELSE jsonb_build_array(jsonb_build_object('number', s.phone, 'kind', 'work', 'primary', true)) END
    || CASE WHEN s.mobile IS NULL THEN '[]'::jsonb
            ELSE jsonb_build_array(
                jsonb_build_object('number', s.mobile, 'kind', 'mobile', 'primary', s.phone IS NULL)) END
"""

CONTACT_IMPORT = ImportTarget(
    resource=CONTACTS,
    fields={
        "given_name": ImportField(column="given_name", max_length=100),
        "family_name": ImportField(column="family_name", max_length=100),
        "email": ImportField("email"),
        "phone": ImportField(max_length=60),
        "mobile": ImportField(max_length=60),
        "account": ImportField(max_length=255),
        "title": ImportField(column="title", max_length=100),
        "department": ImportField(column="department", max_length=100),
        "city": ImportField(column="city", max_length=100),
        "country": ImportField(column="country", max_length=100),
        "locale": ImportField("locale", "locale"),
        "time_zone": ImportField("zone", "time_zone"),
    },
    lookups=(Lookup("account", "account_id", "account of this source", _ACCOUNTS),),
    derived=(Derived("emails", ("email",), _EMAILS), Derived("phones", ("phone", "mobile"), _PHONES)),
    checks=(
        Check(
            "key",
            "nameless",
            "has neither a name nor an e-mail address",
            "s.given_name IS NULL AND s.family_name IS NULL AND s.email IS NULL",
        ),
    ),
    independent=True,
)
