"""What people write to the demo's help desk: subjects and descriptions by category, and what the desk answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

from deploy.local.demo.catalogue import PRODUCT_NAMES
from deploy.local.demo.choosing import pick


@dataclass(frozen=True, slots=True)
class Category:
    """One kind of request. `urgent` is how often it is an emergency, `tags` those that fit."""

    name: str
    weight: int
    queue: str
    urgent: float
    subcategories: tuple[str, ...]
    subjects: tuple[str, ...]
    details: tuple[str, ...]
    tags: tuple[str, ...]


CATEGORIES: tuple[Category, ...] = (
    Category(
        *("Billing", 14, "Billing", 0.03, ("Invoice", "Payment", "Contract")),
        (
            "Invoice {number} shows the wrong {invoice_part}",
            "Charged twice for {product} in {month}",
            "Please send a copy of invoice {number}",
            "Our purchase order number is missing on invoice {number}",
            "Question about the {month} invoice for {product}",
            "Change the billing address for {product}",
            "Credit note for the returned {product} has not arrived",
            "Add {count} seats to our {product} contract",
        ),
        (
            "Our accounts department cannot release the payment until this is sorted out.",
            "The amount differs from the quote that we signed in {month}.",
            "Please correct it and send us the document again.",
        ),
        ("invoice", "refund", "contract"),
    ),
    Category(
        *("Login", 15, "Technical Support", 0.12, ("Password", "Single sign-on", "Permissions")),
        (
            "Cannot sign in to {product} since {daytime}",
            "Password reset mail for {product} never arrives",
            "Single sign-on to {product} fails with error {code}",
            "{count} users are locked out of {product}",
            "Two-factor code is refused in {product}",
            "New colleague has no access to {product}",
            "Session in {product} ends after {count} minutes",
            "Please remove a former employee from {product}",
        ),
        (
            "It worked until {daytime}; nothing was changed on our side.",
            "We tried another browser and a private window with the same result.",
            "The message says: access denied ({code}).",
        ),
        ("sso", "password", "access"),
    ),
    Category(
        *("Bug", 19, "Technical Support", 0.14, ("User interface", "Calculation", "Device")),
        (
            "{product}: error {code} when saving {thing}",
            "{product} shows {thing} of the wrong day",
            "{product} crashes when opening {thing}",
            "Wrong totals in {thing} of {product}",
            "{product} loses its connection every {count} minutes",
            "{thing} disappear from {product} after the update",
            "Search in {product} does not find {thing}",
            "{product} scans the same label twice",
            "Date format in {thing} changed after the last release of {product}",
            "{product} does not print {thing}",
        ),
        (
            "Steps: open {thing}, change any value, save. The error {code} appears each time.",
            "It happens on {count} of our devices, all with the newest version.",
            "A screenshot is attached. Since {daytime} we work around it on paper.",
        ),
        ("regression", "ui", "firmware", "known-issue"),
    ),
    Category(
        *("Shipping", 11, "Hardware & Returns", 0.06, ("Delivery", "Return", "Damage")),
        (
            "Order {number}: {count} units of {product} are missing",
            "When will our {product} order {number} arrive?",
            "{product} arrived damaged (order {number})",
            "Return of {count} {product} from order {number}",
            "Wrong model delivered instead of {product}",
            "Change the delivery address of order {number}",
            "Customs papers for {product}, order {number}",
        ),
        (
            "The carrier says that the parcel was delivered in {month}, but nobody here signed for it.",
            "We need the devices before our stocktaking in {month}.",
            "The box was open, and the charging cradle is missing.",
        ),
        ("delivery", "rma", "hardware"),
    ),
    Category(
        *("How-to", 16, "Customer Success", 0.0, ("Setup", "Training", "Best practice")),
        (
            "How do I set up {thing} in {product}?",
            "How can we share {thing} with a partner?",
            "Is there a way to import {thing} into {product}?",
            "Training for {count} new users of {product}",
            "How do we connect {product} with a label printer?",
            "Can {product} send {thing} by e-mail every morning?",
            "Which licence do we need for {count} users of {product}?",
            "How to delete old {thing} from {product}",
        ),
        (
            "I looked through the manual and found nothing about it.",
            "We want to have it running by {month}.",
            "A short description or a link would be enough.",
        ),
        ("question", "training", "documentation"),
    ),
    Category(
        *("Integration", 11, "Integrations", 0.1, ("API", "Webhook", "ERP")),
        (
            "{product} API answers {status} for {thing}",
            "Webhook of {product} is delivered twice",
            "ERP connector stops after {count} {thing}",
            "Rate limit reached when reading {thing} from {product}",
            "Map our own fields to {thing} in {product}",
            "{product} connector: certificate expires in {month}",
            "Orders from our shop do not reach {product}",
            "Need a sandbox for {product} with {count} {thing}",
        ),
        (
            "Requests fail since {daytime}; about {count} out of 1,000 answer {status}.",
            "Our developers would like an example request and its answer.",
            "The connector's log says: unexpected field in {thing} ({code}).",
        ),
        ("api", "webhook", "erp"),
    ),
    Category(
        *("Data export", 7, "Integrations", 0.03, ("CSV", "Report", "Privacy")),
        (
            "Export of {thing} from {product} stops at {count} per cent",
            "CSV export of {product}: special characters are garbled",
            "Need all {thing} of {month} as a spreadsheet",
            "Scheduled export of {thing} did not run in {month}",
            "Request for all personal data stored in {product}",
            "Columns missing in the {product} export of {thing}",
        ),
        (
            "Our auditor needs the file by the end of {month}.",
            "Smaller periods work, the whole year does not.",
            "The file opens, but ends in the middle of a line.",
        ),
        ("export", "csv", "privacy"),
    ),
    Category(
        *("Performance", 7, "Technical Support", 0.2, ("Slowness", "Outage", "Synchronisation")),
        (
            "{product} is very slow since {daytime}",
            "{thing} take {count} seconds to load in {product}",
            "{product} cannot be reached from our {place}",
            "Synchronisation of {product} is {count} hours behind",
            "Time-outs in {product} when opening {thing}",
            "Dashboard of {product} stays empty",
        ),
        (
            "All {count} users at our {place} are affected.",
            "Mornings are worst; after six in the evening it is fine.",
            "A speed test of our line shows nothing unusual.",
        ),
        ("slow", "outage", "sync"),
    ),
)

_FILLERS: Mapping[str, tuple[str, ...]] = {
    "product": PRODUCT_NAMES,
    "thing": (
        "pick lists",
        "stock levels",
        "delivery notes",
        "reports",
        "serial numbers",
        "labels",
        "routes",
        "forecasts",
    ),
    "month": (
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
    ),
    "daytime": ("this morning", "yesterday", "Monday", "the last update", "last night", "noon"),
    "place": ("main warehouse", "branch office", "second site", "depot", "shop floor"),
    "invoice_part": ("amount", "VAT rate", "address", "quantity", "discount", "currency"),
    "status": ("400", "401", "403", "409", "422", "429", "500", "503"),
}
_NUMBERS = {"number": ("", 10_000, 99_999), "code": ("E-", 100, 990), "count": ("", 2, 60)}
_GREETINGS = ("Hello,", "Hi,", "Good morning,", "Dear support team,", "")
_REGARDS = ("Thank you,", "Kind regards,", "Thanks in advance,", "Best,")

ANSWERS = (
    "Hello {name}, thank you for your message. I am looking into it and will be back with you shortly.",
    "Hi {name}, thanks for the details. Could you tell us since when this happens and who is affected?",
    "Hello {name}, I can reproduce this here and have passed it on to the right colleague.",
    "Good day {name}, your request has reached us. We will get back to you with a solution.",
    "Hello {name}, please try once more after signing out and in again, and tell us whether it helps.",
)
REPLIES = (
    "Thank you for the quick answer. It affects everybody in our team.",
    "I tried that, but it did not help.",
    "Here is what you asked for; the file is attached.",
    "It happens only now and then, about twice a day.",
    "Any news on this?",
)
NOTES = (
    "Same as last week's case; the fix is in the next release.",
    "Checked the logs: nothing unusual on our side.",
    "Asked the carrier for a proof of delivery.",
    "Customer is up for renewal, please treat with care.",
    "Second level: looks like a stale cache entry, cleared it.",
)
SOLUTIONS = (
    "We have corrected this. Please check, and reply to this message should anything be missing.",
    "The cause was a setting, which I have changed for you. It should work now.",
    "A replacement is on its way; you will get the tracking number by e-mail.",
    "This is solved in the version that was released today.",
    "I have attached a step-by-step description. We close this request unless we hear from you.",
    "The corrected document is attached.",
)
RETURNS = (
    "Unfortunately the problem is back since {daytime}.",
    "It is still not solved, the same message appears again.",
    "Thanks, but one of our sites is still affected.",
)

# Some people write in their own language: subject and description, by language.
_FOREIGN: Mapping[str, tuple[tuple[str, str], ...]] = {
    "de": (
        (
            "Rechnung {number} ist nicht korrekt",
            "Guten Tag,\n\nbitte prüfen Sie den Betrag der Rechnung {number}.\n\nVielen Dank",
        ),
        (
            "Anmeldung bei {product} nicht möglich",
            "Hallo,\n\nseit heute früh kommt beim Anmelden der Fehler {code}.\n\nMit freundlichen Grüßen",
        ),
        (
            "{product} sehr langsam",
            "Guten Morgen,\n\n{product} braucht bis zu {count} Sekunden je Seite.\n\nViele Grüße",
        ),
        (
            "Frage zur Einrichtung von {product}",
            "Hallo zusammen,\n\nwie richten wir {count} weitere Benutzer ein?\n\nDanke und Gruß",
        ),
    ),
    "fr": (
        (
            "Erreur sur la facture {number}",
            "Bonjour,\n\nle montant de la facture {number} ne correspond pas au devis.\n\nCordialement",
        ),
        (
            "Connexion impossible à {product}",
            "Bonjour,\n\nle message {code} apparaît depuis ce matin.\n\nMerci d'avance",
        ),
        (
            "{product} : livraison incomplète",
            "Bonjour,\n\nil manque {count} appareils dans la commande {number}.\n\nCordialement",
        ),
        ("Comment configurer {product} ?", "Bonjour,\n\nexiste-t-il une notice pour {product} ?\n\nMerci"),
    ),
    "es": (
        (
            "Factura {number} duplicada",
            "Buenos días:\n\nhemos recibido dos veces la factura {number}.\n\nUn saludo",
        ),
        ("No podemos acceder a {product}", "Hola:\n\naparece el error {code} al iniciar sesión.\n\nGracias"),
        ("{product} se desconecta", "Buenas tardes:\n\nocurre cada {count} minutos.\n\nSaludos"),
        ("Consulta sobre {product}", "Hola:\n\n¿cómo añadimos {count} usuarios a {product}?\n\nGracias"),
    ),
}
_FOREIGN_SHARE = 0.35


def letter(category: Category, name: str, language: str, rng: Random) -> tuple[str, str]:
    """Subject and description of a request by somebody of this name and language."""
    values = _Values(rng)
    if language in _FOREIGN and rng.random() < _FOREIGN_SHARE:
        subject, description = pick(_FOREIGN[language], rng)
        return _sentence(subject, values), f"{description.format_map(values)}\n{name}"
    first, number = int(rng.random() * 3), pick((1, 2, 2, 3), rng)
    lines = (category.details * 2)[first : first + number]
    text = f"{pick(_GREETINGS, rng)}\n\n{' '.join(lines)}\n\n{pick(_REGARDS, rng)}\n{name}"
    return _sentence(pick(category.subjects, rng), values), text.format_map(values).lstrip()


def said(texts: tuple[str, ...], name: str, rng: Random) -> str:
    """One of the texts, addressed to somebody of this name."""
    return pick(texts, rng).format(name=name, daytime=pick(_FILLERS["daytime"], rng))


def _sentence(text: str, values: Mapping[str, str]) -> str:
    filled = text.format_map(values)
    return filled[0].upper() + filled[1:]


class _Values(dict[str, str]):
    """What stands in the braces of one request, chosen when it is first asked for."""

    def __init__(self, rng: Random) -> None:
        super().__init__()
        self._rng = rng

    def __missing__(self, name: str) -> str:
        if name in _NUMBERS:
            prefix, lowest, above = _NUMBERS[name]
            value = f"{prefix}{lowest + int(self._rng.random() * (above - lowest))}"
        else:
            value = pick(_FILLERS[name], self._rng)
        self[name] = value
        return value
