"""Money: a decimal string and an ISO 4217 currency, never a float."""

from decimal import Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema, model_validator
from pydantic.dataclasses import dataclass as validated_dataclass
from pydantic_core import PydanticCustomError

_TWO_DECIMALS = """
AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF
CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG
HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR
MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD
SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD XCD
XCG YER ZAR ZMW ZWG
"""
_NO_DECIMALS = """
BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF
"""
_THREE_DECIMALS = ("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND")
_FOUR_DECIMALS = ("CLF", "UYW")
_MINOR_UNITS = (
    dict.fromkeys(_TWO_DECIMALS.split(), 2)
    | dict.fromkeys(_NO_DECIMALS.split(), 0)
    | dict.fromkeys(_THREE_DECIMALS, 3)
    | dict.fromkeys(_FOUR_DECIMALS, 4)
)
_MAX_DIGITS = 18


def minor_units(currency: str) -> int | None:
    """How many decimals the currency has (ISO 4217), or None for a code that is no currency."""
    return _MINOR_UNITS.get(currency)


def _decimal(value: Any) -> Decimal:
    """Accepts a plain decimal string; a JSON number may have lost digits before it arrived."""
    if isinstance(value, Decimal):
        return value
    text = value if isinstance(value, str) else ""
    digits = text.removeprefix("-").replace(".", "", 1)
    if (
        not digits.isdecimal()
        or not digits.isascii()
        or text.endswith(".")
        or text.lstrip("-").startswith(".")
    ):
        raise PydanticCustomError("decimal", 'must be a decimal string such as "1234.50"')
    if len(digits) > _MAX_DIGITS:
        raise PydanticCustomError("decimal", "must have at most {max} digits", {"max": _MAX_DIGITS})
    return Decimal(text)


def _currency(value: Any) -> str:
    if not isinstance(value, str) or value not in _MINOR_UNITS:
        raise PydanticCustomError("currency", "must be an ISO 4217 currency code such as EUR")
    return value


_DECIMAL_SCHEMA = {"type": "string", "pattern": r"^-?\d{1,14}(\.\d{1,4})?$", "examples": ["1234.50"]}
Amount = Annotated[
    Decimal,
    BeforeValidator(_decimal),
    PlainSerializer(str, when_used="json"),
    WithJsonSchema(_DECIMAL_SCHEMA),
]
Currency = Annotated[
    str, BeforeValidator(_currency), WithJsonSchema({"type": "string", "enum": sorted(_MINOR_UNITS)})
]


@validated_dataclass(frozen=True, config={"extra": "forbid"})
class Money:
    """An amount with exactly as many decimals as its currency has."""

    amount: Amount
    currency: Currency

    @model_validator(mode="after")
    def _canonical(self) -> "Money":
        units = _MINOR_UNITS[self.currency]
        quantum = Decimal(1).scaleb(-units)
        canonical = self.amount.quantize(quantum)
        if canonical != self.amount:
            raise PydanticCustomError(
                "money_decimals",
                "{currency} amounts have at most {units} decimals",
                {"currency": self.currency, "units": units},
            )
        object.__setattr__(self, "amount", canonical)
        return self
