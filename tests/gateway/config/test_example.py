"""The example shows every field, and what it calls a default is one."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel

from services import gateway
from services.gateway import config
from services.gateway.config import ConfigDocument
from services.gateway.documents import parse_document
from services.gateway.documents.strict_yaml import read_yaml

EXAMPLE = Path(gateway.__file__).with_name("example.yaml")
# `# field: value` is a default; other comments are for people.
_DEFAULT = re.compile(r"^(\s*)# (\s*[a-z0-9_]+:( .*)?)$")


def with_defaults() -> str:
    """The example with every default written out."""
    lines = EXAMPLE.read_text().splitlines()
    return "\n".join(_DEFAULT.sub(r"\1\2", line) for line in lines)


def models_and_contents(annotation: Any, content: Any) -> Iterator[tuple[type[BaseModel], Mapping[str, Any]]]:
    """Each mapping of the content with the model that it is read as."""
    arguments = get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        if isinstance(content, Mapping) and content.keys() <= annotation.model_fields.keys():
            yield annotation, content
            for name, value in content.items():
                yield from models_and_contents(annotation.model_fields[name].annotation, value)
    elif isinstance(content, tuple) and get_origin(annotation) is tuple:
        for item in content:
            yield from models_and_contents(arguments[0], item)
    elif isinstance(content, Mapping) and get_origin(annotation) is Mapping:
        for value in content.values():
            yield from models_and_contents(arguments[1], value)
    else:
        for argument in arguments:
            yield from models_and_contents(argument, content)


def all_models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        for field in annotation.model_fields.values():
            yield from all_models(field.annotation)
    for argument in get_args(annotation):
        yield from all_models(argument)


def test_the_example_is_valid() -> None:
    made = config.load(EXAMPLE)
    route = made.routes.match(b"/docs/customers")
    assert route is not None
    assert (route.public, route.rewrite, route.timeout_s) == (True, "/docs", 30)
    assert [replica.weight for replica in made.upstreams["customers"].replicas] == [1, 2]


def test_what_the_example_calls_defaults_are_the_defaults() -> None:
    text = with_defaults()
    assert read_yaml(text).content != read_yaml(EXAMPLE.read_text()).content
    without = config.parse(EXAMPLE.read_text())
    made = config.parse(text)
    assert list(made.routes) == list(without.routes)
    assert made.upstreams == without.upstreams
    document = parse_document(EXAMPLE.read_text(), ConfigDocument)
    for section in ("limits", "rate_limit", "traces", "auth", "workers", "trusted_proxies"):
        assert getattr(parse_document(text, ConfigDocument), section) == getattr(document, section)


def test_every_field_is_shown() -> None:
    shown: dict[type[BaseModel], set[str]] = {}
    for model, content in models_and_contents(ConfigDocument, read_yaml(with_defaults()).content):
        shown.setdefault(model, set()).update(content)
    lacking = {
        f"{model.__name__}.{field}"
        for model in set(all_models(ConfigDocument))
        for field in model.model_fields
        if field not in shown.get(model, ())
    }
    assert lacking == set()
