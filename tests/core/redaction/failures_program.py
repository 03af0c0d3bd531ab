"""Failures of an application whose environment holds a secret, for reporters to report."""

from __future__ import annotations

import os
from collections.abc import Callable


def plain() -> None:
    """Fail without anything of ours, with the secret in a local and in the message."""
    given = os.environ["CANARY_SECRET"]
    raise ValueError(f"refused {given}")


def without_a_host() -> None:
    """Fail with the settings: there is a good token, and no host."""
    from vinci_code.core.config import get_settings

    get_settings()


def without_an_answer() -> None:
    """Fail to connect: nobody listens there."""
    from vinci_code.database.databricks_connector import DatabricksConnector

    with DatabricksConnector() as connector:
        connector.connect()


def without_an_answer_in_an_engine() -> None:
    """Fail to connect, by way of SQLAlchemy."""
    from vinci_code.database.databricks_connector import create_databricks_engine

    engine = create_databricks_engine()
    with engine.connect() as connection:
        connection.exec_driver_sql("SELECT 1")


def with_a_secret_in_the_text() -> None:
    """Fail in the application's own code, after the settings were read, with the secret."""
    from vinci_code.core.config import get_settings

    token = get_settings().database.databricks_access_token
    assert token is not None
    raise ValueError("refused " + token.get_secret_value())


FAILURES: dict[str, Callable[[], None]] = {
    "plain": plain,
    "no host": without_a_host,
    "no answer": without_an_answer,
    "no answer, engine": without_an_answer_in_an_engine,
    "in the text": with_a_secret_in_the_text,
}
