import hashlib
import json
import stat
import uuid
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from deploy.local.credentials import Credentials, CredentialsError, load_or_make, write_private

SERVICES = ("customers", "sales", "tickets")


def _load(directory: Path, *, data_exists: bool = False) -> Credentials:
    return load_or_make(directory, services=SERVICES, data_exists=data_exists)


def test_everything_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    _load(tmp_path / "secrets")
    paths = [tmp_path / "secrets", *(tmp_path / "secrets").iterdir()]
    assert len(paths) == 8
    for path in paths:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_a_directory_left_open_is_closed(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir(mode=0o755)
    _load(tmp_path / "secrets")
    assert stat.S_IMODE((tmp_path / "secrets").stat().st_mode) == 0o700


def test_the_same_on_the_next_run(tmp_path: Path) -> None:
    first = _load(tmp_path)
    contents = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert _load(tmp_path, data_exists=True) == first
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == contents


def test_different_in_every_directory(tmp_path: Path) -> None:
    one, other = _load(tmp_path / "1"), _load(tmp_path / "2")
    assert one.api_key != other.api_key
    assert one.tenant_id != other.tenant_id
    assert len({*one.passwords.values(), *other.passwords.values(), one.admin_password}) == 7


def test_the_gateway_learns_the_digest_only(tmp_path: Path) -> None:
    credentials = _load(tmp_path)
    text = credentials.api_keys_file.read_text()
    (entry,) = json.loads(text)["keys"]
    assert credentials.api_key not in text
    assert entry["sha256"] == hashlib.sha256(credentials.api_key.encode()).hexdigest()
    assert uuid.UUID(entry["tenant_id"]) == credentials.tenant_id
    assert credentials.api_key.startswith("kontor_")
    assert len(credentials.api_key) == len("kontor_") + 40


def test_the_identity_keys_are_a_pair(tmp_path: Path) -> None:
    credentials = _load(tmp_path)
    private = load_pem_private_key(credentials.identity_private_key_file.read_bytes(), password=None)
    public = load_pem_public_key(credentials.identity_public_key_file.read_bytes())
    assert private.public_key() == public


def test_half_a_pair_is_made_anew(tmp_path: Path) -> None:
    _load(tmp_path).identity_private_key_file.unlink()
    test_the_identity_keys_are_a_pair(tmp_path)


def test_the_gateways_admin_key_is_long(tmp_path: Path) -> None:
    assert len(_load(tmp_path).gateway_admin_key_file.read_text().strip()) == 43


def test_the_cursor_key_has_32_bytes(tmp_path: Path) -> None:
    assert len(bytes.fromhex(_load(tmp_path).cursor_key_file.read_text().strip())) == 32


def test_no_new_passwords_for_old_data(tmp_path: Path) -> None:
    with pytest.raises(CredentialsError, match=r"passwords\.json is missing"):
        _load(tmp_path, data_exists=True)
    assert not (tmp_path / "passwords.json").exists()


@pytest.mark.parametrize("name", ["passwords.json", "demo.json"])
@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"admin": "x"}', '{"tenant": "x", "api_key": "y"}', "{} {}"]
)
def test_a_damaged_file_is_named(tmp_path: Path, name: str, text: str) -> None:
    _load(tmp_path)
    (tmp_path / name).write_text(text)
    with pytest.raises(CredentialsError, match=f"{name} is damaged"):
        _load(tmp_path, data_exists=True)


def test_a_write_replaces_the_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("old and longer")
    path.chmod(0o644)
    (tmp_path / "secret.unfinished").write_text("of a run that was killed")
    write_private(path, "new")
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]
