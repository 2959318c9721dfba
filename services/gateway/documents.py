"""Reading a YAML (or JSON) document from a file into its model, with errors that name the field."""

from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ValidationError

Model = TypeVar("Model", bound=BaseModel)


class DocumentError(Exception):
    """A file that cannot be read, is no YAML, or does not say what it must; the text names file and field."""


def read_document(path: Path, model: type[Model]) -> Model:
    """The validated content of `path`. Raises `DocumentError`."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DocumentError(f"{path}: {error}") from error
    try:
        return parse_document(text, model)
    except DocumentError as error:
        raise DocumentError(f"{path}: {error}") from error


def parse_document(text: str, model: type[Model]) -> Model:
    """The validated content of `text`. Raises `DocumentError`."""
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise DocumentError(f"not YAML: {error}") from error
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise DocumentError("; ".join(_complaints(error))) from error


def _complaints(error: ValidationError) -> list[str]:
    return [
        f"{_field_name(item['loc'])}: {item['msg'].removeprefix('Value error, ')}"
        for item in error.errors(include_url=False, include_input=False)
    ]


def _field_name(location: tuple[int | str, ...]) -> str:
    name = ""
    for part in location:
        name += f"[{part}]" if isinstance(part, int) else f".{part}" if name else part
    return name or "the document"
