"""What must be there before Databricks may be used, and what must not be there twice."""

from __future__ import annotations

from vinci_code.core.config.placeholders import is_uuid
from vinci_code.core.config.validation import ACCEPTED_HOST, ACCEPTED_PATH, Collected

_ONE_METHOD = (
    "exactly one of DATABRICKS_ACCESS_TOKEN, DATABRICKS_PROFILE, or DATABRICKS_CLIENT_ID with "
    "DATABRICKS_CLIENT_SECRET"
)


def check(collected: Collected) -> None:
    """Add what is missing or contradictory for Databricks to be used.

    What is there but wrong has been reported already, and is not reported as missing, too.
    """
    _require_address(collected)
    _require_one_method(collected)
    _require_id_and_secret_in_place(collected)
    _require_whole_units(collected)


def _require_address(collected: Collected) -> None:
    given = collected.sources
    if "databricks_server_hostname" not in given:
        collected.refuse(
            "DATABRICKS_SERVER_HOSTNAME",
            "nothing",
            ACCEPTED_HOST,
            "copy 'Server hostname' from the warehouse's page, tab 'Connection details'",
        )
    if "databricks_http_path" not in given:
        collected.refuse(
            "DATABRICKS_HTTP_PATH",
            "nothing",
            ACCEPTED_PATH,
            "copy 'HTTP path' from the warehouse's page, tab 'Connection details'",
        )
    host = collected.values.get("databricks_server_hostname")
    if host is not None and ":" in host and "databricks_ca_file" not in given:
        collected.refuse(
            "DATABRICKS_CA_FILE",
            "nothing, with a port of this machine as the host",
            "the file with the CA certificate of the local warehouse",
            "set DATABRICKS_CA_FILE to the file that the local warehouse names when it starts",
        )


def _require_one_method(collected: Collected) -> None:
    given = collected.sources
    methods: list[list[str]] = [
        [name] for name in ("databricks_access_token", "databricks_profile") if name in given
    ]
    oauth: list[str] = [
        name for name in ("databricks_client_id", "databricks_client_secret") if name in given
    ]
    if oauth:
        methods.append(oauth)
    if not methods:
        collected.refuse(
            "DATABRICKS_ACCESS_TOKEN, DATABRICKS_PROFILE or DATABRICKS_CLIENT_ID",
            "no credentials",
            _ONE_METHOD,
            "create a token in the workspace: Settings, Developer, Access tokens",
        )
    elif len(methods) > 1:
        collected.refuse(
            " and ".join(given[name] for method in methods for name in method),
            "more than one way to authenticate; none is preferred",
            _ONE_METHOD,
            "remove all but one of them",
        )
    if len(oauth) == 1:
        missing = "SECRET" if "databricks_client_id" in oauth else "ID"
        collected.refuse(
            f"DATABRICKS_CLIENT_{missing}",
            "nothing, while the other half of the pair is set",
            "DATABRICKS_CLIENT_ID and DATABRICKS_CLIENT_SECRET together",
            "set both, from the service principal's page, tab 'Secrets', or none",
        )


def _require_id_and_secret_in_place(collected: Collected) -> None:
    """Refuse a pair that was exchanged: the secret has the form of an id, and the id has not."""
    values, sources = collected.values, collected.sources
    client_id = values.get("databricks_client_id")
    secret = values.get("databricks_client_secret")
    if client_id is None or secret is None or is_uuid(client_id):
        return
    if is_uuid(secret.get_secret_value()):
        collected.refuse(
            f"{sources['databricks_client_id']} and {sources['databricks_client_secret']}",
            "a secret in the form of an application id, and an id in another form",
            "the application id (a UUID) in DATABRICKS_CLIENT_ID, the secret in "
            "DATABRICKS_CLIENT_SECRET",
            "exchange the two values",
        )


def _require_whole_units(collected: Collected) -> None:
    """Refuse the fallback for units of work that are written in parts.

    What was kept arrives as a whole or is parked as a whole; of a unit that is half on the
    warehouse, nobody could say what is still to be sent.
    """
    values, sources = collected.values, collected.sources
    if values.get("databricks_fallback") == "sqlite" and (
        values.get("databricks_atomicity") == "per_table"
    ):
        collected.refuse(
            f"{sources['databricks_fallback']} and {sources['databricks_atomicity']}",
            "the fallback together with commits that are written in parts",
            "DATABRICKS_FALLBACK=sqlite with DATABRICKS_ATOMICITY=unit",
            "set DATABRICKS_ATOMICITY=unit, or DATABRICKS_FALLBACK=off",
        )
