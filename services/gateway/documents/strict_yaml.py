"""YAML without its surprises: what could be read in two ways is refused.

- A plain word or number is taken only if YAML 1.1 and YAML 1.2 agree on what it is. `no`, `on`, `010`, `08`,
  `1_000`, `0x1f`, `12:30` and `2026-01-01` are refused: written out or quoted, they are clear. The one
  exception is `1e3`, which is a number in JSON and in YAML 1.2.
- A key that appears twice in one mapping, a key that is not text and an explicit tag (`!!int`) are refused.
- Anchors, aliases and merge keys (`<<`) work, as long as what they expand to stays within bounds; what is
  wrong with a value that came by an alias is told where the value was written.
- Lists become tuples.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import yaml

from services.gateway.documents.complaints import Complaint, Location, field_name

MAX_CHARACTERS = 1024 * 1024
# Of values after aliases have been followed: nine lines of them can stand for a billion.
MAX_VALUES = 250_000
MAX_DEPTH = 32

# libyaml's parser is some ten times faster, where PyYAML was built with it.
_LOADER: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# YAML 1.2, 5.1: what is not printable stands in a document in escaped form only.
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_MERGE = "tag:yaml.org,2002:merge"

_TEXT, _NUMBER, _BOOLEAN, _NOTHING = "text", "a number", "true or false", "nothing"
_NAMES = {"true": True, "false": False, "null": None, "~": None, "": None}
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,300})")
_REAL = re.compile(r"[-+]?(\.[0-9]{1,30}|[0-9]{1,30}(\.[0-9]{0,30})?)(e[-+]?[0-9]{1,4})?|[-+]?\.inf|\.nan")
# The core schema's other forms of numbers (YAML 1.2, 10.3.2), which YAML 1.1 reads in another way or not at all.
_ODD_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-f]+")
# What YAML 1.1 calls the types it knows and we have no other word for.
_OLD_KINDS = {
    "bool": _BOOLEAN,
    "int": _NUMBER,
    "float": _NUMBER,
    "null": _NOTHING,
    "timestamp": "a date",
    "str": _TEXT,
}


class _Mark(Protocol):
    """PyYAML's or our own; both count from 0."""

    @property
    def line(self) -> int: ...
    @property
    def column(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Reading:
    """What a text says: the content, where each location stands (line, column), and what was refused."""

    content: Any
    positions: Mapping[Location, tuple[int, int]]
    complaints: list[Complaint]

    def position(self, location: Location) -> tuple[int, int]:
        """Where `location` stands, or the nearest place around it that is written down."""
        while location and location not in self.positions:
            location = location[:-1]
        return self.positions.get(location, (1, 1))


class _StopError(Exception):
    """Reading on would make no sense, or take too long."""

    def __init__(self, text: str, mark: _Mark | None) -> None:
        super().__init__(text)
        line, column = (mark.line, mark.column) if mark else (0, 0)
        self.complaint = Complaint(line + 1, column + 1, "the document", text)


@dataclass(frozen=True, slots=True)
class _Place:
    line: int
    column: int


class _AmbiguousError(Exception):
    """A plain scalar that is two different things."""


def read_yaml(text: str) -> Reading:
    """The content of a document of one mapping, list or scalar."""
    builder = _Builder()
    try:
        _check_characters(text)
        _check_events(text)
        root = yaml.compose(text, _LOADER)
        content = builder.build(root) if root is not None else None
    except _StopError as stop:
        return Reading(None, {}, [*builder.complaints, stop.complaint])
    except yaml.MarkedYAMLError as error:
        problem = ", ".join(filter(None, (error.context, error.problem)))
        refusal = _StopError(f"not YAML: {problem}", error.problem_mark or error.context_mark)
        return Reading(None, {}, [refusal.complaint])
    return Reading(content, builder.positions, builder.complaints)


def _check_characters(text: str) -> None:
    if len(text) > MAX_CHARACTERS:
        raise _StopError(f"is longer than {MAX_CHARACTERS} characters", None)
    if found := _UNPRINTABLE.search(text, 1 if text.startswith("\ufeff") else 0):
        lines = text[: found.start()].split("\n")
        place = _Place(len(lines) - 1, len(lines[-1]))
        raise _StopError(f"not YAML: the character U+{ord(found[0]):04X} cannot stand in it", place)


def _check_events(text: str) -> None:
    """Look at the text's structure before a tree is made of it, which takes recursion and memory."""
    depth = 0
    for event in yaml.parse(text, _LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            raise _StopError(f"is nested more than {MAX_DEPTH} levels deep", event.start_mark)
        if tag := getattr(event, "tag", None):
            shown = tag.replace("tag:yaml.org,2002:", "!!")
            raise _StopError(f"the tag {shown} is not taken: write the plain value", event.start_mark)


class _Builder:
    """Makes content out of nodes, and notes where each value stands."""

    def __init__(self) -> None:
        self.positions: dict[Location, tuple[int, int]] = {}
        self.complaints: list[Complaint] = []
        self._values = 0
        self._open: set[int] = set()

    def build(self, root: yaml.Node) -> Any:
        self._note((), root)
        return self._value(root, ())

    def _value(self, node: yaml.Node, location: Location) -> Any:
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, location)
        self._enter(node)
        content: Any
        if isinstance(node, yaml.SequenceNode):
            content = tuple(self._items(node, location))
        else:
            content = {}
            for key, (key_node, value_node) in self._pairs(node, location).items():
                self._note((*location, key), key_node)
                content[key] = self._value(value_node, (*location, key))
        self._open.discard(id(node))
        return content

    def _items(self, node: yaml.Node, location: Location) -> Iterator[Any]:
        for index, item in enumerate(node.value):
            self._note((*location, index), item)
            yield self._value(item, (*location, index))

    def _pairs(self, node: yaml.Node, location: Location) -> dict[str, tuple[yaml.Node, yaml.Node]]:
        """The nodes of each key and its value; what is merged in gives way to what is there."""
        pairs: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        merged: list[yaml.Node] = []
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE:  # quoted, it has the tag of text
                merged += self._to_merge(value_node)
                continue
            key = self._scalar(key_node, location) if isinstance(key_node, yaml.ScalarNode) else None
            if not isinstance(key, str):
                self._complain(key_node, location, "a key must be text: put it in quotes")
            elif key in pairs:
                line = pairs[key][0].start_mark.line + 1
                self._complain(key_node, (*location, key), f"appears twice, first in line {line}")
            else:
                pairs[key] = key_node, value_node
        for source in merged:
            self._enter(source)
            for key, pair in self._pairs(source, location).items():
                pairs.setdefault(key, pair)
            self._open.discard(id(source))
        return pairs

    def _to_merge(self, node: yaml.Node) -> list[yaml.Node]:
        sources = node.value if isinstance(node, yaml.SequenceNode) else [node]
        for source in sources:
            if not isinstance(source, yaml.MappingNode):
                raise _StopError("only mappings can be merged in with <<", source.start_mark)
        return list(sources)

    def _scalar(self, node: yaml.ScalarNode, location: Location) -> Any:
        self._count(node)
        if node.style:  # quoted, or a block
            return node.value
        try:
            return _plain(node.value, node.tag.removeprefix("tag:yaml.org,2002:"))
        except _AmbiguousError as error:
            self._complain(node, location, str(error))
            return node.value

    def _enter(self, node: yaml.Node) -> None:
        self._count(node)
        if id(node) in self._open:
            raise _StopError("contains itself by an alias", node.start_mark)
        self._open.add(id(node))

    def _count(self, node: yaml.Node) -> None:
        self._values += 1
        if self._values > MAX_VALUES:
            raise _StopError(f"comes to more than {MAX_VALUES} values with its aliases", node.start_mark)

    def _note(self, location: Location, node: yaml.Node) -> None:
        self.positions[location] = node.start_mark.line + 1, node.start_mark.column + 1

    def _complain(self, node: yaml.Node, location: Location, text: str) -> None:
        mark = node.start_mark
        self.complaints.append(Complaint(mark.line + 1, mark.column + 1, field_name(location), text))


def _plain(text: str, old_tag: str) -> Any:
    """The value of a scalar without quotes; `old_tag` is what YAML 1.1 takes it for."""
    kind, value = _core_schema(text)
    old_kind = _OLD_KINDS.get(old_tag, "something of its own")
    if kind == old_kind and value is not _ODD_INTEGER:
        return value
    if kind == _NUMBER and old_kind == _TEXT and "e" in text.lower() and value is not _ODD_INTEGER:
        return value
    shown = text if len(text) <= 40 else f"{text[:40]}…"
    if kind == old_kind:
        raise _AmbiguousError(f"{shown} is not taken for a number: write it in plain decimals, or in quotes")
    advice = "write true or false" if _BOOLEAN in (kind, old_kind) else "write it plainly"
    raise _AmbiguousError(
        f"{shown} is {old_kind} in YAML 1.1 and {kind} in YAML 1.2: {advice}, or put it in quotes"
    )


def _core_schema(text: str) -> tuple[str, Any]:
    """Kind and value by YAML 1.2's core schema; odd integers have no value of ours."""
    lower = text.lower()
    if text in (lower, lower.capitalize(), lower.upper()) and lower in _NAMES:
        value = _NAMES[lower]
        return (_NOTHING if value is None else _BOOLEAN), value
    if _INTEGER.fullmatch(text):
        return _NUMBER, int(text)
    if _ODD_INTEGER.fullmatch(lower):
        return _NUMBER, _ODD_INTEGER
    if _REAL.fullmatch(lower):
        return _NUMBER, float(lower.replace(".inf", "inf").replace(".nan", "nan"))
    return _TEXT, text
