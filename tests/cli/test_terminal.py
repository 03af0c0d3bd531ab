"""What commands show in terminals of several widths: nothing is cut or broken that one copies."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cli.process import in_a_terminal, vinci
from tests.full import part

COLOUR = re.compile(r"\x1b\[[0-9;]*m")
# Longer than the widest of the terminals, with a blank in it, and not there.
FOLDER = Path("a folder", *["that-is-not-there"] * 8)
SHORT = Path("a folder", "not there")


def shown_lines(text: str) -> list[str]:
    return COLOUR.sub("", text).replace("\r", "").splitlines()


@part(3)
@pytest.mark.parametrize("folder", [FOLDER, SHORT], ids=["long", "short"])
@pytest.mark.parametrize("columns", [60, 80, 120])
def test_a_check_breaks_lines_between_words_alone(columns: int, folder: Path) -> None:
    path = Path.cwd() / folder / "vinci.db"
    command = f"mkdir -p '{path.parent}'"
    lines = shown_lines(
        in_a_terminal("check", columns=columns, env={"DATABASE_URL": f"sqlite:///{path}"})
    )
    assert any(command in line for line in lines), lines
    assert any(f"sqlite:///{path}" in line for line in lines), lines
    for line in lines:
        # A line is too long only where it is one piece that is too long.
        pieces = (command, str(path), str(path.parent))
        assert len(line) <= columns or any(piece in line for piece in pieces), line
    plain = vinci("check", env={"DATABASE_URL": f"sqlite:///{path}"})
    said = " ".join(word for line in lines for word in line.split())
    # The times differ from run to run.
    times = re.compile(r"\(\d+(\.\d)? m?s\)")
    assert times.sub("", said) == times.sub("", " ".join(plain.out.split()))


@part(2)
@pytest.mark.parametrize("columns", [60, 80, 120])
def test_settings_are_shown_whole(columns: int) -> None:
    url = f"sqlite:///{Path.cwd() / FOLDER / 'vinci.db'}"
    lines = shown_lines(in_a_terminal("config", "show", columns=columns, env={"DATABASE_URL": url}))
    assert any(url in line for line in lines), lines
    assert not any("…" in line for line in lines)
    for variable in ("USE_DATABRICKS", "DATABRICKS_SERVER_HOSTNAME", "DATABASE_URL"):
        assert any(line.split()[:1] == [variable] for line in lines), variable


def test_settings_are_a_table_where_there_is_room() -> None:
    lines = shown_lines(in_a_terminal("config", "show", columns=80))
    assert any(re.fullmatch(r"USE_DATABRICKS +false +default *", line) for line in lines), lines


@part(4)
@pytest.mark.parametrize(
    "command",
    [("check",), ("config", "show"), ("fallback", "status"), ("db", "status")],
    ids=" ".join,
)
@pytest.mark.parametrize("way", ["NO_COLOR", "dumb", "piped"])
def test_colours_are_for_terminals_that_have_them(command: tuple[str, ...], way: str) -> None:
    if way == "piped":
        text = vinci(*command, env={"TERM": "xterm-256color"}).out
    else:
        setting = {"NO_COLOR": "1"} if way == "NO_COLOR" else {"TERM": "dumb"}
        text = in_a_terminal(*command, env=setting)
    assert text.strip()
    assert "\x1b" not in text
