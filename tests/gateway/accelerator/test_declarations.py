"""What the accelerator declares of a class is what the class is: no compiler is needed to see that it is not.

A compiled class has the attributes of its declaration and no other. Whoever adds one to a source and forgets
the declaration beside it would learn it from an `AttributeError` in the compiled form alone.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.gateway.accelerator import declared

ROOT = Path(__file__).parents[3]

_CLASS = re.compile(r"^cdef class (\w+)(?:\(\w+\))?:$", re.M)
_ATTRIBUTE = re.compile(r"^    cdef (?:public )?[\w ]+? (\w+)$", re.M)
_METHOD = re.compile(r"^    (?:cdef|cpdef) [\w ]+? (\w+)\((.*)\)$", re.M)
_FUNCTION = re.compile(r"^(?:cdef|cpdef) [\w ]+? (\w+)\((.*)\)$", re.M)


def declarations() -> list[Path]:
    return [path.with_suffix(".pxd") for path in declared(ROOT)]


def classes(declaration: Path) -> Iterator[tuple[str, str]]:
    """The body of each class that is declared."""
    _, *parts = _CLASS.split(declaration.read_text())
    for name, body in zip(parts[::2], parts[1::2], strict=True):
        inside = re.split(r"^\S", body.lstrip("\n"), maxsplit=1, flags=re.M)[0]
        yield name, inside


def assigned(node: ast.ClassDef) -> set[str]:
    """The attributes that the methods of a class set or announce."""
    return {
        child.attr
        for child in ast.walk(node)
        if isinstance(child, ast.Attribute)
        and isinstance(child.ctx, ast.Store)
        and isinstance(child.value, ast.Name)
        and child.value.id == "self"
    }


def inherited(node: ast.ClassDef) -> set[str]:
    """The attributes that the declared classes have which a class is derived from."""
    bases = {base.id for base in node.bases if isinstance(base, ast.Name)}
    return {
        attribute
        for declaration in declarations()
        for name, body in classes(declaration)
        if name in bases
        for attribute in _ATTRIBUTE.findall(body)
    }


def parameters(function: ast.FunctionDef) -> list[str]:
    return [one.arg for one in function.args.args + function.args.kwonlyargs]


def declared_parameters(text: str) -> list[str]:
    return [one.strip().removesuffix("=*").split(" ")[-1] for one in text.split(",") if one.strip()]


def source_of(declaration: Path) -> ast.Module:
    return ast.parse(declaration.with_suffix(".py").read_text())


@pytest.mark.parametrize("declaration", declarations(), ids=lambda path: path.stem)
def test_classes_have_the_attributes_that_are_declared(declaration: Path) -> None:
    nodes = {node.name: node for node in source_of(declaration).body if isinstance(node, ast.ClassDef)}
    for name, body in classes(declaration):
        own, set_here = set(_ATTRIBUTE.findall(body)), assigned(nodes[name])
        assert own <= set_here, name
        assert set_here - own <= inherited(nodes[name]), name


@pytest.mark.parametrize("declaration", declarations(), ids=lambda path: path.stem)
def test_methods_and_functions_have_the_parameters_that_are_declared(declaration: Path) -> None:
    module = source_of(declaration)
    nodes = {node.name: node for node in module.body if isinstance(node, ast.ClassDef)}
    functions = {node.name: node for node in module.body if isinstance(node, ast.FunctionDef)}
    for name, text in _FUNCTION.findall(declaration.read_text()):
        assert declared_parameters(text) == parameters(functions[name]), name
    for class_name, body in classes(declaration):
        methods = {node.name: node for node in nodes[class_name].body if isinstance(node, ast.FunctionDef)}
        for name, text in _METHOD.findall(body):
            assert declared_parameters(text) == parameters(methods[name]), f"{class_name}.{name}"


def test_there_are_declarations() -> None:
    assert len(declarations()) > 20
