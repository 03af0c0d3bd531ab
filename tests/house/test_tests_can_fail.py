"""A test that cannot fail proves nothing: some kinds of it can be told from the code alone."""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
FOUND_BY = {"assert_called", "called_once", "called_with", "called_once_with", "has_calls"}


def conditional(tree: ast.AST) -> Iterator[int]:
    """``assert x == a if c else b``: without parentheses, ``b`` alone is asserted where not c."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert) and isinstance(node.test, ast.IfExp):
            branches = (node.test.body, node.test.orelse)
            if not all(may_be_false(branch) for branch in branches):
                yield node.lineno


def may_be_false(branch: ast.expr) -> bool:
    """Whether an expression asks something, and is no value that stands for itself."""
    if isinstance(branch, ast.UnaryOp):
        return isinstance(branch.op, ast.Not)
    return isinstance(branch, ast.Compare | ast.Call | ast.BoolOp)


def with_a_message(tree: ast.AST) -> Iterator[int]:
    """``assert (a, "message")``, and other values that are true in themselves."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert) and (
            isinstance(node.test, ast.Tuple | ast.Lambda | ast.GeneratorExp | ast.JoinedStr)
            or (isinstance(node.test, ast.Constant) and bool(node.test.value))
        ):
            yield node.lineno


def with_itself(tree: ast.AST) -> Iterator[int]:
    """``assert x == x``: where nothing is called, both sides are one thing."""
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Assert) and isinstance(node.test, ast.Compare)):
            continue
        calls = any(isinstance(inner, ast.Call | ast.Await) for inner in ast.walk(node.test))
        sides = [node.test.left, *node.test.comparators]
        same = len({ast.dump(side) for side in sides}) < len(sides)
        if same and not calls and isinstance(node.test.ops[0], ast.Eq | ast.Is | ast.In):
            yield node.lineno


def after_the_error(tree: ast.AST) -> Iterator[int]:
    """An assertion after others within ``pytest.raises``, which never comes to it.

    What is before it has raised; where it has not, the assertion's own failure is none of the error
    that is expected, but where that is any exception.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.With | ast.AsyncWith) and any(is_raises(i) for i in node.items):
            yield from (s.lineno for s in node.body[1:] if isinstance(s, ast.Assert))


def anything(tree: ast.AST) -> Iterator[int]:
    """``pytest.raises(Exception)`` without a text: a misspelt name in the test would do."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and is_named(node.func, "raises") and node.args:
            wide = isinstance(node.args[0], ast.Name) and node.args[0].id in (
                "Exception",
                "BaseException",
            )
            if wide and not any(word.arg in ("match", "check") for word in node.keywords):
                yield node.lineno


def uncalled(tree: ast.AST) -> Iterator[int]:
    """``mock.called_once_with(…)`` is a mock of its own and true; so is a method not called."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Assert | ast.Expr):
            continue
        value = node.test if isinstance(node, ast.Assert) else node.value
        name = value.func if isinstance(value, ast.Call) else value
        if isinstance(name, ast.Attribute) and (
            name.attr in FOUND_BY
            or (name.attr.startswith("assert_") and not isinstance(value, ast.Call))
        ):
            yield node.lineno


@functools.cache
def trees() -> dict[Path, ast.AST]:
    """The code of every file of the tests."""
    files = sorted(TESTS.rglob("*.py"))
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in files}


def is_raises(item: ast.withitem) -> bool:
    call = item.context_expr
    return isinstance(call, ast.Call) and is_named(call.func, "raises")


def is_named(function: ast.expr, name: str) -> bool:
    return (isinstance(function, ast.Attribute) and function.attr == name) or (
        isinstance(function, ast.Name) and function.id == name
    )


KINDS: list[Callable[[ast.AST], Iterator[int]]] = [
    conditional,
    with_a_message,
    with_itself,
    after_the_error,
    anything,
    uncalled,
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_no_assertion_is_of_a_kind_that_cannot_fail(
    kind: Callable[[ast.AST], Iterator[int]],
) -> None:
    found = [
        f"{path.relative_to(TESTS)}:{line}" for path, tree in trees().items() for line in kind(tree)
    ]
    assert len(trees()) > 200
    assert found == []


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (conditional, "assert found == [1] if many else [2]"),
        (conditional, "assert found == 1 if many else True"),
        (with_a_message, "assert (found, 'nothing was found')"),
        (with_a_message, "assert 'found'"),
        (with_itself, "assert found.rows == found.rows"),
        (after_the_error, "with pytest.raises(OSError):\n    run()\n    assert found"),
        (anything, "with pytest.raises(Exception):\n    run()"),
        (uncalled, "assert asked.called_once_with(1)"),
        (uncalled, "asked.assert_called_once"),
    ],
)
def test_each_kind_is_seen(kind: Callable[[ast.AST], Iterator[int]], code: str) -> None:
    assert list(kind(ast.parse(code))) != []


@pytest.mark.parametrize(
    "code",
    [
        "assert found == ([1] if many else [2])",
        "assert found == [1] if many else not found",
        "assert found, 'nothing was found'",
        "assert next(found) == next(found)",
        "with pytest.raises(OSError):\n    run()\nassert found",
        "with pytest.raises(Exception, match='lost'):\n    run()",
        "asked.assert_called_once_with(1)",
    ],
)
def test_what_can_fail_is_left_alone(code: str) -> None:
    assert [line for kind in KINDS for line in kind(ast.parse(code))] == []
