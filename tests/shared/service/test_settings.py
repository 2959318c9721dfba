from pathlib import Path

import pytest
from pydantic import ValidationError
from pydantic_settings import SettingsConfigDict

from shared.service.settings import ServiceSettings

_URL = "postgresql://demo:secret@127.0.0.1:5432/demo"


class DemoSettings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="DEMO_", frozen=True, extra="ignore")


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("IDENTITY_PUBLIC_KEY_FILE", "CURSOR_KEY_FILE"):
        monkeypatch.setenv(f"DEMO_{name}", "unread")
    monkeypatch.setenv("DEMO_PORT", "0")
    return monkeypatch


def test_the_database_url_comes_from_the_environment(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("DEMO_DATABASE_URL", _URL)
    assert DemoSettings().database_url.get_secret_value() == _URL


def test_the_database_url_comes_from_a_file(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "database-url"
    file.write_text(f"{_URL}\n")
    environment.setenv("DEMO_DATABASE_URL_FILE", str(file))
    settings = DemoSettings()
    assert settings.database_url.get_secret_value() == _URL
    assert "secret" not in repr(settings)


def test_two_database_urls_are_refused(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environment.setenv("DEMO_DATABASE_URL", _URL)
    environment.setenv("DEMO_DATABASE_URL_FILE", str(tmp_path / "database-url"))
    with pytest.raises(ValidationError, match="which is meant") as caught:
        DemoSettings()
    assert "secret" not in str(caught.value)


def test_a_file_that_is_not_there_is_named(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environment.setenv("DEMO_DATABASE_URL_FILE", str(tmp_path / "nothing"))
    with pytest.raises(ValidationError, match=r"database_url_file: .*nothing"):
        DemoSettings()


def test_a_database_is_needed(environment: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValidationError, match="database_url"):
        DemoSettings()


def test_histories_are_kept_for_ever_unless_days_are_set(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("DEMO_DATABASE_URL", _URL)
    assert DemoSettings().history_retention_days is None
    environment.setenv("DEMO_HISTORY_RETENTION_DAYS", "400")
    assert DemoSettings().history_retention_days == 400
    environment.setenv("DEMO_HISTORY_RETENTION_DAYS", "0")
    with pytest.raises(ValidationError, match="history_retention_days"):
        DemoSettings()
