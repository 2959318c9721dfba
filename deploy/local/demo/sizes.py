"""How large the demo workspace is."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """Numbers of records. Products, representatives and agents are as many as a company of this kind has."""

    accounts: int = 5_000
    contacts: int = 20_000
    deals: int = 10_000
    tickets: int = 20_000
