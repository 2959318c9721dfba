"""What the accounts of the demo workspace do, and what companies that do it are called in each language."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sector:
    """`size` is the median number of employees, `turnover` the yearly revenue per employee in euros.

    `words` follow the order of `LANGUAGES`, with two to choose from.
    """

    name: str
    weight: int
    size: int
    turnover: int
    words: tuple[tuple[str, str], ...]


LANGUAGES = ("en", "de", "fr", "nl", "es", "it", "sv", "pl", "pt", "ja")


def word_choices(sector: Sector, language: str) -> tuple[str, str]:
    """What a company of this sector may call itself in the language."""
    return sector.words[LANGUAGES.index(language)]


def _words(line: str) -> tuple[tuple[str, str], ...]:
    pairs = [pair.split("/") for pair in line.split(", ")]
    return tuple((first, second) for first, second in pairs)


SECTORS: tuple[Sector, ...] = (
    Sector(
        *("Manufacturing", 18, 140, 230_000),
        _words(
            "Manufacturing/Precision Parts, Maschinenbau/Metallbau, Mécanique/Industries, Machinebouw/Metaal, "
            "Industrias/Metales, Meccanica/Officine, Mekanik/Verkstad, Produkcja/Metal, Indústria/Metalúrgica, "
            "製作所/精機"
        ),
    ),
    Sector(
        *("Logistics", 15, 110, 160_000),
        _words(
            "Logistics/Freight, Logistik/Spedition, Logistique/Transports, Logistiek/Transport, Logística/Transportes, "
            "Logistica/Trasporti, Logistik/Åkeri, Logistyka/Transport, Logística/Transportes, 運輸/物流"
        ),
    ),
    Sector(
        *("Wholesale", 11, 60, 420_000),
        _words(
            "Supply/Trading, Großhandel/Handel, Négoce/Distribution, Groothandel/Handel, Distribuciones/Comercial, "
            "Distribuzione/Commerciale, Handel/Grossist, Hurtownia/Handel, Distribuidora/Comercial, 商事/商会"
        ),
    ),
    Sector(
        *("Retail", 12, 45, 190_000),
        _words(
            "Stores/Outfitters, Kaufhaus/Fachmarkt, Magasins/Boutiques, Winkels/Warenhuis, Tiendas/Almacenes, "
            "Negozi/Empori, Butiker/Varuhus, Sklepy/Market, Lojas/Varejo, 商店/百貨"
        ),
    ),
    Sector(
        *("Healthcare", 8, 120, 110_000),
        _words(
            "Medical/Health, Medizintechnik/Kliniken, Santé/Médical, Zorg/Medisch, Salud/Clínicas, Salute/Medicale, "
            "Vård/Medicin, Zdrowie/Medyczna, Saúde/Clínicas, 医療/メディカル"
        ),
    ),
    Sector(
        *("Food & Beverage", 9, 70, 210_000),
        _words(
            "Foods/Bakery, Lebensmittel/Brauerei, Gourmand/Boulangeries, Voeding/Bakkerij, Alimentos/Bodegas, "
            "Alimentari/Cantine, Livs/Bageri, Spożywcza/Piekarnia, Alimentos/Bebidas, 食品/酒造"
        ),
    ),
    Sector(
        *("Construction", 8, 55, 170_000),
        _words(
            "Construction/Builders, Bau/Hochbau, Bâtiment/Construction, Bouw/Aannemers, Construcciones/Obras, "
            "Costruzioni/Edilizia, Bygg/Entreprenad, Budowa/Konstrukcje, Construtora/Engenharia, 建設/工務店"
        ),
    ),
    Sector(
        *("Software", 7, 35, 140_000),
        _words(
            "Software/Systems, Software/Systemhaus, Logiciels/Numérique, Software/Digitaal, Software/Sistemas, "
            "Informatica/Sistemi, Mjukvara/System, Oprogramowanie/Systemy, Sistemas/Tecnologia, システムズ/ソフト"
        ),
    ),
    Sector(
        *("Energy", 4, 160, 520_000),
        _words(
            "Energy/Power, Energie/Stadtwerke, Énergie/Solaire, Energie/Wind, Energía/Solar, Energia/Solare, "
            "Energi/Kraft, Energia/Ciepło, Energia/Solar, エナジー/電力"
        ),
    ),
    Sector(
        *("Professional Services", 5, 20, 120_000),
        _words(
            "Partners/Consulting, Beratung/Ingenieure, Conseil/Associés, Advies/Partners, Asesores/Consultores, "
            "Consulenza/Associati, Konsult/Partner, Doradztwo/Partnerzy, Consultoria/Associados, 総研/コンサルティング"
        ),
    ),
    Sector(
        *("Education", 3, 90, 70_000),
        _words(
            "Academy/Learning, Akademie/Bildung, Formation/Académie, Academie/Onderwijs, Academia/Formación, "
            "Accademia/Formazione, Akademi/Utbildning, Akademia/Edukacja, Educação/Ensino, 学園/教育"
        ),
    ),
)
