"""The gateway as the command line uses it: one key, JSON, and problems told as sentences."""

from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

import httpx2


class GatewayError(Exception):
    """The gateway could not be reached or refused; the text is for people."""


class Gateway:
    """A connection to the gateway at `url` with an API key."""

    def __init__(self, url: str, key: str) -> None:
        if not key:
            raise GatewayError("An API key is needed: --key or KONTOR_API_KEY.")
        headers = {"Authorization": f"Bearer {key}"}
        # An upload is answered when the last byte is safe, which takes as long as it takes.
        self._client = httpx2.Client(base_url=url, headers=headers, timeout=httpx2.Timeout(30, read=None))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def request(self, method: str, path: str, **options: Any) -> httpx2.Response:
        """An answer below 400. Raises `GatewayError` with the problem's own words."""
        try:
            response = self._client.request(method, path, **options)
        except httpx2.TransportError as error:
            raise GatewayError(f"The gateway at {self._client.base_url} does not answer: {error}") from None
        if response.status_code >= 400:
            raise GatewayError(_sentence(response))
        return response

    def records(self, path: str, **query: str) -> Iterator[dict[str, Any]]:
        """Every record of a list, page after page."""
        cursor: str | None = None
        while True:
            page = self.request(
                "GET", path, params={**query, **({"cursor": cursor} if cursor else {})}
            ).json()
            yield from page["data"]
            cursor = page["next_cursor"]
            if cursor is None:
                return


def _sentence(response: httpx2.Response) -> str:
    try:
        problem = response.json()
    except ValueError:
        return f"{response.request.method} {response.request.url.path}: {response.status_code}"
    lines = [f"{problem.get('title')}: {problem.get('detail', '')}"]
    lines += [f"  {error['pointer']}: {error['detail']}" for error in problem.get("errors", [])]
    return "\n".join([*lines, f"  (request {problem.get('request_id')})"])
