"""What HTTP itself asks of every path: methods, HEAD, request ids, identities."""

import time
from pathlib import Path

from shared.database.tables import new_id
from shared.identity import IDENTITY_HEADER, Identity
from shared.identity.signer import IdentitySigner
from shared.testing.services import Keys
from tests.conformance.catalogue import Case, every
from tests.conformance.problems import problem
from tests.conformance.world import World


@every("list", "get")
async def test_head_is_get_without_its_body(case: Case, world: World) -> None:
    record = await world.create()
    for path in (await world.path(), await world.one_path(record)):
        got, head = await world.client.get(path), await world.client.head(path)
        assert head.status_code == got.status_code == 200
        same = ("content-type", "content-length", "etag", "link", "cache-control")
        assert [head.headers.get(name) for name in same] == [got.headers.get(name) for name in same]


@every("list", "get")
async def test_other_methods_are_refused_with_those_allowed(case: Case, world: World) -> None:
    record = await world.create()
    collection = {"GET", "HEAD"} | ({"POST"} if "create" in case.resource.operations else set())
    single = {"GET", "HEAD"}
    single |= {"PATCH"} if "update" in case.resource.operations else set()
    single |= {"DELETE"} if "delete" in case.resource.operations else set()
    for path, offered in ((await world.path(), collection), (await world.one_path(record), single)):
        answer = await world.client.request("PROPFIND", path)
        problem(answer, 405, "method_not_allowed")
        allowed = set(answer.headers["allow"].split(", "))
        assert allowed >= offered
        for method in {"PUT", "PATCH", "DELETE"} - allowed:
            problem(await world.client.request(method, path), 405)


@every("get")
async def test_what_names_nothing_is_not_found(case: Case, world: World) -> None:
    path = await world.path()
    for name in (str(new_id()), "7", "nothing", "%00", "a%2Fb", "0191b1a0-0000-7000-8000-00000000000g"):
        problem(await world.client.get(f"{path}/{name}"), 404, "not_found")
    problem(await world.client.get(f"{path}/{new_id()}/nothing"), 404)
    problem(await world.client.get("/v1/nothing"), 404)


@every("list")
async def test_a_request_id_is_kept_or_made(case: Case, world: World) -> None:
    path = await world.path()
    given = "a" * 128
    assert (await world.client.get(path, headers={"X-Request-Id": given})).headers["x-request-id"] == given
    for unusable in ("a" * 129, "has space", ""):
        answer = await world.client.get(path, headers={"X-Request-Id": unusable})
        assert answer.headers["x-request-id"] not in ("", unusable)
        assert answer.status_code == 200


@every("list")
async def test_only_a_signed_identity_for_this_service_is_let_in(
    case: Case, world: World, keys: Keys, tmp_path: Path
) -> None:
    path, name = await world.path(), case.service.name
    signer = IdentitySigner(keys.private_pem)
    identity = Identity(world.tenant_id, "tester", frozenset({"*"}))
    good = signer.sign(identity, name)
    head, claims, signature = good.split(".")
    refused = {
        "missing": None,
        "empty": "",
        "nonsense": "nonsense",
        "unsigned": f"{head}.{claims}.",
        "tampered": f"{head}.{claims[:-2]}AA.{signature}",
        "another audience": signer.sign(identity, "another"),
        "another key": IdentitySigner(Keys.make(tmp_path).private_pem).sign(identity, name),
        "expired": IdentitySigner(keys.private_pem, clock=lambda: time.time() - 3600).sign(identity, name),
    }
    for what, token in refused.items():
        world.client.headers.pop(IDENTITY_HEADER, None)
        answer = await world.client.get(path, headers={} if token is None else {IDENTITY_HEADER: token})
        document = problem(answer, 401, "unauthenticated")
        assert answer.headers["www-authenticate"].startswith("Bearer"), what
        assert "errors" not in document


@every("list")
async def test_nothing_is_said_to_strangers_about_paths(case: Case, world: World) -> None:
    """A refusal comes before the path is looked at, so that nobody without an identity can probe."""
    headers = {IDENTITY_HEADER: "none"}
    for path in ("/v1/nothing", await world.path()):
        problem(await world.client.get(path, headers=headers), 401)
