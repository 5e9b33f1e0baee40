"""The one place where settings are read: `POSTERITY_*` variables, then a TOML file, then defaults that fit a laptop."""

from __future__ import annotations

import os
from difflib import get_close_matches
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)
from sqlalchemy.engine import make_url

from store.urls import check_blobs, check_ledger, folder_of

PREFIX = "POSTERITY_"
CONFIG_VARIABLE = f"{PREFIX}CONFIG"
CONFIG_DEFAULT = "posterity.toml"
OF_OTHERS = ("URL", "KEY", "KEY_FILE", "TEST_DATABASE_URL", "TEST_S3")
NO_SETTINGS = {CONFIG_VARIABLE} | {f"{PREFIX}{name}" for name in OF_OTHERS}
"""Variables of this prefix that others read: the client its URL and its key, the tests their servers."""
REQUESTS_MAX = 1_000_000


class Settings(BaseSettings):
    """What the service and its workers run with; the environment beats the file, the file beats the defaults."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, extra="forbid", frozen=True, hide_input_in_errors=True
    )

    data_dir: Path = Field(default=Path("data"), description="Folder of the embedded database and of the blobs.")
    database_url: SecretStr | None = Field(
        default=None, description="SQLAlchemy URL; absent: SQLite in data_dir. PostgreSQL: postgresql+psycopg://…"
    )
    blob_dir: Path | None = Field(default=None, description="Folder of the blobs; absent: data_dir/blobs.")
    blob_url: str | None = Field(
        default=None,
        description="Store of the blobs instead: s3://bucket/prefix (endpoint, region and credentials from the AWS_* "
        "variables), or file:///folder.",
    )
    blob_seconds: float = Field(
        default=15.0,
        gt=0,
        description="An S3 request without an answer is given up after so long, and repeated; a store that stays "
        "silent is given up after about twice as long. Links slower than 3 MB/s need more.",
    )
    host: str = Field(
        default="127.0.0.1",
        description="Address the service listens on; one that is not loopback wants a key to exist.",
    )
    port: int = Field(default=8000, ge=0, le=65535, description="Port the service listens on; 0 picks a free one.")
    workers: int = Field(default=1, ge=0, le=64, description="Worker processes the service starts as its children.")
    device: str = Field(
        default="auto", description="Device of the updates: auto (CUDA where there is one), cpu, cuda, cuda:1 …"
    )
    worker_nice: int = Field(
        default=10,
        ge=0,
        le=19,
        description="How far a worker steps back where others want the processor: its niceness.",
    )
    threads: int = Field(
        default=0,
        ge=0,
        le=256,
        description="Threads of one process in tensor operations; 0: half of the cores, so that a service and its "
        "worker do not take them from each other.",
    )
    lease_seconds: float = Field(
        default=15.0, gt=0, description="A worker silent for so long loses its update to another."
    )
    attempts_max: int = Field(default=5, ge=1, description="Failed attempts after which an update is given up.")
    retry_seconds: float = Field(
        default=10.0, ge=0, description="Pause before a failed attempt is followed by another; it doubles each time."
    )
    hosts: str = Field(
        default="",
        description="Names, with commas between them, under which callers may address the service, and whose pages "
        "may call it; on loopback its own names always may. * is any name. Others than localhost need a key.",
    )
    connections_max: int = Field(default=2000, ge=1, description="Most connections; further ones are refused.")
    header_seconds: float = Field(
        default=10.0, gt=0, description="A request whose head is not complete after so long loses its connection."
    )
    upload_seconds: float = Field(
        default=20.0,
        gt=0,
        description="A body of which fewer than 10,000 bytes a second come over so long a time loses its connection.",
    )
    answer_seconds: float = Field(
        default=30.0,
        gt=0,
        description="A client that takes fewer than 10,000 bytes a second of an answer over so long a time loses its "
        "connection.",
    )
    body_bytes_max: int = Field(default=64 * 2**20, ge=1, description="Largest request body, in bytes.")
    requests_per_minute: int | None = Field(
        default=None,
        ge=1,
        le=REQUESTS_MAX,
        description="Most requests of one key in a minute, where the key does not say; each service counts for itself.",
    )
    bodies_bytes_max: int = Field(
        default=256 * 2**20,
        ge=1,
        description="Most bytes of all requests and answers at once, beyond 16 KiB of each; further ones are refused.",
    )
    rows_max: int = Field(default=100_000, ge=1, description="Most rows in one batch.")
    rows_predict_max: int = Field(default=10_000, ge=1, description="Most rows in one prediction.")
    numbers_predict_max: int = Field(
        default=4_000_000,
        ge=1,
        description="Most numbers in the answer to a prediction, such as rows times classes, and times draws where "
        "each is asked for; one row without its draws always is.",
    )
    samples_max: int = Field(default=256, ge=1, description="Most weight draws in one prediction.")
    queue_max: int = Field(
        default=1000, ge=1, description="Most predictions that wait, and most batches; others are refused."
    )
    queue_bytes_max: int = Field(
        default=256 * 2**20, ge=1, description="Most bytes of inputs that wait, if more than one request waits."
    )
    listeners_max: int = Field(
        default=1000, ge=1, description="Most connections that listen to events; further ones are refused."
    )
    webhook_hosts: str = Field(
        default="*",
        description="Hosts, with commas between them, that events may be sent to; * stands for any characters in one.",
    )
    predict_seconds: float = Field(
        default=60.0, gt=0, description="A prediction that is not ready after so long is given up."
    )
    kept_bytes_max: int = Field(
        default=4 * 2**20,
        ge=1,
        description="Most bytes of the inputs of a prediction that is kept, and most of its answer.",
    )
    loaded_bytes_max: int = Field(
        default=2 * 2**30, ge=1, description="Memory for versions kept ready to predict, in bytes."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least severe line logged."
    )
    log_format: Literal["plain", "json"] = Field(
        default="plain", description="Lines for people, or one JSON object for each."
    )

    @model_validator(mode="before")
    @classmethod
    def no_name_is_misspelled(cls, stated: object) -> object:
        """A variable or a file that would be passed over without a word is refused."""
        known = {f"{PREFIX}{name.upper()}" for name in cls.model_fields} | NO_SETTINGS
        for variable in os.environ:
            if variable.upper().startswith(PREFIX) and variable.upper() not in known:
                near = get_close_matches(variable.upper(), sorted(known), n=1)
                raise ValueError(f"{variable} is no setting" + (f"; {near[0]} is" if near else ""))
        if CONFIG_VARIABLE in os.environ and not config_file().is_file():
            raise ValueError(f"{CONFIG_VARIABLE} names {config_file()}, which is no file")
        return stated

    @field_validator("database_url")
    @classmethod
    def names_a_known_engine(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None:
            check_ledger(url.get_secret_value())
        return url

    @field_validator("blob_url")
    @classmethod
    def names_a_known_store(cls, url: str | None) -> str | None:
        if url is not None:
            check_blobs(url)
        return url

    @model_validator(mode="after")
    def names_one_store(self) -> Self:
        if self.blob_url is not None and self.blob_dir is not None:
            raise ValueError("blob_url and blob_dir name two stores; leave one out")
        return self

    @classmethod
    def settings_customise_sources(  # noqa: PLR0917 - pydantic-settings' own signature
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, config_file())

    @property
    def database(self) -> str:
        """The URL of the ledger, with its password."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite:///{self.data_dir.resolve() / 'ledger.sqlite'}"

    @property
    def is_embedded(self) -> bool:
        """True where the ledger is SQLite: one machine, and the service migrates the database by itself."""
        return make_url(self.database).get_backend_name() == "sqlite"

    @property
    def blob_folder(self) -> Path | None:
        """The folder of the blobs; None: they are in an object store."""
        if self.blob_url is not None:
            return folder_of(self.blob_url)
        return (self.blob_dir or self.data_dir / "blobs").resolve()

    @property
    def host_names(self) -> frozenset[str]:
        """The names in `hosts`, in lower case."""
        return frozenset(name.strip().lower() for name in self.hosts.split(",")) - {""}

    @property
    def thread_count(self) -> int:
        """The threads of one process in tensor operations, at least 1. Results to the bit depend on it."""
        return self.threads or max(1, _cores() // 2)

    def sources(self) -> list[tuple[str, str, str]]:
        """Every setting as (name, value fit for a log, where it came from)."""
        in_file = TomlConfigSettingsSource(type(self), config_file())()
        return [(name, self._shown(name), _source(name, in_file)) for name in type(self).model_fields]

    def _shown(self, name: str) -> str:
        if name == "database_url":
            return make_url(self.database).render_as_string(hide_password=True)
        return str(self.blob_folder if name == "blob_dir" and self.blob_url is None else getattr(self, name))


def config_file() -> Path:
    """The TOML file of this process: what POSTERITY_CONFIG names, else posterity.toml where it was started."""
    return Path(os.environ.get(CONFIG_VARIABLE, CONFIG_DEFAULT))


def _source(name: str, in_file: dict[str, object]) -> str:
    variable = f"{PREFIX}{name.upper()}"
    if variable in {key.upper() for key in os.environ}:
        return variable
    return str(config_file()) if name in in_file else "default"


def _cores() -> int:
    """The cores that this process may use, where the system tells."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
