"""What SQLAlchemy's suite has to be told about a warehouse."""

from __future__ import annotations

import os
from typing import Any

from sqlalchemy.testing import provision


def update_db_opts(db_url: Any, db_opts: dict[str, Any], options: Any) -> None:
    """Trust the local warehouse's certificate, and give the token.

    The suite makes engines of the URL of another engine, which keeps no token.
    """
    if os.environ["COMPLIANCE_DIALECT"] == "ours":
        db_opts["connect_args"] = {
            "_tls_trusted_ca_file": os.environ["COMPLIANCE_CA_FILE"],
            "access_token": os.environ["COMPLIANCE_TOKEN"],
        }
        if os.environ["COMPLIANCE_TRANSACTIONS"] == "off":
            db_opts["atomicity"] = "per_table"


def temp_table_keyword_args(cfg: Any, eng: Any) -> dict[str, Any]:
    """How a table is made temporary."""
    return {"prefixes": ["TEMPORARY"]}


def set_default_schema_on_connection(cfg: Any, dbapi_connection: Any, schema_name: str) -> None:
    """Switch the schema of a session."""
    cursor = dbapi_connection.cursor()
    cursor.execute(f"USE SCHEMA `{schema_name}`")
    cursor.close()


_hooks: Any = provision
for _hook in (update_db_opts, temp_table_keyword_args, set_default_schema_on_connection):
    getattr(_hooks, _hook.__name__).for_db("databricks")(_hook)
