"""The countries of the demo workspace: what makes an address, a number or a price look at home there.

Domains end in `.example` (RFC 2606), so that no mail of a demo ever reaches anybody. Telephone numbers lie in ranges
kept for fiction or unassigned wherever the country has such.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class City:
    """A place; `area` is what its telephone numbers begin with, after the country's code."""

    name: str
    zone: str
    area: str
    weight: int


@dataclass(frozen=True, slots=True)
class Country:
    """`names` is the mimesis locale of its people (`ja` has a list of its own), `language` that of its companies.

    In `line` and `mobile` each `#` is a digit. `units` is what one euro buys of the currency, roughly.
    """

    code: str
    name: str
    weight: int
    region: str
    locale: str
    names: str
    language: str
    currency: str
    units: float
    domain: str
    dial: str
    line: str
    mobile: str
    legal_forms: tuple[str, ...]
    cities: tuple[City, ...]


def _cities(zone: str, *places: tuple[str, str, int]) -> tuple[City, ...]:
    return tuple(City(name, zone, area, weight) for name, area, weight in places)


COUNTRIES: tuple[Country, ...] = (
    Country(
        *("US", "United States", 26, "North America", "en-US", "en", "en", "USD", 1.1, "com"),
        *("+1", "555-####", "{area} 555-####"),
        legal_forms=("Inc.", "LLC", "Corp.", "Co.", "Group"),
        cities=(
            *_cities("America/New_York", ("New York", "212", 9), ("Boston", "617", 5), ("Atlanta", "404", 5)),
            *_cities("America/New_York", ("Philadelphia", "215", 3), ("Charlotte", "704", 3)),
            *_cities("America/Detroit", ("Detroit", "313", 2)),
            *_cities("America/Chicago", ("Chicago", "312", 7), ("Houston", "713", 5), ("Dallas", "214", 5)),
            *_cities("America/Chicago", ("Minneapolis", "612", 3), ("Nashville", "615", 2)),
            *_cities("America/Denver", ("Denver", "303", 3), ("Salt Lake City", "801", 2)),
            *_cities("America/Phoenix", ("Phoenix", "602", 3)),
            *_cities("America/Los_Angeles", ("Los Angeles", "213", 7), ("San Francisco", "415", 5)),
            *_cities("America/Los_Angeles", ("Seattle", "206", 4), ("Portland", "503", 2)),
        ),
    ),
    Country(
        *("CA", "Canada", 5, "North America", "en-CA", "en-ca", "en", "CAD", 1.5, "ca"),
        *("+1", "555-####", "{area} 555-####"),
        legal_forms=("Inc.", "Ltd.", "Corp."),
        cities=(
            *_cities("America/Toronto", ("Toronto", "416", 6), ("Ottawa", "613", 2), ("Montréal", "514", 4)),
            *_cities("America/Vancouver", ("Vancouver", "604", 4)),
            *_cities("America/Edmonton", ("Calgary", "403", 3), ("Edmonton", "780", 2)),
        ),
    ),
    Country(
        *("GB", "United Kingdom", 12, "UK & Ireland", "en-GB", "en-gb", "en", "GBP", 0.86, "co.uk"),
        *("+44", "0###", "7700 900###"),
        legal_forms=("Ltd", "Ltd", "plc", "& Sons Ltd", "Group"),
        cities=_cities(
            "Europe/London",
            *(("London", "20 7946", 9), ("Manchester", "161 496", 4), ("Birmingham", "121 496", 4)),
            *(
                ("Leeds", "113 496", 3),
                ("Glasgow", "141 496", 3),
                ("Bristol", "117 496", 2),
                ("Edinburgh", "131 496", 2),
            ),
            *(("Sheffield", "114 496", 2), ("Liverpool", "151 496", 2), ("Cardiff", "29 2018", 1)),
        ),
    ),
    Country(
        *("IE", "Ireland", 2, "UK & Ireland", "en-IE", "en-gb", "en", "EUR", 1.0, "ie"),
        *("+353", "020 ####", "89 000 ####"),
        legal_forms=("Ltd", "DAC", "plc"),
        cities=_cities("Europe/Dublin", ("Dublin", "1", 6), ("Cork", "21", 2), ("Galway", "91", 1)),
    ),
    Country(
        *("DE", "Germany", 17, "DACH", "de-DE", "de", "de", "EUR", 1.0, "de"),
        *("+49", "2312 5###", "176 0406 9###"),
        legal_forms=("GmbH", "GmbH", "GmbH & Co. KG", "AG", "KG", "eG"),
        cities=_cities(
            "Europe/Berlin",
            *(("Berlin", "30", 7), ("Hamburg", "40", 6), ("München", "89", 6), ("Köln", "221", 4)),
            *(("Frankfurt am Main", "69", 4), ("Stuttgart", "711", 4), ("Düsseldorf", "211", 3)),
            *(("Leipzig", "341", 3), ("Bremen", "421", 2), ("Nürnberg", "911", 2), ("Hannover", "511", 2)),
        ),
    ),
    Country(
        *("AT", "Austria", 3, "DACH", "de-AT", "de", "de", "EUR", 1.0, "at"),
        *("+43", "000 ####", "660 000 ####"),
        legal_forms=("GmbH", "GmbH", "AG", "e.U."),
        cities=_cities(
            "Europe/Vienna", ("Wien", "1", 6), ("Graz", "316", 2), ("Linz", "732", 2), ("Salzburg", "662", 1)
        ),
    ),
    Country(
        *("CH", "Switzerland", 4, "DACH", "de-CH", "de", "de", "CHF", 0.95, "ch"),
        *("+41", "000 ## ##", "79 000 ## ##"),
        legal_forms=("AG", "AG", "GmbH", "SA"),
        cities=_cities(
            "Europe/Zurich", ("Zürich", "44", 5), ("Basel", "61", 3), ("Bern", "31", 2), ("Genève", "22", 3)
        ),
    ),
    Country(
        *("FR", "France", 9, "France & Benelux", "fr-FR", "fr", "fr", "EUR", 1.0, "fr"),
        *("+33", "99 00 ## ##", "6 39 98 ## ##"),
        legal_forms=("SAS", "SARL", "SA", "& Fils"),
        cities=_cities(
            "Europe/Paris",
            *(("Paris", "1", 8), ("Lyon", "4", 4), ("Marseille", "4", 3), ("Toulouse", "5", 3)),
            *(("Lille", "3", 2), ("Nantes", "2", 2), ("Bordeaux", "5", 2), ("Strasbourg", "3", 1)),
        ),
    ),
    Country(
        *("NL", "Netherlands", 5, "France & Benelux", "nl-NL", "nl", "nl", "EUR", 1.0, "nl"),
        *("+31", "000 ####", "6 0000 ####"),
        legal_forms=("B.V.", "B.V.", "N.V."),
        cities=_cities(
            "Europe/Amsterdam",
            *(("Amsterdam", "20", 5), ("Rotterdam", "10", 4), ("Utrecht", "30", 3), ("Eindhoven", "40", 2)),
        ),
    ),
    Country(
        *("ES", "Spain", 6, "Southern Europe", "es-ES", "es", "es", "EUR", 1.0, "es"),
        *("+34", "000 ###", "600 000 ###"),
        legal_forms=("S.L.", "S.L.", "S.A."),
        cities=_cities(
            "Europe/Madrid",
            *(("Madrid", "910", 6), ("Barcelona", "930", 5), ("Valencia", "960", 3), ("Sevilla", "954", 2)),
            *(("Bilbao", "944", 2), ("Zaragoza", "976", 1)),
        ),
    ),
    Country(
        *("IT", "Italy", 6, "Southern Europe", "it-IT", "it", "it", "EUR", 1.0, "it"),
        *("+39", "000 ####", "370 000 ####"),
        legal_forms=("S.r.l.", "S.r.l.", "S.p.A."),
        cities=_cities(
            "Europe/Rome",
            *(("Milano", "02", 6), ("Roma", "06", 5), ("Torino", "011", 3), ("Bologna", "051", 2)),
            *(("Napoli", "081", 2), ("Firenze", "055", 2)),
        ),
    ),
    Country(
        *("SE", "Sweden", 4, "Nordics & Poland", "sv-SE", "sv", "sv", "SEK", 11.3, "se"),
        *("+46", "390 06 ##", "70 174 06 ##"),
        legal_forms=("AB", "AB", "HB"),
        cities=_cities(
            "Europe/Stockholm",
            *(("Stockholm", "8", 6), ("Göteborg", "31", 4), ("Malmö", "40", 3), ("Uppsala", "18", 1)),
        ),
    ),
    Country(
        *("PL", "Poland", 5, "Nordics & Poland", "pl-PL", "pl", "pl", "PLN", 4.3, "pl"),
        *("+48", "000 ## ##", "500 000 ###"),
        legal_forms=("Sp. z o.o.", "Sp. z o.o.", "S.A."),
        cities=_cities(
            "Europe/Warsaw",
            *(("Warszawa", "22", 6), ("Kraków", "12", 4), ("Wrocław", "71", 3), ("Gdańsk", "58", 2)),
            *(("Poznań", "61", 2), ("Łódź", "42", 2)),
        ),
    ),
    Country(
        *("BR", "Brazil", 5, "Latin America", "pt-BR", "pt-br", "pt", "BRL", 6.0, "com.br"),
        *("+55", "0000-####", "{area} 90000-####"),
        legal_forms=("Ltda.", "Ltda.", "S.A."),
        cities=(
            *_cities("America/Sao_Paulo", ("São Paulo", "11", 8), ("Rio de Janeiro", "21", 4)),
            *_cities("America/Sao_Paulo", ("Curitiba", "41", 2), ("Belo Horizonte", "31", 3)),
            *_cities("America/Bahia", ("Salvador", "71", 1)),
            *_cities("America/Manaus", ("Manaus", "92", 1)),
        ),
    ),
    Country(
        *("JP", "Japan", 4, "Asia-Pacific", "ja-JP", "ja", "ja", "JPY", 165.0, "co.jp"),
        *("+81", "0000-####", "90-0000-####"),
        legal_forms=("株式会社", "株式会社", "有限会社", "合同会社"),
        cities=_cities(
            "Asia/Tokyo",
            ("東京", "3", 7),
            ("大阪", "6", 4),
            ("名古屋", "52", 3),
            ("福岡", "92", 2),
            ("札幌", "11", 1),
        ),
    ),
    Country(
        *("AU", "Australia", 5, "Asia-Pacific", "en-AU", "en-au", "en", "AUD", 1.65, "com.au"),
        *("+61", "5550 ####", "491 570 ###"),
        legal_forms=("Pty Ltd", "Pty Ltd", "Group"),
        cities=(
            *_cities("Australia/Sydney", ("Sydney", "2", 6)),
            *_cities("Australia/Melbourne", ("Melbourne", "3", 5)),
            *_cities("Australia/Brisbane", ("Brisbane", "7", 3)),
            *_cities("Australia/Perth", ("Perth", "8", 2)),
            *_cities("Australia/Adelaide", ("Adelaide", "8", 1)),
        ),
    ),
)

REGIONS: tuple[str, ...] = tuple(dict.fromkeys(country.region for country in COUNTRIES))
