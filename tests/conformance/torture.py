"""The collection of nasty input that lies beside the project, where there is one."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

FOLDER = Path(__file__).parents[3] / "shared" / "data" / "torture"
needs_torture = pytest.mark.skipif(
    not FOLDER.is_dir(), reason=f"there is no {FOLDER.name} beside the project"
)


def naughty_strings() -> list[str]:
    """Strings that have broken programs before."""
    strings: list[str] = json.loads((FOLDER / "naughty_strings.json").read_text("utf-8"))
    return strings


def json_files() -> list[Path]:
    """JSON documents; the name says whether a parser must take them (`y_`), must not (`n_`) or may (`i_`)."""
    return sorted((FOLDER / "json").glob("*.json"))


def email_verdicts() -> list[tuple[str, str]]:
    """Addresses with the category that isemail puts them in."""
    root = ElementTree.parse(FOLDER / "email_isemail_tests.xml").getroot()  # noqa: S314 (a file of our own)
    found = []
    for test in root.iter("test"):
        address = "".join(map(_control, test.findtext("address") or ""))
        found.append((address, test.findtext("category") or ""))
    return found


def _control(character: str) -> str:
    """XML cannot hold control characters, so the file writes their pictures instead."""
    number = ord(character) - 0x2400
    return chr(number) if 0 <= number <= 32 else character
