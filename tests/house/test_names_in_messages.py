"""What a message advises exists: variables, commands, options, arguments, files."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy.engine import create_engine
from typer.main import get_command

from vinci_code.cli.app import app
from vinci_code.core.config import DatabaseSettings
from vinci_code.database.dialect import options
from vinci_code.database.dialect.base import VinciDialect
from vinci_code.database.dialect.driver import urls

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "vinci_code"

# Words behind "vinci" in the name of the extra, or in a sentence, that are no command.
NO_COMMANDS = {"is", "local"}
# Options of the commands of others, which are named with them.
OF_OTHERS = {
    "core": {"--env-file", "--name", "--output", "--query", "--secret", "--secret-id",
             "--vault-name"},
    "database": {"--profile"},
}  # fmt: skip
# Variables that settings do not hold.
BESIDE = {"VINCI_DEBUG"}


def texts(path: Path) -> Iterator[str]:
    """The texts of a module that are more than a word, without its docstrings."""
    tree = ast.parse(path.read_text())
    seen: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            seen.add(id(node.value))
        if isinstance(node, ast.JoinedStr):
            seen.update(map(id, node.values))
            parts = (v.value if isinstance(v, ast.Constant) else "{}" for v in node.values)
            yield "".join(map(str, parts))
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in seen:
            yield node.value


MESSAGES = [
    (path.relative_to(PACKAGE).parts[0], text)
    for path in sorted(PACKAGE.rglob("*.py"))
    for text in texts(path)
    if " " in text
]


def named(pattern: str) -> set[tuple[str, str]]:
    """The parts of the package that have messages with a name, and the name."""
    return {(part, name) for part, text in MESSAGES for name in re.findall(pattern, text)}


def tree_of(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield words, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from tree_of(inner, (*words, name))


COMMANDS = dict(tree_of(get_command(app)))


def test_variables_that_are_named_are_read() -> None:
    known = {name for mark in DatabaseSettings.variables().values() for name in mark.names}
    found = {name for _, name in named(r"\b(?:DATABRICKS|DATABASE|VINCI|USE)_[A-Z_]*[A-Z]\b")}
    assert len(found) > 10
    assert found - known - BESIDE == set()


def test_commands_that_are_named_are_there() -> None:
    found = {name for _, name in named(r"(?<![+])\bvinci ([a-z]+(?: [a-z]+)?)")}
    assert len(found) > 10
    for name in found:
        words = tuple(name.split())
        if words[0] in NO_COMMANDS:
            continue
        assert words[:1] in COMMANDS, name
        is_group = hasattr(COMMANDS[words[:1]], "commands")
        assert not is_group or words in COMMANDS, name


def test_options_that_are_named_are_there() -> None:
    known = {"--help", "--install-completion"}
    for command in COMMANDS.values():
        for parameter in command.params:
            known.update(parameter.opts, parameter.secondary_opts)
    found = named(r"(?<![\w-])(--[a-z][a-z-]*[a-z])\b")
    assert len(found) > 10
    wrong = {(part, name) for part, name in found if name not in known | OF_OTHERS.get(part, set())}
    assert wrong == set()


def test_connect_arguments_that_are_named_are_taken() -> None:
    found = {name for _, name in named(r"'([a-z_]+)' (?:in|of) connect_args")}
    assert found >= {"_tls_trusted_ca_file", "connect_timeout", "start_timeout", "timeout"}
    ours = {*urls._TEXTS, *urls._NUMBERS}
    drivers = set(inspect.signature(driver_connection()).parameters)
    assert found - ours - drivers == set()


def test_a_deadline_that_is_named_is_an_execution_option() -> None:
    found = {name for _, name in named(r"\b(databricks_timeout|vinci_[a-z]+_timeout)\b")}
    assert found <= {options.TIMEOUT}
    assert "'timeout' in connect_args" in {text for _, text in MESSAGES}


def test_arguments_of_engines_that_are_named_are_taken() -> None:
    found = {
        name for _, name in named(r"\b(transactions|atomicity|check_at|held_\w+|isolation_\w+)=")
    }
    known = {*inspect.signature(VinciDialect.__init__).parameters, "isolation_level"}
    assert len(found) >= 4
    assert found - known == set()
    assert "isolation_level" in (create_engine.__doc__ or "")


def test_pages_that_are_named_are_there() -> None:
    found = {name for _, name in named(r"\b(docs/\w+\.md)\b")}
    assert found
    assert all((ROOT / name).is_file() for name in found)


def driver_connection() -> Any:
    from databricks.sql.client import Connection

    return Connection.__init__
