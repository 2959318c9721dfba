"""pydantic's errors as sentences of ours, with a suggestion where a name was misspelt."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, get_args, get_origin

from pydantic import BaseModel, RootModel
from pydantic_core import ErrorDetails

from services.gateway.documents.complaints import Location

# pydantic names the branch of a union, and that a key is meant, inside the location. We name branches `<so>`.
_MARKER = re.compile(r"<.*>|\[key\]")
_SHOULD = re.compile(r"^(Input|Value|String|Tuple|List|Dictionary|Set|Frozenset) should ")
_SENTENCES = {
    "missing": "is missing",
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "tuple_type": "must be a list",
    "model_type": "must be a mapping",
    "model_attributes_type": "must be a mapping",
    "dict_type": "must be a mapping",
    "mapping_type": "must be a mapping",
    "finite_number": "must be a finite number",
}


def location_of(parts: Sequence[str | int]) -> Location:
    """pydantic's location without what is not written in the document."""
    return tuple(part for part in parts if isinstance(part, int) or not _MARKER.fullmatch(part))


def sentence(error: ErrorDetails, model: type[BaseModel]) -> str:
    """What is wrong, as the second half of a sentence whose first half is the field's name."""
    kind = error["type"]
    if kind == "extra_forbidden":
        location = location_of(error["loc"])
        known = sorted(_fields_beside(model, location))
        return "unknown field" + suggestion(str(location[-1]), known, otherwise="; known here: {}")
    if kind in {"literal_error", "enum"}:
        expected = re.findall(r"'([^']*)'", str(error.get("ctx", {}).get("expected", "")))
        asked = error["input"] if isinstance(error["input"], str) else ""
        return f"must be one of {', '.join(expected)}{suggestion(asked, expected)}"
    if kind in _SENTENCES:
        return _SENTENCES[kind]
    return _SHOULD.sub("must ", error["msg"].removeprefix("Value error, ")).replace(" after validation", "")


def suggestion(name: str, known: Collection[str], otherwise: str = "") -> str:
    """`; did you mean …?` when `name` is close to a known one, else `otherwise` with all of them in it."""
    close = get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]}?" if close else otherwise.format(", ".join(known))


def _fields_beside(model: type[BaseModel], location: Location) -> set[str]:
    """The fields that the mapping at `location` may have had instead of the last one."""
    annotations: list[Any] = [model]
    for part in location[:-1]:
        annotations = [inner for annotation in annotations for inner in _inside(annotation, part)]
    models = [one for annotation in annotations for one in _models(annotation)]
    return {field for one in models for field in one.model_fields}


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if _is_model(annotation):
        yield annotation
    elif not _is_container(get_origin(annotation)):
        for argument in get_args(annotation):
            yield from _models(argument)


def _inside(annotation: Any, part: str | int) -> Iterator[Any]:
    """How what stands at `part` of a value is annotated; a union has several answers."""
    if _is_model(annotation):
        name = "root" if issubclass(annotation, RootModel) else str(part)
        field = annotation.model_fields.get(name)
        if field is not None and name == "root":
            yield from _inside(field.annotation, part)
        elif field is not None:
            yield field.annotation
    elif _is_container(get_origin(annotation)):
        yield get_args(annotation)[1 if isinstance(part, str) else 0]
    else:
        for argument in get_args(annotation):
            yield from _inside(argument, part)


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _is_container(origin: Any) -> bool:
    return isinstance(origin, type) and (issubclass(origin, tuple | Mapping))
