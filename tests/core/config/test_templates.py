"""What people leave standing of a template is refused; what cannot be told apart is listed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from vinci_code.core.config import ConfigurationError, DatabaseSettings

REAL = {
    "databricks_server_hostname": "dbc-a1b2c3d4-e5f6.cloud.databricks.com",
    "databricks_http_path": "1a2b3c4d5e6f7a8b",
    "databricks_client_id": "6a2f9d0c-1b2c-4d5e-8f60-718293a4b5c6",
    "databricks_client_secret": "dose" + "0f1e2d3c4b5a6978" * 2,
}
STANDS_FOR = {
    "secret": "databricks_client_secret",
    "host": "databricks_server_hostname",
    "path": "databricks_http_path",
    "client id": "databricks_client_id",
}
LINES = [
    tuple(line.split("\t", 1))
    for line in Path(__file__).with_name("placeholders.txt").read_text("utf-8").splitlines()
    if not line.startswith("#")
]

# Why each of these cannot be told apart from a real one.
ACCEPTED = {
    "DrhYf7zENyR6AlUCKmnz0eYASOQdl6zxH7s7MKFSfFCt": "random letters and digits",
    "16f8c0ef4a5d391b26034086c628469d3f9f497f08163ab9b40137092f2909ef": "random digits",
    "abc123SECRET": "digits amid letters of both cases, as in a short random secret",
    "dpd-token": "its first part is no word, and may be random",
    "cm9vdA==": "base64, of a word that only decoding shows",
    "cGFzc3dvcmQ=": "base64, of a word that only decoding shows",
    "https://test.databricks.com": "one ordinary word, which a company may have chosen",
    "https://prod.cloud.databricks.com": "one ordinary word, which a company may have chosen",
    "/sql/1.0/warehouses/abc123": "hexadecimal, as the ids of warehouses are",
    "test-path": "the name that a local warehouse may have",
}


@pytest.mark.parametrize(("stands_for", "text"), LINES)
def test_it_is_refused_and_named(stands_for: str, text: str) -> None:
    setting = STANDS_FOR[stands_for]
    assert _refused(setting, text) == ([] if text in ACCEPTED else [f"{setting} (argument)"])


def _refused(setting: str, text: str) -> list[str]:
    given: dict[str, Any] = {**REAL, setting: text}
    # pytest.raises would look for the "secret" in all frames, and find a word in their code.
    try:
        DatabaseSettings(use_databricks=True, **given)
    except ConfigurationError as error:
        return [problem.variable for problem in error.problems]
    return []


def test_few_of_many_are_accepted() -> None:
    assert len(LINES) >= 500
    assert set(ACCEPTED) <= {text for _, text in LINES}
    assert len(ACCEPTED) <= len(LINES) * 0.02
