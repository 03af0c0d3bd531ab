"""Reading statements from a person: with prompt_toolkit's history and completion, or plainly."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from vinci_code.core.files import private_files
from vinci_code.warehouse.scripts import is_whole
from vinci_code.warehouse.sql.builtins import FUNCTIONS

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.completion import Completer

FIRST, NEXT = "vinci> ", "   ... "
"""What stands before the first line of a statement, and before the others."""

Names = Callable[[], Mapping[str, Iterable[str]]]
"""The tables that there are now, each with its columns."""

_WORD = re.compile(r"[\w.\\]*\Z")
_KEYWORDS = (
    "ALTER TABLE", "AND", "AS", "BEGIN TRANSACTION", "BETWEEN", "BY", "CASE", "COMMIT", "COPY INTO",
    "CREATE SCHEMA", "CREATE TABLE", "CREATE VIEW", "DELETE FROM", "DESCRIBE", "DISTINCT", "DROP",
    "ELSE", "END", "EXISTS", "FROM", "FULL JOIN", "GROUP BY", "HAVING", "IN", "INSERT INTO", "IS",
    "JOIN", "LEFT JOIN", "LIKE", "LIMIT", "MERGE INTO", "NOT", "NULL", "ON", "OR", "ORDER BY",
    "OVER", "PARTITION BY", "ROLLBACK", "SELECT", "SET", "SHOW", "TABLE", "THEN", "UNION ALL",
    "UPDATE", "USE", "USING", "VALUES", "WHEN", "WHERE", "WITH",
)  # fmt: skip


def has_toolkit() -> bool:
    """Whether prompt_toolkit is installed: without it there is neither history nor completion."""
    try:
        import prompt_toolkit  # noqa: F401
    except ModuleNotFoundError:
        return False
    return True


def typed(commands: Iterable[str], names: Names, history: Path | None) -> Iterator[str]:
    r"""What a person types, one text of whole statements or one command after the other.

    It goes on until the end of the input (Ctrl-D). Ctrl-C drops what was typed so far.

    Args:
        commands: The prompt's own commands, such as ``\q``: each is a line by itself.
        names: What completes names.
        history: The file that keeps what was typed, made readable by its owner alone; ``None``
            keeps it as long as the prompt lasts. Without prompt_toolkit nothing is kept.
    """
    read = _with_toolkit(list(commands), names, history) if has_toolkit() else _plain
    while True:
        try:
            text = read()
        except KeyboardInterrupt:
            continue
        except EOFError:
            return
        if text.strip():
            yield text


def _plain() -> str:
    lines = [input(FIRST)]
    while not _is_finished("\n".join(lines)):
        lines.append(input(NEXT))
    return "\n".join(lines)


def _is_finished(text: str) -> bool:
    return text.lstrip().startswith("\\") or not text.strip() or is_whole(text)


def _with_toolkit(commands: list[str], names: Names, history: Path | None) -> Callable[[], str]:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.filters import Condition
    from prompt_toolkit.history import FileHistory, InMemoryHistory

    if history is not None:
        with private_files():
            history.parent.mkdir(parents=True, exist_ok=True)
            history.touch()
    session: PromptSession[str] = PromptSession(
        completer=_completer(commands, names),
        complete_while_typing=False,
        history=InMemoryHistory() if history is None else FileHistory(history),
        multiline=Condition(lambda: not _is_finished(session.default_buffer.text)),
        prompt_continuation=NEXT,
        enable_open_in_editor=False,
    )
    return lambda: session.prompt(FIRST)


def _completer(commands: list[str], names: Names) -> Completer:
    from prompt_toolkit.completion import Completer, Completion
    from prompt_toolkit.document import Document

    class Names(Completer):
        """Completes commands at the beginning, and words of SQL and names anywhere."""

        def get_completions(self, document: Document, _event: object) -> Iterator[Completion]:
            found = _WORD.search(document.text_before_cursor)
            start = found[0] if found else ""
            at_start = not document.text_before_cursor[: -len(start) or None].strip()
            for word in proposals(start, commands if at_start else [], names()):
                yield Completion(word, -len(start))

    return Names()


def proposals(
    start: str, commands: Iterable[str], names: Mapping[str, Iterable[str]]
) -> Iterator[str]:
    """What a word that was begun may become: commands, keywords, tables, columns, functions."""
    seen = set()
    columns = sorted({column for table in names.values() for column in table})
    functions = sorted(f"{name.lower()}(" for name in FUNCTIONS)
    for word in (*commands, *_KEYWORDS, *sorted(names), *columns, *functions):
        if start and word.lower().startswith(start.lower()) and word not in seen:
            seen.add(word)
            # Who types small letters goes on with them.
            yield word.lower() if start.islower() and word in _KEYWORDS else word
