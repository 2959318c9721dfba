"""The short way to a resource's lists and single records, past FastAPI.

FastAPI documents these routes and could answer them as well. But searching them, solving dependencies that they do not
have and entering its exit stacks took 56 of 198 µs of CPU of a read by id, so the handlers are called from here.
"""

from collections.abc import Iterable

from starlette.requests import Request

from shared.asgi import App, Receive, Scope, Send
from shared.resources.documentation import Endpoint
from shared.service.errors import internal_error, problem_of, problem_response

_Shape = tuple[int | str, ...]
_ID_LENGTH = 36
"""Of a UUID. Whatever else stands in its place (a word, another spelling) goes the long way."""


class DirectReads:
    """Raw ASGI around the application that has every route: answers the plain reads, passes everything else on."""

    def __init__(self, app: App, endpoints: Iterable[Endpoint]) -> None:
        self._app = app
        self._reads: dict[_Shape, tuple[Endpoint, list[str]]] = {}
        for endpoint in endpoints:
            if endpoint.operation in ("list", "get"):
                parts = endpoint.path.split("/")
                self._reads[_shape(parts)] = endpoint, [name.strip("{}") for name in _ids(parts)]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI. Errors are answered as `shared.service.errors` has them; a defect also raises on, to be logged."""
        endpoint = self._find(scope) if scope["type"] == "http" and scope["method"] == "GET" else None
        if endpoint is None:
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            response = await endpoint.handler(request)
        except Exception as error:
            problem = problem_of(error)
            await problem_response(request, problem or internal_error())(scope, receive, send)
            if problem is None:
                raise
        else:
            await response(scope, receive, send)

    def _find(self, scope: Scope) -> Endpoint | None:
        """The read of this path; the scope then says which route it is, and the ids in it, as routers do."""
        parts = scope["path"].split("/")
        found = self._reads.get(_shape(parts))
        if found is None:
            return None
        endpoint, names = found
        ids = _ids(parts)
        if any(len(text) != _ID_LENGTH for text in ids):
            return None
        scope["route"] = endpoint
        scope["path_params"] = dict(zip(names, ids, strict=True))
        return endpoint


def _shape(parts: list[str]) -> _Shape:
    """What tells paths apart: `/v1/deals/…/lines/…` has nouns and ids by turns."""
    return (len(parts), *parts[:2], *parts[2::2])


def _ids(parts: list[str]) -> list[str]:
    return parts[3::2]
