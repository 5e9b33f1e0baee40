"""Settings: the environment beats the file, the file beats the defaults, and each says where it came from."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from store.settings import CONFIG_VARIABLE, Settings


@pytest.fixture(autouse=True)
def a_clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"POSTERITY_{name.upper()}", raising=False)
    monkeypatch.delenv(CONFIG_VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)


def test_the_defaults_keep_everything_in_one_folder_on_loopback(tmp_path: Path) -> None:
    settings = Settings()

    assert settings.is_embedded
    assert settings.database == f"sqlite:///{tmp_path / 'data' / 'ledger.sqlite'}"
    assert settings.blob_folder == tmp_path / "data" / "blobs"
    assert (settings.host, settings.lease_seconds, settings.requests_per_minute) == ("127.0.0.1", 15.0, None)


def test_the_environment_beats_the_file_and_the_file_beats_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "posterity.toml").write_text("port = 9000\nlease_seconds = 3.0\n")
    monkeypatch.setenv("POSTERITY_PORT", "9001")

    settings = Settings()

    assert (settings.port, settings.lease_seconds, settings.attempts_max) == (9001, 3.0, 5)
    sources = {name: source for name, _, source in settings.sources()}
    assert sources["port"] == "POSTERITY_PORT"
    assert sources["lease_seconds"] == "posterity.toml"
    assert sources["attempts_max"] == "default"


def test_threads_are_half_of_the_cores_unless_stated(monkeypatch: pytest.MonkeyPatch) -> None:
    cores = len(os.sched_getaffinity(0))
    assert Settings().thread_count == max(1, cores // 2)

    monkeypatch.setenv("POSTERITY_THREADS", "7")
    assert Settings().thread_count == 7


def test_an_unknown_name_in_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "posterity.toml").write_text("prot = 9000\n")

    with pytest.raises(ValidationError, match="prot"):
        Settings()


def test_a_password_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTERITY_DATABASE_URL", "postgresql+psycopg://ada:secret@db/posterity")

    settings = Settings()

    assert "secret" not in repr(settings)
    assert all("secret" not in shown for _, shown, _ in settings.sources())
    assert "secret" in settings.database
    assert not settings.is_embedded


def test_another_engine_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTERITY_DATABASE_URL", "mysql://db/posterity")

    with pytest.raises(ValidationError, match="postgresql"):
        Settings()


def test_a_url_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTERITY_DATABASE_URL", "garbage")

    with pytest.raises(ValidationError, match="sqlite"):
        Settings()


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "sqlite:///file:ledger?mode=memory&uri=true"])
def test_a_ledger_that_is_no_file_is_refused(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("POSTERITY_DATABASE_URL", url)

    with pytest.raises(ValidationError, match="an embedded ledger is a file"):
        Settings()


def test_a_misspelled_variable_is_refused_with_the_one_that_was_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTERITY_DATADIR", "elsewhere")

    with pytest.raises(ValidationError, match="POSTERITY_DATADIR is no setting; POSTERITY_DATA_DIR is"):
        Settings()


def test_a_configuration_file_that_is_named_and_missing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CONFIG_VARIABLE, "nowhere.toml")

    with pytest.raises(ValidationError, match=r"nowhere\.toml"):
        Settings()


@pytest.mark.parametrize("url", ["s3://bucket", "s3://bucket/prefix", "s3://my.bucket_1/a/b/"])
def test_blobs_may_be_in_an_object_store(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("POSTERITY_BLOB_URL", url)

    settings = Settings()

    assert (settings.blob_url, settings.blob_folder) == (url, None)
    assert ("blob_url", url, "POSTERITY_BLOB_URL") in settings.sources()


def test_blobs_may_be_in_a_folder_that_a_url_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / "my blobs"
    monkeypatch.setenv("POSTERITY_BLOB_URL", folder.as_uri())

    assert Settings().blob_folder == folder


@pytest.mark.parametrize(
    "url",
    [
        *("gs://bucket", "bucket/prefix", "s3://", "s3:///prefix", "s3://key:secret@bucket", "s3://bucket?key=secret"),
        *("s3://bucket/../secret", "s3://bucket//secret", "file://elsewhere/secret", "file:secret", "https://secret"),
    ],
)
def test_another_store_is_refused_and_its_url_is_not_repeated(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("POSTERITY_BLOB_URL", url)

    with pytest.raises(ValidationError, match="s3://bucket/prefix") as refused:
        Settings()

    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("name", ["AWS_ENDPOINT", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"])
def test_an_endpoint_that_is_none_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("POSTERITY_BLOB_URL", "s3://bucket")
    monkeypatch.setenv(name, "store.internal:9000")

    with pytest.raises(ValidationError, match=f"{name} must begin with https://"):
        Settings()


def test_two_stores_of_blobs_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTERITY_BLOB_URL", "s3://bucket")
    monkeypatch.setenv("POSTERITY_BLOB_DIR", "/blobs")

    with pytest.raises(ValidationError, match="leave one out"):
        Settings()
