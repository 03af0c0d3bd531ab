"""The typed settings, and the only place that reads the environment."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic.functional_validators import ModelWrapValidatorHandler
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from vinci_code.core.config import normalise, strict, validation
from vinci_code.core.config.sources import (
    EnvFile,
    Misspelling,
    Reading,
    Variable,
    misspellings_of,
    read_env_file,
    readings_of,
    warn_if_exposed_to_others,
)
from vinci_code.core.config.validation import Collected
from vinci_code.core.errors import ConfigurationError
from vinci_code.core.redaction import MASK, Secret, redact, register_secret

_ENV_FILE = Path(".env")
"""The file with settings, in the working directory."""

AuthMethod = Literal["token", "profile", "oauth_m2m"]


class DatabaseSettings(BaseSettings):
    """Where the data is kept, and how to get there.

    Values come from the environment, below it from a ``.env`` file in the working directory, below
    it from the defaults; arguments win over all of them. With ``use_databricks`` an object exists
    only if host, HTTP path and exactly one way to authenticate are given and look real.

    Raises:
        ConfigurationError: Anything is wrong; its ``problems`` list all of it.
    """

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        arbitrary_types_allowed=True,
    )

    use_databricks: Annotated[bool, Variable("USE_DATABRICKS")] = Field(
        default=False, description="true stores the data on Databricks, false in a SQLite file"
    )
    databricks_server_hostname: Annotated[
        str | None, Variable("DATABRICKS_SERVER_HOSTNAME", alias="DATABRICKS_HOST")
    ] = Field(default=None, description="host name of the workspace")
    databricks_http_path: Annotated[
        str | None, Variable("DATABRICKS_HTTP_PATH", alias="DATABRICKS_WAREHOUSE_ID")
    ] = Field(default=None, description="HTTP path of the SQL warehouse, or its id")
    databricks_access_token: Annotated[
        Secret | None, Variable("DATABRICKS_ACCESS_TOKEN", alias="DATABRICKS_TOKEN", secret=True)
    ] = Field(default=None, description="personal access token")
    databricks_profile: Annotated[
        str | None, Variable("DATABRICKS_PROFILE", alias="DATABRICKS_CONFIG_PROFILE")
    ] = Field(default=None, description="profile of ~/.databrickscfg to authenticate with")
    databricks_config_file: Annotated[Path | None, Variable("DATABRICKS_CONFIG_FILE")] = Field(
        default=None, description="file with the profiles, instead of ~/.databrickscfg"
    )
    databricks_client_id: Annotated[str | None, Variable("DATABRICKS_CLIENT_ID")] = Field(
        default=None, description="application id of a service principal (OAuth)"
    )
    databricks_client_secret: Annotated[
        Secret | None, Variable("DATABRICKS_CLIENT_SECRET", secret=True)
    ] = Field(default=None, description="OAuth secret of that service principal")
    databricks_catalog: Annotated[str | None, Variable("DATABRICKS_CATALOG")] = Field(
        default=None, description="catalog to start in; without it, the workspace's default"
    )
    databricks_schema: Annotated[str | None, Variable("DATABRICKS_SCHEMA")] = Field(
        default=None, description="schema to start in; without it, the catalog's default"
    )
    databricks_volume: Annotated[str | None, Variable("DATABRICKS_VOLUME")] = Field(
        default=None,
        description="volume that loads stage their files in; without it, vinci_load of the schema "
        "to start in, if there is one",
    )
    databricks_transactions: Annotated[
        Literal["auto", "on", "off"], Variable("DATABRICKS_TRANSACTIONS")
    ] = Field(
        default="auto",
        description="auto uses transactions where workspace and tables allow them, "
        "on refuses to start without, off does without",
    )
    databricks_atomicity: Annotated[
        Literal["unit", "per_table"], Variable("DATABRICKS_ATOMICITY")
    ] = Field(
        default="unit",
        description="unit makes a commit all or nothing, per_table one step a table",
    )
    databricks_keys: Annotated[Literal["time_ordered", "blocks"], Variable("DATABRICKS_KEYS")] = (
        Field(
            default="time_ordered",
            description="time_ordered makes integer keys of 63 bits, blocks small ones, of which "
            "ranges are reserved on the warehouse",
        )
    )
    databricks_hide_keys: Annotated[bool, Variable("DATABRICKS_HIDE_KEYS")] = Field(
        default=False, description="leave the values of keys out of errors"
    )
    databricks_slow_statement: Annotated[float | None, Variable("DATABRICKS_SLOW_STATEMENT")] = (
        Field(
            default=None,
            description="seconds above which a statement, and a unit of work, is logged at WARNING",
        )
    )
    databricks_ca_file: Annotated[Path | None, Variable("DATABRICKS_CA_FILE")] = Field(
        default=None,
        description="file with the CA certificates (PEM) to trust instead of the system's; "
        "verification is never off",
    )
    databricks_fallback: Annotated[Literal["off", "sqlite"], Variable("DATABRICKS_FALLBACK")] = (
        Field(
            default="off",
            description="sqlite goes on in a local file while the warehouse is away, and brings "
            "everything there afterwards; off does without",
        )
    )
    databricks_fallback_file: Annotated[Path, Variable("DATABRICKS_FALLBACK_FILE")] = Field(
        default=Path("vinci-fallback.db"),
        description="the file in which units of work wait while the warehouse is away",
    )
    databricks_fallback_reads: Annotated[
        Literal["mirrored", "always", "never"], Variable("DATABRICKS_FALLBACK_READS")
    ] = Field(
        default="mirrored",
        description="what is read while the warehouse is away: mirrored tables, always everything "
        "that is here, never anything",
    )
    database_url: Annotated[str, Variable("DATABASE_URL")] = Field(
        default="sqlite:///vinci.db", description="the SQLite file that is used without Databricks"
    )
    database_echo: Annotated[bool, Variable("DATABASE_ECHO")] = Field(
        default=False, description="true logs every SQL statement, without its parameters"
    )
    alembic_config: Annotated[Path | None, Variable("VINCI_ALEMBIC_CONFIG")] = Field(
        default=None, description="the alembic.ini that `vinci db` drives, and not its own tables"
    )

    _provenance: dict[str, str] = PrivateAttr(default_factory=dict)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - replaced by ours
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - not used
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Put one source in place of pydantic's: it keeps name, place and alias of each value."""
        # pydantic-settings would read the file itself, without its lines, if it knew of it.
        given = (
            dotenv_settings.env_file if isinstance(dotenv_settings, DotEnvSettingsSource) else None
        )
        path = given if isinstance(given, (str, Path)) else _ENV_FILE
        return init_settings, _EnvironmentSource(settings_cls, Path(path))

    @model_validator(mode="wrap")
    @classmethod
    def _check_everything(
        cls,
        raw: dict[str, Any] | DatabaseSettings,
        build: ModelWrapValidatorHandler[DatabaseSettings],
    ) -> DatabaseSettings:
        if isinstance(raw, DatabaseSettings):
            return raw  # part of a Settings object, and checked when it was made
        # Arguments are plain text, and a problem of others would show this frame's locals.
        raw = {name: _hidden(name, value) for name, value in raw.items()}
        collected = _collect(cls.variables(), raw)
        if collected.problems:
            raise ConfigurationError(collected.problems)
        settings = build(collected.values)
        settings._provenance = collected.sources
        return settings

    @classmethod
    def variables(cls) -> dict[str, Variable]:
        """The environment variable of each setting, by the setting's name."""
        found = {}
        for name, info in cls.model_fields.items():
            found[name] = next(mark for mark in info.metadata if isinstance(mark, Variable))
        return found

    @property
    def provenance(self) -> Mapping[str, str]:
        """Where each setting came from: ``DATABRICKS_HOST (environment)``, or ``default``."""
        return {name: self._provenance.get(name, "default") for name in self.variables()}

    @property
    def host(self) -> str | None:
        """The workspace's host name without a port."""
        if self.databricks_server_hostname is None:
            return None
        return normalise.host_and_port(self.databricks_server_hostname)[0]

    @property
    def port(self) -> int:
        """The port: 443, or another one on this machine's own addresses."""
        if self.databricks_server_hostname is None:
            return normalise.HTTPS_PORT
        return normalise.host_and_port(self.databricks_server_hostname)[1]

    @property
    def auth_method(self) -> AuthMethod | None:
        """How to authenticate; ``None`` where no credentials are set."""
        if self.databricks_access_token is not None:
            return "token"
        if self.databricks_profile is not None:
            return "profile"
        return "oauth_m2m" if self.databricks_client_secret is not None else None

    def describe(self) -> list[SettingView]:
        """Every setting as it may be shown to people: value without secret, source, meaning."""
        provenance = self.provenance
        return [
            SettingView(
                variable=variable.name,
                alias=variable.alias,
                value=_shown(getattr(self, name)),
                source=provenance[name],
                description=type(self).model_fields[name].description or "",
            )
            for name, variable in self.variables().items()
        ]


class SettingView(BaseModel):
    """One setting as it may be shown to people; ``value`` never holds a secret."""

    model_config = ConfigDict(frozen=True)

    variable: str
    alias: str | None
    value: str | None
    source: str
    description: str


class Settings(BaseModel):
    """All settings of the application; frozen, built once by :func:`get_settings`."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    database: DatabaseSettings = Field(default_factory=DatabaseSettings)


_lock = threading.RLock()
_settings: Settings | None = None


def _renew_lock() -> None:
    """A forked child must not wait for a thread that only its parent has."""
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def get_settings() -> Settings:
    """Return the settings, reading the environment at the first call.

    Raises:
        ConfigurationError: Anything is wrong. The next call reads the environment again.
    """
    global _settings
    with _lock:
        if _settings is None:
            made = Settings()
            # A finaliser in this thread may have asked for them meanwhile.
            if _settings is None:
                _settings = made
        return _settings


def reload_settings() -> Settings:
    """Forget the settings and read the environment again: for tests, and after a change.

    An engine that was built from the old settings is replaced at its next use.

    Raises:
        ConfigurationError: Anything is wrong; the old settings are forgotten all the same.
    """
    forget_settings()
    return get_settings()


def forget_settings() -> None:
    """Forget the settings; the next ``get_settings()`` reads the environment again."""
    global _settings
    with _lock:
        _settings = None


class _EnvironmentSource(PydanticBaseSettingsSource):
    """Hands over every reading of every setting; which of them counts is decided in validation."""

    # No names of settings: they carry along the file's own problems, and the names that are nearly
    # those of settings, by setting.
    KEY: ClassVar[str] = "(.env)"
    MISSPELT: ClassVar[str] = "(misspelt)"

    def __init__(self, settings_cls: type[BaseSettings], env_file: Path) -> None:
        super().__init__(settings_cls)
        self._path = env_file

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        raise KeyError(field_name)  # pydantic-settings asks this only of its own sources

    def __call__(self) -> dict[str, Any]:
        env_file = read_env_file(self._path)
        variables = DatabaseSettings.variables()
        names = {variable: name for name, variable in variables.items()}
        misspelt: dict[str, list[Misspelling]] = {}
        for variable, misspelling in misspellings_of(names, env_file):
            misspelt.setdefault(names[variable], []).append(misspelling)
        values: dict[str, Any] = {self.KEY: env_file, self.MISSPELT: misspelt}
        secrets: list[Reading] = []
        for name, variable in variables.items():
            readings = readings_of(variable, env_file)
            if readings:
                values[name] = readings
            if variable.secret:
                secrets += readings
        warn_if_exposed_to_others(self._path, secrets)
        return values


def _collect(variables: Mapping[str, Variable], raw: Mapping[str, Any]) -> Collected:
    env_file = raw.get(_EnvironmentSource.KEY, EnvFile({}))
    collected = Collected(problems=list(env_file.problems))
    readings = {
        name: _as_readings(name, raw[name]) for name in variables if raw.get(name) is not None
    }
    # Before anything is parsed: a secret that was also pasted into another variable must not be
    # repeated in the problem that it causes there.
    for name, found in readings.items():
        if variables[name].secret:
            for reading in found:
                register_secret(normalise.unwrap(reading.value))
    for name in raw:
        if name not in (*variables, _EnvironmentSource.KEY, _EnvironmentSource.MISSPELT):
            collected.refuse(name, "an argument of this name", "the settings", f"remove {name}")
    _parse("use_databricks", variables, readings, collected)
    _refuse_misspelt(raw.get(_EnvironmentSource.MISSPELT, {}), collected)
    for name in variables:
        if name == "use_databricks":
            continue
        if _matters(name, collected):
            _parse(name, variables, readings, collected)
        else:
            # Kept if it is in order, so that it can be shown; no problem of its own otherwise.
            unused = Collected()
            _parse(name, variables, readings, unused)
            collected.values.update(unused.values)
            collected.sources.update(dict.fromkeys(unused.values, unused.sources.get(name, "")))
    if collected.values.get("use_databricks"):
        strict.check(collected)
    return collected


def _refuse_misspelt(misspelt: Mapping[str, Sequence[Misspelling]], collected: Collected) -> None:
    for name, found in misspelt.items():
        for misspelling in found if _matters(name, collected) else ():
            collected.refuse(
                misspelling.source,
                "a name that letter case or hyphens make another than the one that is read",
                misspelling.right,
                f"write {misspelling.right}, in capital letters and with underscores",
            )


def _parse(
    name: str,
    variables: Mapping[str, Variable],
    readings: Mapping[str, list[Reading]],
    into: Collected,
) -> None:
    if name in readings:
        validation.collect(name, variables[name], readings[name], _PARSERS[name], into)


def _matters(name: str, collected: Collected) -> bool:
    """Whether a mistake in a setting is one for the database that was chosen.

    A laptop may carry variables of Databricks for other tools, and a platform sets DATABASE_URL for
    whatever it runs: neither is to keep the application from starting on the other database.
    """
    if not name.startswith("databricks_") and name != "database_url":
        return True
    if "use_databricks" in collected.sources and "use_databricks" not in collected.values:
        return True
    return bool(collected.values.get("use_databricks")) == name.startswith("databricks_")


def _hidden(name: str, value: Any) -> Any:
    if value is None or isinstance(value, EnvFile) or name == _EnvironmentSource.MISSPELT:
        return value
    return _as_readings(name, value)


def _as_readings(name: str, value: Any) -> list[Reading]:
    if isinstance(value, list) and all(isinstance(item, Reading) for item in value):
        return value
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    return [Reading(str(value), name, "argument")]


def _parse_secret(raw: str) -> Secret:
    # At once: a problem elsewhere ends in a traceback whose frames hold what was parsed so far.
    return Secret(validation.parse_secret(raw))


def _shown(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, SecretStr):
        return MASK
    if isinstance(value, bool):
        return str(value).lower()
    return redact(str(value))


_PARSERS: dict[str, Callable[[str], Any]] = {
    "use_databricks": validation.parse_switch,
    "databricks_server_hostname": validation.parse_host,
    "databricks_http_path": validation.parse_http_path,
    "databricks_access_token": _parse_secret,
    "databricks_profile": validation.parse_profile,
    "databricks_config_file": validation.parse_path,
    "databricks_client_id": validation.parse_client_id,
    "databricks_client_secret": _parse_secret,
    "databricks_catalog": validation.parse_object_name,
    "databricks_schema": validation.parse_object_name,
    "databricks_volume": validation.parse_volume,
    "databricks_transactions": validation.parse_choice("auto", "on", "off"),
    "databricks_atomicity": validation.parse_choice("unit", "per_table"),
    "databricks_keys": validation.parse_choice("time_ordered", "blocks"),
    "databricks_hide_keys": validation.parse_switch,
    "databricks_slow_statement": validation.parse_seconds,
    "databricks_ca_file": validation.parse_ca_file,
    "databricks_fallback": validation.parse_choice("off", "sqlite"),
    "databricks_fallback_file": validation.parse_path,
    "databricks_fallback_reads": validation.parse_choice("mirrored", "always", "never"),
    "database_url": validation.parse_sqlite_url,
    "database_echo": validation.parse_switch,
    "alembic_config": validation.parse_path,
}
