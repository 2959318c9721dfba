"""Believable names of people, by locale, and how they look in an e-mail address."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from random import Random

from mimesis import Gender, Locale
from mimesis import Person as Names

_GIVEN, _FAMILY = 160, 300
_LATIN = str.maketrans({"ß": "ss", "ø": "o", "ł": "l", "Ł": "L", "æ": "ae", "Ø": "O", "đ": "d", "'": ""})
_GERMAN = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue"})

# Kanji do not tell how they are read, so these names come with their reading.
_JAPANESE_FAMILIES = (
    "佐藤 Sato,鈴木 Suzuki,高橋 Takahashi,田中 Tanaka,伊藤 Ito,渡辺 Watanabe,山本 Yamamoto,中村 Nakamura,"
    "小林 Kobayashi,加藤 Kato,吉田 Yoshida,山田 Yamada,佐々木 Sasaki,"
    "山口 Yamaguchi,松本 Matsumoto,井上 Inoue,木村 Kimura,林 Hayashi,"
    "斎藤 Saito,清水 Shimizu,山崎 Yamazaki,森 Mori,池田 Ikeda,橋本 Hashimoto,阿部 Abe,石川 Ishikawa,山下 Yamashita,"
    "中島 Nakajima,石井 Ishii,小川 Ogawa,前田 Maeda,岡田 Okada,長谷川 Hasegawa,藤田 Fujita,後藤 Goto,近藤 Kondo,"
    "村上 Murakami,遠藤 Endo,青木 Aoki,坂本 Sakamoto,藤井 Fujii,西村 Nishimura,福田 Fukuda,太田 Ota,三浦 Miura"
)
_JAPANESE_WOMEN = (
    "陽子 Yoko,恵子 Keiko,美穂 Miho,由美 Yumi,直美 Naomi,香織 Kaori,真由美 Mayumi,智子 Tomoko,裕子 Yuko,明美 Akemi,"
    "愛 Ai,舞 Mai,彩 Aya,美咲 Misaki,葵 Aoi,結衣 Yui,千尋 Chihiro,綾香 Ayaka,久美子 Kumiko,麻衣 Mai"
)
_JAPANESE_MEN = (
    "浩 Hiroshi,健一 Kenichi,誠 Makoto,隆 Takashi,大輔 Daisuke,翔太 Shota,拓也 Takuya,健太 Kenta,直樹 Naoki,"
    "剛 Tsuyoshi,学 Manabu,"
    "哲也 Tetsuya,修 Osamu,亮 Ryo,和也 Kazuya,蓮 Ren,悠斗 Yuto,達也 Tatsuya,裕介 Yusuke,正樹 Masaki"
)


@dataclass(frozen=True, slots=True)
class Name:
    """`text` as it is written, `latin` as in an address: lower-case ASCII."""

    text: str
    latin: str


@dataclass(frozen=True, slots=True)
class NamePool:
    """Names of one locale: for each gender the given names and the family names."""

    genders: tuple[tuple[Sequence[Name], Sequence[Name]], ...]

    def pick(self, rng: Random) -> tuple[Name, Name]:
        """A given name and a family name that go together; some are far more frequent than others."""
        given, family = self.genders[rng.random() < 0.5]
        return (
            given[int(len(given) * rng.random() ** 1.6)],
            family[int(len(family) * rng.random() ** 1.6)],
        )


def latin(text: str, language: str = "") -> str:
    """The text in the letters of an address: lower-case ASCII letters and digits, words joined by hyphens."""
    if language == "de":
        text = text.translate(_GERMAN)
    plain = unicodedata.normalize("NFKD", text.translate(_LATIN)).encode("ascii", "ignore").decode().lower()
    return "-".join("".join(c if c.isalnum() else " " for c in plain).split())


@cache
def name_pool(names: str, seed: int) -> NamePool:
    """The pool of one mimesis locale, or of Japan; the same for the same seed."""
    if names == "ja":
        family = _read(_JAPANESE_FAMILIES)
        return NamePool(((_read(_JAPANESE_WOMEN), family), (_read(_JAPANESE_MEN), family)))
    source = Names(Locale(names), seed=seed)
    return NamePool(tuple(_gender(source, gender, names) for gender in (Gender.FEMALE, Gender.MALE)))


def _gender(source: Names, gender: Gender, names: str) -> tuple[Sequence[Name], Sequence[Name]]:
    given = dict.fromkeys(source.first_name(gender=gender) for _ in range(_GIVEN))
    family = dict.fromkeys(source.last_name(gender=gender) for _ in range(_FAMILY))
    return _spelt(given, names), _spelt(family, names)


def _spelt(texts: dict[str, None], language: str) -> Sequence[Name]:
    return [Name(text, spelt) for text in texts if (spelt := latin(text, language).replace("-", ""))]


def _read(line: str) -> Sequence[Name]:
    pairs = (entry.split() for entry in line.split(","))
    return [Name(kanji, reading.lower()) for kanji, reading in pairs]
