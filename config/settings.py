"""Settings: defaults, then a TOML file, then `ORTOO_*` environment variables, then command-line flags."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)


class Settings(BaseSettings):
    """Everything a copy can be told. Sizes are bytes, times are seconds unless the name says otherwise."""

    model_config = SettingsConfigDict(env_prefix="ORTOO_", extra="forbid", frozen=True)

    data: Path = Field(Path("data"), description="folder of the embedded database, the secret key and the logs")
    host: str = Field("127.0.0.1", description="address the page listens on")
    port: int = Field(8080, ge=0, le=65535, description="port the page listens on; 0 takes a free one")
    public_url: str = Field("", description="address people reach the page at, where a proxy stands in front")
    trusted_proxies: int = Field(0, ge=0, description="how many proxies in front set X-Forwarded-* headers")
    door_host: str = Field("127.0.0.1", description="address the mail door listens on")
    door_port: int = Field(2525, ge=0, le=65535, description="port the mail door listens on; 0 takes a free one")
    door_lmtp: bool = Field(False, description="speak LMTP instead of SMTP at the mail door")
    max_message_bytes: int = Field(30 * 1024 * 1024, ge=1024, description="largest mail taken or sent")
    mongodb_uri: SecretStr = Field(SecretStr(""), description="a replica set to use instead of the embedded database")
    database: str = Field("ortoo", min_length=1, max_length=38, description="name of the MongoDB database")
    mongodb_cache_gb: float = Field(0.25, ge=0.25, description="cache of the embedded database, GB")
    broker: str = Field("memory://", description="what carries tasks between processes")
    secret_key: SecretStr = Field(SecretStr(""), description="key of stored secrets, base64; else data/secret.key")
    undo_seconds: int = Field(10, ge=0, le=120, description="how long a reply can be taken back")
    session_days: int = Field(30, ge=1, description="how long a sign-in lasts without use")
    events_days: int = Field(30, ge=1, description="how long the event log is kept")
    lease_seconds: float = Field(30, ge=2, description="how long the work of a vanished process waits for another one")
    log_level: str = Field("INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="least severe level logged")
    log_json: bool = Field(False, description="log lines as JSON")

    @field_validator("public_url")
    @classmethod
    def _without_slash(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("must start with http:// or https://")
        return value.rstrip("/")

    @property
    def base_url(self) -> str:
        """Where links to this copy point."""
        return self.public_url or f"http://{self.host}:{self.port}"


def load(config: Path | None = None, **flags: Any) -> Settings:
    """Read the settings; `flags` that are None were not given. Raises `pydantic.ValidationError` with every mistake.

    The file is `config`, else what `ORTOO_CONFIG` names, else `ortoo.toml` in the working folder if it is there.
    """
    path = config or Path(os.environ.get("ORTOO_CONFIG") or "ortoo.toml")
    if config is not None and not config.is_file():
        raise FileNotFoundError(f"there is no configuration file {config}")
    given = {name: value for name, value in flags.items() if value is not None}

    class FromFile(Settings):
        model_config = SettingsConfigDict(toml_file=path)

        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return (init_settings, env_settings, TomlConfigSettingsSource(settings_cls))

    return FromFile(**given)
