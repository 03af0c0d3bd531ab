"""Statements that are run one by one: their rows, how many they are, how long they took."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vinci_code.cli.output import is_terminal, print_document, say, shown, tell
from vinci_code.cli.tables import print_table
from vinci_code.core.errors import VinciError

if TYPE_CHECKING:
    from vinci_code.warehouse.statements import Answered, Statements

HELP = r"""Statements end with a semicolon. Beside them:
  \d          list tables and views
  \d TABLE    describe one
  \i FILE     run the statements of a file
  \timing     show the time of each statement, or stop showing it
  \?          this help
  \q          end, as Ctrl-D does"""
COMMANDS = ("\\d", "\\i", "\\timing", "\\?", "\\q")

_TABLES = (
    "SELECT table_schema, table_name, table_type FROM information_schema.tables "
    "WHERE table_schema <> 'information_schema' ORDER BY ALL"
)
_COLUMNS = (
    "SELECT table_name, column_name FROM information_schema.columns "
    "WHERE table_schema = current_schema() ORDER BY ordinal_position"
)


def run_all(statements: Statements, texts: Iterable[str], *, as_json: bool) -> None:
    """Run statements up to the first that fails, and print what each gave.

    Raises:
        StatementFailedError: One failed.
    """
    if as_json:
        print_document({"results": [_document(statements.run(text)) for text in texts]})
        return
    for text in texts:
        show(statements.run(text), timing=False)


def show(outcome: Answered, *, timing: bool) -> None:
    """Print what a statement gave: a table of its rows, and how many they are."""
    count = len(outcome.rows)
    if outcome.rows:
        print_table(outcome.names, [[_cell(value) for value in row] for row in outcome.rows])
    many = f"{'first ' if outcome.more else ''}{count:,} {'row' if count == 1 else 'rows'}"
    summary = "OK" if not outcome.rows and list(outcome.names) in ([], ["Result"]) else many
    if timing:
        summary += f" ({outcome.seconds * 1000:,.0f} ms)"
    # Who pipes the rows to another command wants them alone.
    (say if is_terminal(sys.stdout) else tell)(summary)


def prompt(statements: Statements, history: Path | None) -> None:
    """Read statements from a person and run them, until the end."""
    from vinci_code.warehouse.prompt import has_toolkit, typed

    if not has_toolkit():
        tell(
            "prompt_toolkit is not installed: there is neither history nor completion. "
            "The extra 'warehouse' brings it."
        )
    say("A local warehouse. Statements end with a semicolon; \\? shows the commands.")
    session = _Prompt(statements)
    for text in typed(COMMANDS, session.names, history):
        if not session.answer(text):
            break


class _Prompt:
    """What the prompt knows between two statements."""

    def __init__(self, statements: Statements) -> None:
        self._statements = statements
        self._timing = True

    def names(self) -> dict[str, list[str]]:
        """The tables of the schema in force, with their columns."""
        from vinci_code.warehouse.statements import StatementFailedError

        found: dict[str, list[str]] = {}
        try:
            for table, column in self._statements.run(_COLUMNS).rows:
                found.setdefault(table, []).append(column)
        except StatementFailedError:
            # In a transaction that has failed, or a schema that is gone: words of SQL remain.
            return {}
        return found

    def answer(self, text: str) -> bool:
        """Run what was typed; whether the prompt goes on."""
        try:
            if text.lstrip().startswith("\\"):
                return self._command(*text.strip().split(maxsplit=1))
            self._run(text)
        except (VinciError, OSError) as error:
            tell(f"Error: {shown(error)}")
        except KeyboardInterrupt:
            tell("Interrupted.")
        return True

    def _run(self, text: str) -> None:
        from vinci_code.warehouse.scripts import statements
        from vinci_code.warehouse.sql.errors import SqlError
        from vinci_code.warehouse.statements import StatementFailedError

        try:
            found = [statement for _, statement in statements(text)]
        except SqlError as error:
            raise StatementFailedError(str(error)) from error
        for statement in found:
            show(self._statements.run(statement), timing=self._timing)

    def _command(self, name: str, argument: str = "") -> bool:
        if name == "\\q":
            return False
        if name == "\\d":
            self._run(f"DESCRIBE TABLE {argument}" if argument else _TABLES)
        elif name == "\\i" and argument:
            from vinci_code.warehouse.scripts import read_script

            self._run(read_script(Path(argument).expanduser()))
        elif name == "\\timing":
            self._timing = not self._timing
            say(f"Timing is {'on' if self._timing else 'off'}.")
        else:
            say(HELP)
        return True


def _document(outcome: Answered) -> dict[str, Any]:
    return {
        "columns": [
            {"name": name, "type": kind}
            for name, kind in zip(outcome.names, outcome.types, strict=True)
        ],
        "rows": [[_plain(value) for value in row] for row in outcome.rows],
        "more": outcome.more,
        "seconds": round(outcome.seconds, 6),
    }


def _plain(value: Any) -> Any:
    """A value as JSON has it; what it has none of is a text."""
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float) and value == value and abs(value) != float("inf"):
        return value
    return value.hex() if isinstance(value, bytes) else str(value)


def _cell(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return f"X'{value.hex().upper()}'"
    if isinstance(value, (list, tuple, dict)):
        return json.dumps(_plain(value), ensure_ascii=False)
    return str(value)
