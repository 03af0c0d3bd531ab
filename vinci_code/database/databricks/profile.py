"""Read a profile of ``~/.databrickscfg`` with the vendor's code, apart from the environment.

``databricks-sdk`` reads the file and knows how each kind of profile authenticates. Two things about
it are changed. It would let variables such as ``DATABRICKS_TOKEN``, ``ARM_CLIENT_SECRET`` or
``DATABRICKS_HOST`` win over the profile that was named (constructor > environment > file, in
``Config.__init__`` of ``databricks/sdk/config.py``), so that a token lying about in a shell is sent
in place of the profile's; the environment is not read here. And it contacts the host while the
object is built; here that waits until headers are asked for, and is bounded.
"""

from __future__ import annotations

import codecs
import configparser
import functools
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vinci_code.core.config import DatabaseSettings
from vinci_code.core.config.normalise import (
    NotUsableError,
    normalise_host,
    normalise_http_path,
    warehouse_id_of,
)
from vinci_code.core.config.placeholders import placeholder_reason
from vinci_code.core.errors import ConfigurationError, ConfigurationProblem
from vinci_code.core.files import warn_if_exposed
from vinci_code.core.redaction import Secret, redact, redact_exception, register_secret
from vinci_code.database.databricks.auth import (
    CREDENTIALS_TIMEOUT,
    CredentialsProvider,
    HeaderFactory,
    OAuthTokens,
    token_credentials,
)
from vinci_code.database.databricks.failures import ExplainedError, Failure, Kind, Target
from vinci_code.database.deadlines import run_with_deadline
from vinci_code.database.dialect.forking import renew_lock_in_child

if TYPE_CHECKING:
    from databricks.sdk.config import Config, ConfigAttribute

_HTTP_TIMEOUT = 10
_RETRY_BUDGET = 1
_DEFAULT_FILE = "~/.databrickscfg"
_QUOTES = {
    '"': '"',
    "'": "'",
    "`": "`",
    "\N{LEFT DOUBLE QUOTATION MARK}": "\N{RIGHT DOUBLE QUOTATION MARK}",
}
_BROWSER = "external-browser"
# Those of the SDK's credentials_provider.py that neither listen on a port nor open a browser.
KINDS = (
    "pat",
    "oauth-m2m",
    "databricks-cli",
    "azure-cli",
    "azure-client-secret",
    "azure-devops-oidc",
    "basic",
    "env-oidc",
    "file-oidc",
    "github-oidc",
    "github-oidc-azure",
    "google-credentials",
    "google-id",
    "metadata-service",
    "model-serving",
    "runtime",
    "runtime-oauth",
)
# What the SDK counts as sensitive, and what is rightly the name of a file, a document or a URL.
_NAMES_A_PLACE = frozenset({"google_credentials", "metadata_service_url"})
_DISCOVERY = "/oidc/.well-known/oauth-authorization-server"


def resolve_profile(
    settings: DatabaseSettings,
) -> tuple[str, Callable[[Target], CredentialsProvider]]:
    """Read the profile that the settings name; nothing is contacted.

    Returns:
        The profile in the words of a message, and a function that makes credentials of it.

    Raises:
        ConfigurationError: The file or the profile is not there, is not real, contradicts the
            settings, or would open a browser.
    """
    profile = _Profile(settings)
    config = profile.load()
    problems = profile.problems(config)
    if problems:
        del config  # which holds the token, where a report of locals would show it
        raise ConfigurationError(problems)
    if not config.host:
        config.host = f"https://{settings.databricks_server_hostname}"
    return f"the profile {profile.name!r}", functools.partial(_credentials, config)


class _Profile:
    """One profile, and what is wrong with it."""

    def __init__(self, settings: DatabaseSettings) -> None:
        self._settings = settings
        self.name = settings.databricks_profile or "DEFAULT"
        self.file = Path(settings.databricks_config_file or _DEFAULT_FILE).expanduser()

    def load(self) -> Config:
        self._require_readable()
        quoted = [self._quoted(key) for key, value in self._section().items() if _in_quotes(value)]
        if quoted:
            raise ConfigurationError(quoted)
        config, found = self._read()
        if config is None:
            raise ConfigurationError(
                [self._problem(found, "a profile of this name with one way to authenticate")]
            )
        held = []
        for attribute in config.attributes():
            value = config.as_dict().get(attribute.name)
            if attribute.sensitive and isinstance(value, str) and value:
                if not (attribute.name in _NAMES_A_PLACE and Path(value).is_file()):
                    register_secret(value)
                held.append(attribute.name)
        warn_if_exposed(self.file, ", ".join(sorted(held)))
        return config

    def problems(self, config: Config) -> list[ConfigurationProblem]:
        return [
            *self.secrets_not_real(config),
            *self.other_kind(config),
            *self.other_host(config),
            *self.other_warehouse(config),
        ]

    def secrets_not_real(self, config: Config) -> list[ConfigurationProblem]:
        problems = []
        for attribute in config.attributes():
            value = config.as_dict().get(attribute.name)
            if attribute.sensitive and isinstance(value, str):
                is_place = attribute.name in _NAMES_A_PLACE
                reason = placeholder_reason(value.strip(), "name" if is_place else "secret")
                if reason is not None:
                    problems.append(self._problem(reason, "a real value", key=attribute.name))
        return problems

    def other_kind(self, config: Config) -> list[ConfigurationProblem]:
        kind = config.auth_type or ""
        if not kind or kind in KINDS:
            return []
        what = "opens a browser and a listening socket" if kind == _BROWSER else "is not known here"
        return [
            ConfigurationProblem(
                variable=self._place("auth_type"),
                found=redact(f"{kind}, which {what}"),
                accepted=f"a kind that needs no browser: {', '.join(KINDS)}",
                fix=f"run 'databricks auth login --profile {self.name}', which stores "
                "auth_type = databricks-cli, or create a token",
            )
        ]

    def other_host(self, config: Config) -> list[ConfigurationProblem]:
        if not config.host:
            return []
        given = self._settings.databricks_server_hostname
        try:
            host = normalise_host(config.host)
        except NotUsableError as error:
            return [self._problem(str(error), "the workspace's host name", key="host")]
        reason = placeholder_reason(host, "host")
        if reason is not None:
            return [self._problem(reason, "the workspace's host name", key="host")]
        if host == given:
            return []
        # Sending the profile's credentials to another host is never what is meant.
        return [
            ConfigurationProblem(
                variable=f"{self._source('databricks_server_hostname')} and {self._place('host')}",
                found=f"{given} and {host}",
                accepted="the same workspace in both",
                fix=f"set {self._variable('databricks_server_hostname')}={host}, or name the "
                f"profile of {given} in {self._variable('databricks_profile')}",
            )
        ]

    def other_warehouse(self, config: Config) -> list[ConfigurationProblem]:
        found = config.as_dict().get("warehouse_id")
        if not found or placeholder_reason(found, "id") is not None:
            return []
        given = warehouse_id_of(self._settings.databricks_http_path or "")
        given_as = self._variable("databricks_http_path")
        try:
            other = warehouse_id_of(normalise_http_path(found))
        except NotUsableError:
            return []  # it is not used
        if other == given:
            return []
        return [
            ConfigurationProblem(
                variable=f"{self._source('databricks_http_path')} and "
                f"{self._place('warehouse_id')}",
                found=f"{given} and {other}",
                accepted=f"the same warehouse in both, or in {given_as} only",
                fix=f"set {given_as}=/sql/1.0/warehouses/{other}, or take "
                "warehouse_id out of the profile",
            )
        ]

    def _require_readable(self) -> None:
        """Tell what the SDK would pass over in silence, or take for a file without profiles."""
        found = self._what_is_there()
        if found is not None:
            what, fix = found
            raise ConfigurationError(
                [self._problem(what, "a text file in UTF-8 with this profile", fix=fix)]
            )

    def _what_is_there(self) -> tuple[str, str] | None:
        """What stands in the place of a file that can be read, and what to do about it."""
        elsewhere = "name the file with the profiles in DATABRICKS_CONFIG_FILE"
        if self.file.is_dir():
            return "a folder", elsewhere
        if not self.file.exists():
            return (
                "no such file",
                f"make {self.file} with the section [{self.name}], or {elsewhere}",
            )
        if not self.file.is_file():
            return "neither a file nor a folder", elsewhere
        try:
            begins = self.file.read_bytes()[:3]
        except OSError as error:
            fix = f"make it readable for you: chmod 600 {self.file}"
            return f"a file that cannot be read ({error.strerror})", fix
        if begins[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            return "a file in UTF-16", f"save {self.file} as UTF-8"
        if begins == codecs.BOM_UTF8:
            return (
                "a file that begins with a byte order mark, which the SDK takes for text",
                f"save {self.file} as UTF-8 without a byte order mark",
            )
        return None

    def _section(self) -> Mapping[str, str]:
        """What stands in the section, as it stands there; nothing where the SDK will say why."""
        ini = configparser.RawConfigParser(default_section="")
        try:
            ini.read(self.file)
        except (configparser.Error, UnicodeDecodeError):
            return {}
        return dict(ini[self.name]) if ini.has_section(self.name) else {}

    def _quoted(self, key: str) -> ConfigurationProblem:
        return self._problem(
            "a value in quotes, which are part of the value in this file",
            "the value alone, without quotes",
            key=key,
            fix=f"take the quotes off {key} in the section [{self.name}] of {self.file}",
        )

    def _read(self) -> tuple[Config | None, str]:
        """The profile, or what was found instead of one.

        No error is passed on: configparser quotes the line that it cannot read, which may hold a
        token that nobody knows yet.
        """
        try:
            config = _profile_config_class()(
                profile=self.name,
                config_file=str(self.file),
                http_timeout_seconds=_HTTP_TIMEOUT,
                retry_timeout_seconds=_RETRY_BUDGET,
                disable_async_token_refresh=True,
                credentials_strategy=_later(),
            )
        except (configparser.Error, UnicodeDecodeError) as error:
            return None, f"a file that is not in INI form ({type(error).__name__})"
        except ValueError as error:
            return None, redact(str(error).partition(". Config:")[0])
        return config, ""

    def _problem(
        self, found: str, accepted: str, *, key: str | None = None, fix: str | None = None
    ) -> ConfigurationProblem:
        return ConfigurationProblem(
            variable=self._place(key),
            found=found,
            accepted=accepted,
            fix=fix
            or f"correct the section [{self.name}] of {self.file}, or name another profile in "
            f"{self._variable('databricks_profile')}",
        )

    def _place(self, key: str | None) -> str:
        named = "" if key is None else f", {key}"
        return f"profile {self.name!r} of {self.file}{named}"

    def _source(self, name: str) -> str:
        return self._settings.provenance[name]

    def _variable(self, name: str) -> str:
        """The name by which a setting was given: beside it, the other would contradict it."""
        variable = self._settings.variables()[name]
        given = self._source(name).partition(" (")[0]
        return given if given in variable.names else variable.name


def _in_quotes(value: str) -> bool:
    return len(value) > 1 and _QUOTES.get(value[0]) == value[-1]


def _credentials(config: Config, target: Target) -> CredentialsProvider:
    """CredentialsProvider of the kind that the profile is of."""
    if config.token and config.auth_type in ("", "pat"):
        return token_credentials(Secret(config.token), target.auth)
    if config.client_id and config.client_secret and config.auth_type in ("", "oauth-m2m"):
        scopes = config.get_scopes_as_string()
        tokens = OAuthTokens(target, config.client_id, Secret(config.client_secret), scopes)
        return CredentialsProvider("oauth-m2m", target.auth, tokens.headers, tokens.forget)
    return CredentialsProvider("profile", target.auth, _UnifiedAuth(config, target).headers)


class _UnifiedAuth:
    """The SDK's chain of ways to authenticate, asked at the first request and within a deadline."""

    def __init__(self, config: Config, target: Target) -> None:
        self._config = config
        self._target = target
        self._lock = threading.RLock()
        renew_lock_in_child(self)
        self._factory: HeaderFactory | None = None

    def headers(self) -> dict[str, str]:
        with self._lock:
            return run_with_deadline(
                self._fetch, CREDENTIALS_TIMEOUT, f"authenticating with {self._target.auth}"
            )

    def _fetch(self) -> dict[str, str]:
        try:
            if self._factory is None:
                self._factory = self._choose()
            return dict(self._factory())
        except Exception as error:  # noqa: BLE001 - each of over 15 kinds raises errors of its own
            said = str(error).strip().partition("\n")[0]
            raise ExplainedError(
                Failure(
                    Kind.AUTHENTICATION,
                    redact(f"{self._target.auth} gave no credentials for {self._target}: {said}"),
                    f"run 'databricks auth login --profile {self._config.profile}' or correct the "
                    "profile; where a proxy inspects TLS, the SDK also needs REQUESTS_CA_BUNDLE",
                )
            ) from redact_exception(error)

    def _choose(self) -> HeaderFactory:
        from databricks.sdk.credentials_provider import DefaultCredentials

        self._config.discover()  # type: ignore[attr-defined] # defined in _profile_config_class
        factory: HeaderFactory = DefaultCredentials()(self._config)
        return factory


@functools.cache
def _profile_config_class() -> type[Config]:
    """The SDK's configuration without the environment, and silent until it is asked to discover.

    Defined inside a function because its base class takes a second to import.
    """
    from databricks.sdk.config import Config

    class ProfileConfig(Config):
        @classmethod
        def attributes(cls) -> Iterable[ConfigAttribute]:
            """Those of the base class: it looks for them in the class it is called on alone."""
            return Config.attributes()

        def _load_from_env(self) -> None:
            """Read nothing: the profile was named, and is all that counts."""

        def _resolve_host_metadata(self) -> None:
            """Contact nobody while the object is built."""

        def discover(self) -> None:
            """Ask the host what the kinds that use OAuth have to know about it."""
            resolve = getattr(super(), "_resolve_host_metadata", None)
            if resolve is not None:  # older releases of the SDK know no such request
                resolve()
            if not self.discovery_url:
                self.discovery_url = f"{self.host}{_DISCOVERY}"

    if not hasattr(Config, "_load_from_env"):
        raise ConfigurationError([_unknown_sdk()])
    return ProfileConfig


def _later() -> Any:
    """A strategy that finds no credentials yet: the profile is only read, and validated."""
    from databricks.sdk.credentials_provider import CredentialsStrategy

    class Later(CredentialsStrategy):
        def __init__(self) -> None:
            self._auth_type = ""

        def auth_type(self) -> str:
            return self._auth_type

        def __call__(self, cfg: Config) -> HeaderFactory:
            # The configuration takes over what auth_type() says: it is to stay what it was.
            self._auth_type = cfg.auth_type or ""
            return dict

    return Later()


def _unknown_sdk() -> ConfigurationProblem:
    from databricks.sdk.version import __version__

    return ConfigurationProblem(
        variable="DATABRICKS_PROFILE",
        found=f"databricks-sdk {__version__}, whose way of reading the environment is not known: "
        "it could not be kept from overriding the profile",
        accepted="databricks-sdk 0.156 or one like it",
        fix="python -m pip install 'databricks-sdk==0.156.*'",
    )
