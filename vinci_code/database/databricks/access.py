"""From settings to the address of a warehouse and the credentials for it.

Exactly one way to authenticate is taken: a personal access token, OAuth with a service principal's
client id and secret, or a profile of ``~/.databrickscfg``.
"""

from __future__ import annotations

from dataclasses import dataclass

from vinci_code.core.config import DatabaseSettings
from vinci_code.core.config.normalise import host_and_port
from vinci_code.core.errors import ConfigurationError, ConfigurationProblem
from vinci_code.database.databricks.auth import CredentialsProvider, OAuthTokens, token_credentials
from vinci_code.database.databricks.failures import Target


@dataclass(frozen=True)
class Access:
    """Where a warehouse is, and how to get in.

    Attributes:
        target: The address.
        credentials: What the requests are signed with.
    """

    target: Target
    credentials: CredentialsProvider


def resolve_access(settings: DatabaseSettings) -> Access:
    """Find address and credentials in the settings and, where one is named, in a profile.

    Nothing is contacted. A profile that is named supplies the host and the warehouse id where the
    settings give none.

    Raises:
        ConfigurationError: Something is missing, contradictory or not real.
    """
    if settings.auth_method == "profile":
        # Imported here: only a profile needs it, and it brings in the SDK.
        from vinci_code.database.databricks.profile import resolve_profile

        address, credentials_for = resolve_profile(settings)
        target = _target(settings, address.host, address.http_path, address.description)
        return Access(target, credentials_for(target))
    _require_address(settings)
    host, path = settings.databricks_server_hostname, settings.databricks_http_path
    if settings.auth_method == "token" and settings.databricks_access_token is not None:
        target = _target(settings, host, path, "the personal access token")
        return Access(target, token_credentials(settings.databricks_access_token, target.auth))
    if settings.databricks_client_id is not None and settings.databricks_client_secret is not None:
        target = _target(settings, host, path, "the OAuth client id and secret")
        source = OAuthTokens(
            target, settings.databricks_client_id, settings.databricks_client_secret
        )
        return Access(
            target, CredentialsProvider("oauth-m2m", target.auth, source.headers, source.forget)
        )
    raise ConfigurationError(
        [
            ConfigurationProblem(
                variable="DATABRICKS_ACCESS_TOKEN, DATABRICKS_PROFILE or DATABRICKS_CLIENT_ID",
                found="no credentials",
                accepted="exactly one way to authenticate",
                fix="create a token in the workspace (Settings > Developer > Access tokens) and "
                "set DATABRICKS_ACCESS_TOKEN",
            )
        ]
    )


def _require_address(settings: DatabaseSettings) -> None:
    wanted = {
        "DATABRICKS_SERVER_HOSTNAME": (
            settings.databricks_server_hostname,
            "the workspace's host name, such as dbc-a1b2c3d4-e5f6.cloud.databricks.com",
        ),
        "DATABRICKS_HTTP_PATH": (settings.databricks_http_path, "/sql/1.0/warehouses/<id>"),
    }
    missing = [
        ConfigurationProblem(
            variable=name,
            found="nothing",
            accepted=accepted,
            fix="copy it from SQL Warehouses > your warehouse > Connection details",
        )
        for name, (value, accepted) in wanted.items()
        if value is None
    ]
    if missing:
        raise ConfigurationError(missing)


def _target(
    settings: DatabaseSettings, host: str | None, http_path: str | None, auth: str
) -> Target:
    assert host is not None  # noqa: S101 - both callers have refused its absence
    assert http_path is not None  # noqa: S101 - the same
    name, port = host_and_port(host)
    return Target(name, port, http_path, auth, settings.databricks_ca_file)
