"""What is typed at the command line, or pasted there by mistake, is masked where it is repeated."""

from __future__ import annotations

import pytest

from tests.cli.process import environment, vinci
from tests.full import some
from vinci_code.core.redaction import MASK

PASTED = "dapi" + "0f1e2d3c" * 4
OF_NO_SHAPE = "Vc9kZ+7qT~patLw3=Rx5_Nf8-Hy2"


@pytest.mark.parametrize(
    "arguments",
    [
        ["{}"],
        ["--{}"],
        ["events", "{}"],
        ["events", "list", "{}"],
        ["events", "list", "--limit", "{}"],
        ["events", "list", "--{}"],
        ["events", "list", "--{}=1"],
        ["db", "upgrade", "{}", "{}"],
        ["events", "import", "--form", "{}", "file"],
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("secret", some([PASTED, OF_NO_SHAPE], few=[OF_NO_SHAPE]))
def test_a_usage_error_repeats_no_secret(arguments: list[str], secret: str) -> None:
    # The settings are incomplete, and the token is known from them all the same.
    env = environment(USE_DATABRICKS="true", DATABRICKS_TOKEN=OF_NO_SHAPE)
    found = vinci(*(argument.format(secret) for argument in arguments), env=env)
    assert found.code == 2
    assert found.err.startswith("Usage: ")
    assert secret not in found.out + found.err


def test_a_usage_error_still_says_what_was_wrong() -> None:
    found = vinci("events", "lisst")
    assert "No such command 'lisst'. Did you mean 'list'?" in found.err
    found = vinci("events", "list", PASTED)
    assert f"Got unexpected extra argument(s) ({MASK})" in found.err
