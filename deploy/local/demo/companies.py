"""Names and domains of the demo's companies. Each is invented; what sounds like a real one is chance."""

from random import Random

from deploy.local.demo.countries import City, Country
from deploy.local.demo.people import latin, name_pool
from deploy.local.demo.sectors import Sector, word_choices

_BEGINNINGS = (
    "Alta Nova Vera Lumi Terra Corde Sola Mira Astra Velo Arbo Fino Quanta Delta Orio Pala Tempo Uni Zeno"
)
_ENDINGS = "dis ris nex via tec mont gard line veo lis tra com flux lux qua nor ben sys thea ron"
_INVENTED = tuple(
    first + last for first in _BEGINNINGS.split() for last in _ENDINGS.split() if first[-1] != last[0]
)


class CompanyNames:
    """Names that are not given twice."""

    def __init__(self, seed: int, rng: Random) -> None:
        self._seed = seed
        self._rng = rng
        self._domains: set[str] = set()

    def invent(self, country: Country, city: City, sector: Sector) -> tuple[str, str, str]:
        """A brand, the company's full name and its domain."""
        rng = self._rng
        while True:
            root, spelt = self._root(country, city)
            word = rng.choice(word_choices(sector, country.language))
            brand = f"{root}{word}" if country.language == "ja" else f"{root} {word}"
            ending = latin(word, country.language) or sector.name.split()[0].lower()
            domain = self._claim(f"{spelt}-{ending}" if rng.random() < 0.6 else spelt + ending, country)
            if domain is not None:
                return brand, _with_form(brand, rng.choice(country.legal_forms)), domain

    def subsidiary(self, brand: str, parent_domain: str, country: Country, city: City) -> tuple[str, str]:
        """The full name and the domain of a daughter of the brand, named for where it is."""
        name = parent_domain.split(".", 1)[0]
        for place in (country.name, city.name, f"{country.name} {city.name}"):
            domain = self._claim(f"{name}-{latin(place, country.language) or country.code.lower()}", country)
            if domain is not None:
                return _with_form(f"{brand} {place}", country.legal_forms[0]), domain
        number = sum(known.startswith(f"{name}-") for known in self._domains)
        domain = f"{name}-{number}.{country.domain}.example"
        self._domains.add(domain)
        return _with_form(f"{brand} {country.name} {number}", country.legal_forms[0]), domain

    def _root(self, country: Country, city: City) -> tuple[str, str]:
        rng = self._rng
        draw = rng.random()
        if draw < 0.5:
            family = name_pool(country.names, self._seed).pick(rng)[1]
            return family.text, family.latin
        if draw < 0.6 and (spelt := latin(city.name, country.language)):
            return city.name, spelt
        invented = rng.choice(_INVENTED)
        return invented, invented.lower()

    def _claim(self, name: str, country: Country) -> str | None:
        domain = f"{name[:60].strip('-')}.{country.domain}.example"
        if domain in self._domains:
            return None
        self._domains.add(domain)
        return domain


def _with_form(name: str, form: str) -> str:
    """Japanese companies put their legal form in front as often as behind; here always in front."""
    return f"{form}{name}" if form.endswith("会社") else f"{name} {form}"
