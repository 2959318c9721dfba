"""`q`: every word of the query begins a word of the record."""

from tests.conformance.catalogue import CASES, Case, every
from tests.conformance.world import World


def test_some_resource_can_be_searched() -> None:
    assert any(case.resource.search for case in CASES)


@every("list", "create")
async def test_words_are_found_by_their_beginning(case: Case, world: World) -> None:
    if case.resource.search is None:
        return
    name = world.text_member
    wanted = await world.create(await world.body() | {name: "Zürich Quokka-Works 4711"})
    await world.create()
    for found in ("quokka", "QUOK", "zürich quokka", "works zür", "  quokka  ", "quokka-works", "471"):
        assert await world.ids(q=found) == [wanted["id"]], found
    for missed in ("uokka", "quokka koala", "quokkas", "!", "' & |", "zurichquokka"):
        assert wanted["id"] not in await world.ids(q=missed), missed
    assert set(await world.ids(q="")) == set(await world.ids())


@every("list", "create", "delete")
async def test_search_joins_filters_and_pages(case: Case, world: World) -> None:
    if case.resource.search is None:
        return
    made = [
        await world.create(await world.body() | {world.text_member: f"Quokka {number}"})
        for number in range(5)
    ]
    ids = {one["id"] for one in made}
    assert set(await world.walk(q="quokka", limit="2")) == ids
    assert await world.ids(q="quokka", **{"filter[id]": made[0]["id"]}) == [made[0]["id"]]
    await world.client.delete(await world.one_path(made[0]))
    assert set(await world.ids(q="quokka")) == ids - {made[0]["id"]}
    assert await world.ids(q="quokka", **{"filter[deleted]": "true"}) == [made[0]["id"]]
