"""From the request's headers to a caller. Pure."""

from collections.abc import Sequence

from services.gateway.auth.keys import KEY_PREFIX, Caller, KeyRing
from shared.problems import Problem

_PREFIX = KEY_PREFIX.encode()


def authenticate(headers: Sequence[tuple[bytes, bytes]], ring: KeyRing) -> Caller:
    """The caller whose key is in `Authorization: Bearer kontor_…` or in `X-Api-Key`.

    Raises a 401 `Problem` with `WWW-Authenticate` (RFC 6750, 3) when there is no key, more than one, or
    one that is not on the ring; a caller cannot tell an unknown key from a withdrawn one.
    """
    keys = [value for name, value in headers if name == b"x-api-key"]
    for name, value in headers:
        if name == b"authorization":
            scheme, _, credentials = value.partition(b" ")
            if scheme.lower() != b"bearer":
                raise _refusal("bad_credentials", "Only the Bearer scheme is understood.", "invalid_request")
            keys.append(credentials.strip())
    if not keys:
        raise _refusal("missing_credentials", "Send an API key: Authorization: Bearer kontor_…", None)
    if len(set(keys)) > 1:
        raise _refusal("bad_credentials", "More than one API key was sent.", "invalid_request")
    caller = ring.find(keys[0]) if keys[0].startswith(_PREFIX) else None
    if caller is None:
        raise _refusal("invalid_credentials", "This API key is not valid.", "invalid_token")
    return caller


def _refusal(code: str, detail: str, error: str | None) -> Problem:
    challenge = 'Bearer realm="kontor"' + (f', error="{error}"' if error else "")
    return Problem(401, code, "Unauthorized", detail, headers={"WWW-Authenticate": challenge})
