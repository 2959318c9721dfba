"""Mappings kept in the project, one YAML document each, by the name of their file.

Beside what the API takes, a column may say `resolve: {resource: accounts, source: maven}`: its values are other
records' external ids, which the command looks up through the gateway, because one service never reads another's tables.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

_FOLDER = Path(__file__).parent


def known_mappings() -> Iterator[tuple[str, str]]:
    """`(name, summary)` of each; the summary is the file's first comment."""
    for file in sorted(_FOLDER.glob("*.yaml")):
        yield file.stem, file.read_text("utf-8").splitlines()[0].removeprefix("#").strip()


def load_mapping(name: str) -> dict[str, Any]:
    """A mapping by name or path. Raises ValueError for one that is not there or is no mapping."""
    file = _FOLDER / f"{name}.yaml"
    if not file.is_file():
        file = Path(name)
    if not file.is_file():
        known = ", ".join(known for known, _ in known_mappings())
        raise ValueError(f"There is no mapping {name}; there are {known}, or give a file.")
    try:
        document = yaml.safe_load(file.read_text("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} is no YAML: {error}") from None
    if not isinstance(document, dict) or "resource" not in document:
        raise ValueError(f"{file} is no mapping: it names no resource.")
    return document
