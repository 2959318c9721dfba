"""Where parts of the document contradict one another. What is wrong with one field alone is not told here."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from services.gateway.config.routes import CONSISTENT_HASH, RouteSection
from services.gateway.config.upstreams import UpstreamSection, doubles
from services.gateway.documents import Location
from services.gateway.documents.wording import suggestion

Mistake = tuple[Location, str]
Part = TypeVar("Part", bound=BaseModel)


def contradictions(content: Any) -> Iterator[Mistake]:
    """Every contradiction among those parts of the document that are in order by themselves."""
    routes = _in_order(_part(content, "routes", tuple), RouteSection)
    named = _part(content, "upstreams", dict)
    upstreams = _in_order(named, UpstreamSection)
    yield from _double_names(routes)
    yield from _overlaps(routes)
    yield from _unfit_visibility(routes, _part(content, "auth", dict))
    for index, route in routes.items():
        if isinstance(named, dict) and route.upstream not in named:
            hint = suggestion(route.upstream, [str(name) for name in named])
            yield ("routes", index, "upstream"), f"there is no upstream {route.upstream}{hint}"
        elif route.upstream in upstreams:
            yield from _needless_hash(index, route, upstreams[route.upstream])
    yield from _needless_database(content, "shared_cache")
    yield from _needless_database(_part(content, "rate_limit", dict), "shared", "rate_limit")
    for name, upstream in upstreams.items():
        for index, first in doubles([(one.host, one.port) for one in _listed(upstream)]):
            yield ("upstreams", name, "replicas", index), f"has the address of replicas[{first}]"


def _part(content: Any, name: str, kind: type) -> Any:
    part = content.get(name) if isinstance(content, dict) else None
    return part if isinstance(part, kind) else None


def _in_order(entries: Any, model: type[Part]) -> dict[Any, Part]:
    """The entries of a list or mapping that are valid, by index or key."""
    found: dict[Any, Part] = {}
    for key, entry in entries.items() if isinstance(entries, dict) else enumerate(entries or ()):
        try:
            found[key] = model.model_validate(entry)
        except ValidationError:
            continue  # told with the field, by whoever validates the whole
    return found


def _listed(upstream: UpstreamSection) -> Sequence[Any]:
    return upstream.replicas if isinstance(upstream.replicas, tuple) else ()


def _double_names(routes: Mapping[int, RouteSection]) -> Iterator[Mistake]:
    indexes = list(routes)
    for index, first in doubles([route.name for route in routes.values()]):
        name = routes[indexes[index]].name
        yield ("routes", indexes[index], "name"), f"routes[{indexes[first]}] is called {name} already"


def _overlaps(routes: Mapping[int, RouteSection]) -> Iterator[Mistake]:
    """Requests that two routes would take with equal right."""
    takers: dict[tuple[str, str, str], int] = {}
    for index, route in routes.items():
        keys = [
            (route.prefix, host, method) for host in route.hosts or ("",) for method in route.methods or ("",)
        ]
        rivals = {takers[key]: key for key in keys if key in takers}
        for rival, (_, host, method) in rivals.items():
            what = f"{method or 'all methods'} under {route.prefix}{host and f' of {host}'}"
            yield ("routes", index, "prefix"), f"routes[{rival}] takes {what} already"
        for key in keys:
            takers.setdefault(key, index)


def _unfit_visibility(routes: Mapping[int, RouteSection], auth: Any) -> Iterator[Mistake]:
    """Caches whose answers could be given to nobody, or to those whom they do not concern."""
    open_to_all = isinstance(auth, dict) and auth.get("mode") == "none"
    for index, route in routes.items():
        if route.cache is None:
            continue
        place = ("routes", index, "cache", "visibility")
        visibility = route.cache.visibility
        if (route.public or open_to_all) and visibility != "everyone":
            yield place, f"nobody says who he is here: it can only be everyone, and is {visibility}"
        elif not (route.public or open_to_all) and visibility == "everyone":
            yield place, "who asks may matter here: everyone is for public routes"


def _needless_hash(index: int, route: RouteSection, upstream: UpstreamSection) -> Iterator[Mistake]:
    policy = route.policy or upstream.policy
    if route.hash_on is not None and policy != CONSISTENT_HASH:
        yield ("routes", index, "hash_on"), f"only {CONSISTENT_HASH} hashes, and the policy here is {policy}"


def _needless_database(content: Any, name: str, *within: str) -> Iterator[Mistake]:
    """Of the servers in the section `name` of `content`, which is at `within` itself."""
    section = _part(content, name, dict)
    if section is not None and section.get("cluster") is True and section.get("database", 0) != 0:
        yield (*within, name, "database"), "a cluster has only 0"
