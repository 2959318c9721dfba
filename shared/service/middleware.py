"""What happens to every request before its route: a request id, and an identity or a refusal. Raw ASGI."""

from shared.asgi import App, Message, Receive, Scope, Send
from shared.database.tables import new_id
from shared.identity import IDENTITY_HEADER, IdentityError
from shared.identity.verifier import IdentityVerifier
from shared.logs.context import USABLE_REQUEST_ID, request_id_var
from shared.problems import Problem, problem_response_parts

_REQUEST_ID = b"x-request-id"
_IDENTITY = IDENTITY_HEADER.lower().encode()
PROBES = frozenset({"/livez", "/readyz", "/metrics"})
"""What is asked every few seconds and says nothing when it is answered: neither traced nor logged nor counted."""
OPEN_PATHS = PROBES | {"/openapi.json", "/docs"}
"""What anyone who reaches the service may ask: nothing there belongs to a tenant."""


class RequestIds:
    """Accepts the caller's `X-Request-Id` or makes one, and echoes it on every answer."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = header(scope, _REQUEST_ID)
        request_id = given if given and USABLE_REQUEST_ID.fullmatch(given) else str(new_id()).encode()
        scope["request_id"] = request_id.decode("ascii")

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (_REQUEST_ID, request_id)]
            await send(message)

        token = request_id_var.set(scope["request_id"])
        try:
            await self._app(scope, receive, send_with_id)
        finally:
            request_id_var.reset(token)


class IdentityGate:
    """Lets a request in with an identity that the gateway has signed for this service, and with nothing else."""

    def __init__(self, app: App, verifier: IdentityVerifier) -> None:
        self._app = app
        self._verifier = verifier

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "http" and not _open(scope["path"]):
            token = header(scope, _IDENTITY)
            try:
                scope["identity"] = self._verifier.verify(
                    token.decode("latin-1") if token is not None else None
                )
            except IdentityError as error:
                await send_problem(scope, send, _unauthenticated(error))
                return
        await self._app(scope, receive, send)


class HeadAsGet:
    """Answers HEAD as GET would; the server leaves the body out (RFC 9110, section 9.3.2)."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI. The server keeps its own scope, where it finds HEAD again and traces find the route."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        as_get = {**scope, "method": "GET"}
        try:
            await self._app(as_get, receive, send)
        finally:
            scope.update(as_get, method="HEAD")


def _open(path: str) -> bool:
    return path in OPEN_PATHS or path.startswith("/docs/")


def header(scope: Scope, name: bytes) -> bytes | None:
    """The first value of a header (lower-case name), or None."""
    for key, value in scope["headers"]:
        if key == name:
            return bytes(value)
    return None


async def send_problem(scope: Scope, send: Send, problem: Problem) -> None:
    """Answers with a problem."""
    status, headers, body = problem_response_parts(
        problem, request_id=scope["request_id"], instance=scope["path"]
    )
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _unauthenticated(error: IdentityError) -> Problem:
    return Problem(
        401,
        "unauthenticated",
        "Unauthenticated",
        f"This service is reached through the gateway: {error.detail}",
        headers={"WWW-Authenticate": 'Bearer realm="kontor"'},
    )
