"""The session of the prompt that the documentation shows, typed again."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.cli.process import in_a_terminal
from vinci_code.warehouse.prompt import FIRST, NEXT

PAGE = Path(__file__).parents[2] / "docs" / "local_warehouse.md"
COMMAND = "$ vinci "
ESCAPES = re.compile(r"\x1b(\[[0-9;?]*[a-zA-Z]|[=>]|\][^\x07]*\x07)")
TIME = re.compile(r"\([\d,]+ ms\)")


def recorded() -> list[str]:
    blocks = re.findall(r"^```text\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    (found,) = [block.splitlines() for block in blocks if block.startswith(COMMAND)]
    return found


def is_typed(line: str) -> bool:
    return line.startswith((FIRST.rstrip(), NEXT.rstrip()))


@pytest.mark.skipif(os.name != "posix", reason="terminals are POSIX")
def test_the_session_of_the_prompt_is_as_recorded() -> None:
    command, *lines = recorded()
    typed = [line[len(FIRST) :] for line in lines if is_typed(line)]
    answers = [TIME.sub("(… ms)", line) for line in lines if not is_typed(line)]
    assert len(FIRST) == len(NEXT)
    assert len(typed) > 5
    assert len(answers) > 10
    text = in_a_terminal(
        *command.removeprefix(COMMAND).split(),
        columns=100,
        answer="".join(f"{line}\r" for line in typed).encode(),
    )
    shown = ESCAPES.sub("", text).replace("\r", "\n").split("\n")
    said = [TIME.sub("(… ms)", line.rstrip()) for line in shown if line.strip()]
    # The terminal repeats what is typed, beside and between the answers.
    begins = said.index(answers[0])
    assert [line for line in said[begins:] if not is_typed(line)] == answers
