"""From settings to the address of a warehouse and the credentials for it.

Exactly one way to authenticate is taken: a personal access token, OAuth with a service principal's
client id and secret, or a profile of ``~/.databrickscfg``.
"""

from __future__ import annotations

from dataclasses import dataclass

from vinci_code.core.config import DatabaseSettings
from vinci_code.core.config.normalise import host_and_port
from vinci_code.database.databricks.auth import CredentialsProvider, OAuthTokens, token_credentials
from vinci_code.database.databricks.failures import Target


@dataclass(frozen=True)
class Access:
    """Where a warehouse is, and how to get in."""

    target: Target
    credentials: CredentialsProvider


def resolve_access(settings: DatabaseSettings) -> Access:
    """Find address and credentials in the settings and, where one is named, in a profile.

    Nothing is contacted.

    Args:
        settings: With Databricks switched on: then they have host, path and one way to
            authenticate (``core.config.strict``).

    Raises:
        ConfigurationError: The profile is missing, contradictory or not real.
    """
    if settings.auth_method == "profile":
        # Imported here: only a profile needs it, and it brings in the SDK.
        from vinci_code.database.databricks.profile import resolve_profile

        description, credentials_for = resolve_profile(settings)
        target = _target(settings, description)
        return Access(target, credentials_for(target))
    if settings.databricks_access_token is not None:
        target = _target(settings, "the personal access token")
        return Access(target, token_credentials(settings.databricks_access_token, target.auth))
    assert settings.databricks_client_id is not None  # noqa: S101 - strict mode has seen to it
    assert settings.databricks_client_secret is not None  # noqa: S101 - the same
    target = _target(settings, "the OAuth client id and secret")
    source = OAuthTokens(target, settings.databricks_client_id, settings.databricks_client_secret)
    return Access(
        target, CredentialsProvider("oauth-m2m", target.auth, source.headers, source.forget)
    )


def _target(settings: DatabaseSettings, auth: str) -> Target:
    assert settings.databricks_server_hostname is not None  # noqa: S101 - strict mode has seen to it
    assert settings.databricks_http_path is not None  # noqa: S101 - the same
    name, port = host_and_port(settings.databricks_server_hostname)
    return Target(name, port, settings.databricks_http_path, auth, settings.databricks_ca_file)
