"""Each foreseeable failure is one sentence and a non-zero exit."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.local.__main__ import main
from tests.deploy.fake_suite import fake_command

Failure = Callable[..., str]


@pytest.fixture
def failure(capfd: pytest.CaptureFixture[str]) -> Failure:
    """Run the command, which must fail, and return its one sentence."""

    def run(*arguments: object) -> str:
        assert main([str(argument) for argument in arguments], command=fake_command) == 1
        captured = capfd.readouterr()
        (sentence,) = captured.err.splitlines()
        assert "Traceback" not in captured.out
        return sentence

    return run


def test_port_in_use(failure: Failure, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert f"Port {port} of 127.0.0.1 is in use" in failure("--port", port, "--data", tmp_path / "data")


def test_unwritable_directory(failure: Failure, tmp_path: Path) -> None:
    (tmp_path / "file").touch()  # not even root can make a directory in a file
    assert "Cannot use" in failure("--data", tmp_path / "file" / "data")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_directory_of_somebody_else(failure: Failure, tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    assert "Permission denied" in failure("--data", tmp_path / "closed" / "data")


@pytest.mark.parametrize("port", ["70000", "0", "-1", "abc", "8000.0", "٣"])
def test_port_that_is_none(port: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--port", port, "--data", str(tmp_path)])
    assert ended.value.code == 2
    assert f"{port} is not a port" in capsys.readouterr().err


@pytest.mark.process
def test_damaged_data_directory(failure: Failure, used_data: Path) -> None:
    cluster = used_data / "postgres" / "cluster"
    version, control = cluster / "PG_VERSION", cluster / "global" / "pg_control"
    passwords = used_data / "secrets" / "passwords.json"
    damages: list[tuple[Path, bytes | None, str]] = [
        (version, b"12\n", "is of PostgreSQL 12"),
        (version, None, "is damaged"),
        (control, b"\0" * 8192, "PostgreSQL does not start"),
        (passwords, None, "is missing"),
        (passwords, b"{", "is damaged"),
        (passwords, b'{"admin": 1}', "is damaged"),
    ]
    for path, content, expected in damages:
        sound, owner = path.read_bytes(), path.stat()
        path.unlink()
        if content is not None:
            path.write_bytes(content)
            os.chown(path, owner.st_uid, owner.st_gid)
        sentence = failure("--data", used_data, "--migrate-only")
        assert expected in sentence
        assert str(used_data) in sentence
        path.write_bytes(sound)
        path.chmod(owner.st_mode)
        os.chown(path, owner.st_uid, owner.st_gid)
    assert main(["--data", str(used_data), "--migrate-only"], command=fake_command) == 0
