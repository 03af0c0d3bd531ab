"""Makes a program that differs smaller, for as long as it differs in the same way."""

from __future__ import annotations

import ast
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from tests.differential.comparing import Finding
from tests.differential.programs import DEFAULT, Program, Unit


def shrunk(
    program: Program,
    finding: Finding,
    run: Callable[[Program], Finding | None],
    *,
    seconds: float = 20.0,
) -> tuple[Program, Finding]:
    """The smallest program that is found to differ in the same way.

    Args:
        program: A program that differs.
        finding: How.
        run: Runs a program.
        seconds: How long to try at most.
    """
    deadline = time.monotonic() + seconds
    program = program.with_units(program.units[: finding.unit + 1])
    smaller = True
    while smaller:
        smaller = False
        for candidate in simpler(program):
            if time.monotonic() > deadline:
                return program, finding
            found = run(candidate)
            if found is not None and found.mark == finding.mark:
                program, finding, smaller = candidate, found, True
                break
    return program, finding


def simpler(program: Program) -> Iterator[Program]:
    """Programs with less in them, those with much less first."""
    units = program.units
    for n in range(len(units)):
        if len(units) > 1:
            yield program.with_units(units[:n] + units[n + 1 :])
    for n, unit in enumerate(units):
        for small in _units(unit):
            yield program.with_units((*units[:n], small, *units[n + 1 :]))


def _units(unit: Unit) -> Iterator[Unit]:
    lines = unit.lines
    half = len(lines) // 2
    if half > 1:
        yield replace(unit, lines=lines[half:])
        yield replace(unit, lines=lines[:half])
    for n in range(len(lines)):
        yield replace(unit, lines=lines[:n] + lines[n + 1 :])
    if unit.same_session:
        yield replace(unit, same_session=False)
    if unit.isolation:
        yield replace(unit, isolation=DEFAULT)
    if not unit.autoflush:
        yield replace(unit, autoflush=True)
    for n, line in enumerate(lines):
        for small in _lines(line):
            yield replace(unit, lines=(*lines[:n], small, *lines[n + 1 :]))


def _lines(line: str) -> Iterator[str]:
    """The line with one thing less in it: an element, an argument, a method of a chain."""
    tree = ast.parse(line)
    for node in ast.walk(tree):
        for restore in _without(node):
            text = ast.unparse(tree)
            restore()
            if text != ast.unparse(tree):
                yield text


def _without(node: ast.AST) -> Iterator[Callable[[], None]]:
    """Change a node in place, one way after the other; what is given changes it back."""
    if isinstance(node, ast.List):
        yield from _shorter(node.elts, least=1)
    elif isinstance(node, ast.Dict):
        # Of several rows without a value SQLAlchemy makes one on SQLite.
        for n in range(len(node.keys) if len(node.keys) > 1 else 0):
            key, value = node.keys.pop(n), node.values.pop(n)
            yield _put_back(node.keys, node.values, n, key, value)
    elif isinstance(node, ast.Call):
        yield from _shorter(node.keywords, least=0)
        if len(node.args) > 1:
            yield from _shorter(node.args, least=1)
    for name, value in list(ast.iter_fields(node)):
        if isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute):
            inner = value.func.value
            if isinstance(inner, ast.Call):
                yield from _replaced(node, name, inner, value)
            if value.args and isinstance(value.args[0], (ast.Call, ast.Constant)):
                yield from _replaced(node, name, value.args[0], value)


def _shorter(items: list[ast.expr] | list[ast.keyword], least: int) -> Iterator[Callable[[], None]]:
    for n in range(len(items)):
        if len(items) > least:
            item = items.pop(n)
            yield lambda n=n, item=item: items.insert(n, item)  # type: ignore[misc]


def _put_back(
    keys: list[ast.expr | None],
    values: list[ast.expr],
    n: int,
    key: ast.expr | None,
    value: ast.expr,
) -> Callable[[], None]:
    def restore() -> None:
        keys.insert(n, key)
        values.insert(n, value)

    return restore


def _replaced(
    node: ast.AST, name: str, inner: ast.expr, outer: ast.expr
) -> Iterator[Callable[[], None]]:
    setattr(node, name, inner)
    yield lambda: setattr(node, name, outer)
