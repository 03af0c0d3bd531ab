"""What the documentation shows is run, and what it lists is complete."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from dotenv import dotenv_values
from typer.main import get_command
from typer.testing import CliRunner

from tests.full import part
from tests.patience import PATIENCE_S
from vinci_code import __version__
from vinci_code.cli.app import app
from vinci_code.core import errors
from vinci_code.core.config import DatabaseSettings
from vinci_code.warehouse.pytest_plugin import TestWarehouse

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / name
    for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "RELEASING.md")
]
PAGES += sorted((ROOT / "docs").rglob("*.md"))
# Files of one application and its commands, in order: test_your_own_app.py follows them.
FOLLOWED = frozenset({"your_own_app.md"})
VARIABLES = DatabaseSettings.variables()


@dataclass(frozen=True)
class Block:
    """A fenced block of a page; ``reason`` says why one is not run."""

    page: Path
    line: int
    language: str
    text: str
    reason: str | None

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"


def blocks() -> Iterator[Block]:
    fence = re.compile(
        r"(?:<!-- not run: (.+) -->\n)?^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL
    )
    for page in PAGES:
        text = page.read_text()
        for match in fence.finditer(text):
            line = text.count("\n", 0, match.start(2)) + 1
            yield Block(page, line, match[2], match[3], match[1])


BLOCKS = list(blocks())
RUN = [block for block in BLOCKS if block.reason is None and block.page.name not in FOLLOWED]


@pytest.fixture
def checkout() -> Path:
    """A folder with what a reader of the page has beside it."""
    shutil.copytree(ROOT / "examples", "examples")
    shutil.copytree(ROOT / "scripts", "scripts")
    shutil.copy(ROOT / ".env.example", ".env.example")
    return Path.cwd()


@part(2)
@pytest.mark.slow
@pytest.mark.parametrize("block", RUN, ids=str)
def test_block_runs(block: Block, checkout: Path) -> None:
    assert block.language in {"python", "bash"}, "a block is run, or says why not"
    if block.language == "python":
        command = [sys.executable, "-W", "error", "-c", block.text]
    else:
        command = ["bash", "-euo", "pipefail", "-c", block.text]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    run = subprocess.run(
        command,
        cwd=checkout,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout or block.language == "python"


@pytest.mark.slow
def test_what_reads_as_arrow_runs_on_the_warehouse(
    local_warehouse: TestWarehouse, checkout: Path
) -> None:
    of_arrow = [block.text for block in RUN if "import read_" in block.text]
    assert len(of_arrow) == 2
    blocks = [["-c", text] for text in of_arrow]
    for arguments in (["-m", "vinci_code", "db", "upgrade"], *blocks):
        run = subprocess.run(
            [sys.executable, "-W", "error", *arguments],
            env={**os.environ, **local_warehouse.env},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )
        assert run.returncode == 0, run.stdout + run.stderr


def test_there_are_blocks_to_run() -> None:
    assert {block.language for block in RUN} == {"python", "bash"}
    assert len(RUN) >= 10


def test_example_of_the_readme_retrieves_events(checkout: Path) -> None:
    block = next(block for block in RUN if "Retrieved" in block.text)
    run = subprocess.run(
        [sys.executable, "-c", block.text],
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE_S,
    )
    assert run.stdout == "Retrieved 0 events\n"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        if not target.startswith("https://"):
            assert (page.parent / target).exists(), target


def test_every_variable_is_in_the_page_of_the_configuration() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \|(?: `(\w+)`)? \|", page, re.MULTILINE)
    assert {(name, alias or None) for name, alias in rows} == {
        (mark.name, mark.alias) for mark in VARIABLES.values()
    }


def test_env_example_names_every_variable_with_a_comment() -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()
    named = [line.partition("=")[0] for line in lines if re.match(r"[A-Z_]+=", line)]
    assert sorted(named) == sorted(mark.name for mark in VARIABLES.values())
    text = "\n".join(lines)
    for mark in VARIABLES.values():
        assert mark.alias is None or mark.alias in text
        before = lines[next(i for i, x in enumerate(lines) if x.startswith(mark.name + "=")) - 1]
        assert before.startswith("#") or before.partition("=")[0] in named


def test_env_example_holds_the_defaults(checkout: Path) -> None:
    shutil.copy(".env.example", ".env")
    assert DatabaseSettings().model_dump() == DatabaseSettings(_env_file="nothing").model_dump()
    assert any(dotenv_values(".env").values())


def commands() -> Iterator[tuple[str, set[str]]]:
    def walk(command: object, words: list[str]) -> Iterator[tuple[str, set[str]]]:
        inner = getattr(command, "commands", None)
        if inner:
            for name, sub in inner.items():
                yield from walk(sub, [*words, name])
        else:
            params = getattr(command, "params", [])
            options = {o for p in params for o in p.opts if o.startswith("--")}
            yield " ".join(words), options - {"--help"}

    yield from walk(get_command(app), ["vinci"])


COMMANDS = dict(commands())


def test_every_command_is_known() -> None:
    assert {"vinci demo", "vinci check", "vinci config show", "vinci db downgrade"} <= set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_and_option_is_in_the_docs_and_has_help_with_an_example(command: str) -> None:
    page = (ROOT / "docs" / "command_line.md").read_text()
    assert f"{command}" in page
    for option in COMMANDS[command]:
        assert option in page, option
    shown = CliRunner().invoke(app, [*command.split()[1:], "--help"])
    assert shown.exit_code == 0
    assert "Examples:" in shown.stdout
    assert command in shown.stdout.partition("Examples:")[2]


def test_exit_codes_of_the_docs_are_those_of_the_help() -> None:
    page = (ROOT / "docs" / "command_line.md").read_text()
    listed = {
        code
        for row in re.findall(r"^\| ([\d, ]+) \|", page, re.MULTILINE)
        for code in row.split(", ")
    }
    shown = CliRunner().invoke(app, ["--help"]).stdout
    section = re.search(r"Exit codes:(.*?)\n\s*\n", shown, re.DOTALL)
    assert section is not None
    assert listed - {"2"} <= set(re.findall(r"\b\d+\b", section[1]))


def test_every_error_is_in_the_page_of_what_to_do() -> None:
    page = (ROOT / "docs" / "operating.md").read_text()
    told = {
        name
        for cell in re.findall(r"^\| (`[^|]*) \|", page, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", cell)
    }
    # The tree, whose base is said of all; and the one that is a warning stands below the tables.
    drawn = set(re.findall(r"(?:├──|└──) (\w+)", errors.__doc__ or ""))
    assert len(drawn) > 40
    assert drawn - told == set()
    assert "`InsecureFileWarning`" in page


def test_readme_fits_a_screen_and_a_half() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 100


def test_changelog_opens_with_this_version() -> None:
    found = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert found is not None
    assert found[1] == __version__


def test_readme_shows_the_two_commands_first() -> None:
    text = (ROOT / "README.md").read_text()
    assert text.index("make demo") < text.index("make test") < text.index("pip install")
