"""From text to a model: all mistakes at once, each with file, line, column and field."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import Discriminator, Field, RootModel, Tag

from services.gateway.documents import (
    Document,
    DocumentError,
    Location,
    Section,
    UnreadableError,
    parse_document,
    read_document,
)


class Dish(Section):
    name: str
    price: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    size: Literal["small", "large"] = "small"
    hot: bool = False
    count: int = 1


class Buffet(Section):
    every_s: float


class Menu(Document):
    dishes: Annotated[
        Annotated[tuple[Dish, ...], Tag("<list>")] | Annotated[Buffet, Tag("<mapping>")],
        Discriminator(lambda content: "<mapping>" if isinstance(content, dict) else "<list>"),
    ]
    rooms: Mapping[str, Dish] = {}
    note: str | None = None

    @classmethod
    def contradictions(cls, content: Any) -> Iterable[tuple[Location, str]]:
        if isinstance(content, dict) and content.get("note") == "closed":
            yield ("note",), "there are dishes"


def mistakes(text: str) -> list[str]:
    with pytest.raises(DocumentError) as caught:
        parse_document(text, Menu, "menu.yaml")
    return str(caught.value).splitlines()


def test_a_document() -> None:
    menu = parse_document("dishes: [{name: soup, price: 3}]", Menu)
    assert menu.dishes == (Dish(name="soup", price=3),)
    assert isinstance(parse_document("dishes: {every_s: 3}", Menu).dishes, Buffet)


def test_every_mistake_is_told_in_the_order_of_the_lines() -> None:
    text = """\
dishes:
  - name: soup
    price: 0
    colour: red
  - prise: 4
    count: 08
  - name: 7
    hot: 'true'
    size: larg
rooms:
  size:
    name: x
    nam: y
  size:
    name: z
note: closed
"""
    assert mistakes(text) == [
        "menu.yaml:3:5: dishes[0].price: must be greater than 0",
        "menu.yaml:4:5: dishes[0].colour: unknown field; known here: count, hot, name, price, size",
        "menu.yaml:5:5: dishes[1].name: is missing",
        "menu.yaml:5:5: dishes[1].prise: unknown field; did you mean price?",
        "menu.yaml:6:12: dishes[1].count: 08 is text in YAML 1.1 and a number in YAML 1.2: "
        "write it plainly, or put it in quotes",
        "menu.yaml:7:5: dishes[2].name: must be text",
        "menu.yaml:8:5: dishes[2].hot: must be true or false",
        "menu.yaml:9:5: dishes[2].size: must be one of small, large; did you mean large?",
        "menu.yaml:13:5: rooms.size.nam: unknown field; did you mean name?",
        "menu.yaml:14:3: rooms.size: appears twice, first in line 11",
        "menu.yaml:16:1: note: there are dishes",
    ]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "menu.yaml:1:1: the document: must be a mapping"),
        ("[]", "menu.yaml:1:1: the document: must be a mapping"),
        ("{}", "menu.yaml:1:1: dishes: is missing"),
        ("dishes: 3", "menu.yaml:1:1: dishes: must be a list"),
        ("dishes: [3]", "menu.yaml:1:10: dishes[0]: must be a mapping"),
        ("dishes: {every: 3}", "menu.yaml:1:10: dishes.every: unknown field; did you mean every_s?"),
        ("dishes: []\nrooms: []", "menu.yaml:2:1: rooms: must be a mapping"),
        ("dishes: [{name: a, price: .nan}]", "menu.yaml:1:20: dishes[0].price: must be a finite number"),
        ("dishes: [{name: a, price: '3'}]", "menu.yaml:1:20: dishes[0].price: must be a number"),
        ("dishes: [{name: a, count: 1.0}]", "menu.yaml:1:20: dishes[0].count: must be a whole number"),
        ("dishes: [{name: a, count: true}]", "menu.yaml:1:20: dishes[0].count: must be a whole number"),
        ("dishes: ]", "menu.yaml:1:9: the document: not YAML: "),
    ],
)
def test_mistakes(text: str, complaint: str) -> None:
    assert any(line.startswith(complaint) for line in mistakes(text)), mistakes(text)


def test_a_list_may_be_a_whole_document() -> None:
    class Dishes(RootModel[tuple[Dish, ...]]):
        pass

    assert parse_document("- {name: a}", Dishes).root == (Dish(name="a"),)
    with pytest.raises(DocumentError, match=r"^list:2:4: \[1\]\.prize: unknown field; did you mean price\?"):
        parse_document("- {name: a}\n- {prize: 1, name: b}", Dishes, "list")


def test_files(tmp_path: Path) -> None:
    file = tmp_path / "menu.yaml"
    with pytest.raises(UnreadableError, match=r"menu\.yaml: No such file or directory$"):
        read_document(file, Menu)
    with pytest.raises(UnreadableError, match=r"Is a directory$"):
        read_document(tmp_path, Menu)
    file.write_bytes(b"dishes:\n  - name: \xff")
    with pytest.raises(DocumentError, match=r"menu\.yaml:2:11: the document: is not UTF-8$"):
        read_document(file, Menu)
    file.write_bytes(b"\xef\xbb\xbfdishes: []\r\n")
    assert read_document(file, Menu).dishes == ()
    file.write_text("dishes: 1")
    with pytest.raises(DocumentError, match=rf"^{file}:1:1: dishes: must be a list$"):
        read_document(file, Menu)
