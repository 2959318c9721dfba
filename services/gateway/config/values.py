"""The kinds of values in the document. Each refusal is the second half of a sentence about the field."""

import re
from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field

from services.gateway.documents import Section


def _matching(pattern: str, sentence: str, most: int = 500) -> AfterValidator:
    compiled = re.compile(pattern)

    def check(text: str) -> str:
        if len(text) > most or not compiled.fullmatch(text):
            raise ValueError(sentence)
        return text

    return AfterValidator(check)


_LABEL = "[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"

Name = Annotated[
    str,
    _matching(
        "[a-z0-9][a-z0-9._-]{0,62}",
        "must be a name: lower-case letters, digits, dots, dashes and underscores, at most 63",
    ),
]
# Unreserved characters and sub-delimiters in whole segments, no slash at the end (RFC 3986, 3.3).
UrlPath = Annotated[
    str,
    _matching(
        "/|(/[A-Za-z0-9._~!$&'()*+,;=:@-]+)+",
        "must be a path of whole segments, such as /v1/accounts: a slash first and none at the end",
    ),
]
HostPattern = Annotated[
    str,
    _matching(
        rf"(\*\.)?({_LABEL}\.)*{_LABEL}",
        "must be a host name in lower case without a port, or *. and one",
        most=255,
    ),
]
ReplicaHost = Annotated[
    str,
    _matching(
        r"[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]", "must be a host name, an IPv4 address or [an IPv6 address]"
    ),
]
DnsName = Annotated[str, _matching(r"[A-Za-z0-9._-]+", "must be a name in DNS", most=255)]
Method = Annotated[str, _matching("[A-Z][A-Z-]{0,30}", "must be a method in capitals, such as GET")]
FieldName = Annotated[
    str, _matching(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", "must be the name of a header (RFC 9110, 5.6.2)", most=100)
]
Text = Annotated[str, Field(min_length=1, max_length=500)]

Seconds = Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)]
SecondsOrNone = Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
CountOrNone = Annotated[int, Field(ge=0, le=1_000_000)]
Percent = Annotated[int, Field(ge=0, le=100)]
Factor = Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)]
Port = Annotated[int, Field(ge=1, le=65535)]
Weight = Annotated[int, Field(ge=1, le=1000)]


def _parsed(parse: Callable[[str], object], sentence: str) -> BeforeValidator:
    def check(content: object) -> object:
        if not isinstance(content, str):
            raise ValueError(sentence)  # noqa: TRY004 - pydantic takes ValueErrors for mistakes, not TypeErrors
        try:
            return parse(content)
        except ValueError:
            raise ValueError(sentence) from None

    return BeforeValidator(check)


Network = Annotated[
    IPv4Network | IPv6Network,
    _parsed(ip_network, "must be an address or a network, such as 10.0.0.0/8 (no bits beyond the prefix)"),
]


def _address_and_port(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not re.fullmatch("[0-9]{1,5}", port) or not 1 <= int(port) <= 65535:
        raise ValueError(text)
    return str(ip_address(host.strip("[]"))), int(port)


AddressAndPort = Annotated[
    tuple[str, int],
    _parsed(_address_and_port, "must be an IP address and a port, such as 127.0.0.1:53"),
]


def _mapping_or_false(content: object) -> str | None:
    if isinstance(content, dict | Section):
        return "<mapping>"
    return "<false>" if content is False else None


# For a section that can be switched off, its branches tagged `<mapping>` and `<false>`.
MAPPING_OR_FALSE = Discriminator(
    _mapping_or_false,
    custom_error_type="mapping_or_false",
    custom_error_message="must be a mapping, or false for none",
)
