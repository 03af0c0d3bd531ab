"""Any configuration at all has a verdict, and shows no secret."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.full import some
from vinci_code.core.config import ConfigurationError, DatabaseSettings
from vinci_code.core.redaction import forget_secrets

HOST = "adb-1234567890123456.7.azuredatabricks.net"
PATH = "/sql/1.0/warehouses/0123456789abcdef"
TOKEN = "dapi" + "0123456789abcdef" * 2
SECRET = "dose" + "fedcba9876543210" * 2
CANARY = "Kp3-canary-Zq9w7e"
_VALUES = st.one_of(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40),
    st.sampled_from(
        [
            *(CANARY, TOKEN, SECRET, HOST, PATH, "true", "false", "on", "per_table", "<x>", "${A}"),
            *("localhost:8443", "0", "work", "sqlite:///x.db", f"{CANARY}.b"),
            *(f"https://token:{CANARY}@{HOST}/", f"postgresql://u:{CANARY}@h/d"),
            f"/sql/1.0/warehouses/{CANARY}!",
        ]
    ),
)
# `make test-long` has ten thousand.
EXAMPLES = int(os.environ.get("VINCI_EXAMPLES", some("2000", few="500")))

_NAMES = sorted(name for mark in DatabaseSettings.variables().values() for name in mark.names)


@pytest.mark.slow
@hypothesis_settings(max_examples=EXAMPLES)
@given(st.dictionaries(st.sampled_from(_NAMES), _VALUES), st.booleans())
def test_any_configuration_has_a_verdict_and_shows_no_secret(
    variables: dict[str, str], switched_on: bool
) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        # The canary is a secret of this process, wherever else it was pasted as well.
        variables = {**variables, "DATABRICKS_CLIENT_SECRET": CANARY}
        if switched_on:
            variables["USE_DATABRICKS"] = "true"
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        try:
            shown = _verdict()
        finally:
            forget_secrets()  # each example is a process of its own
        assert CANARY not in shown
        assert TOKEN not in shown
        assert SECRET not in shown


def _verdict() -> str:
    try:
        return repr(DatabaseSettings().describe())
    except ConfigurationError as error:
        return str(error) + repr(error) + repr(error.problems)
