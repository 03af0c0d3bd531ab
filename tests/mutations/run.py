"""Break the package at random places, and see whether the nearest tests go red.

    python -m tests.mutations.run [--seed 7] [--mutations 60] [--first 0] [--least 55]

A mutation changes one thing in one function: a comparison, ``and`` for ``or``, a truth value, a
number, a ``not``; or a condition is left out. Places are drawn with a seed, each module as often as
the next; a module that is edited changes its own draws alone. Each mutation is made in a copy of
the package, and the tests that are nearest to its module run there, until the first that fails:
those alone that are quick, and measure no time. One that no test sees is printed with its place:
either it changes nothing that matters, and stands in ``EQUIVALENT`` with the reason, or a test is
missing.
"""

from __future__ import annotations

import argparse
import ast
import copy
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "vinci_code"
# All cases of a test, also those that `make test` leaves out.
_MARKED = "not slow and not soak"
_TIMEOUT_S = 600.0
"""For tests without any mutation, on a busy machine: quick ones take a minute at most."""

# What is tested by files of its own that take seconds; the rest is tested by long ones.
NEAREST: dict[str, tuple[str, ...]] = {
    "core/config/normalise.py": ("unit/test_databricks_config.py",),
    "core/config/placeholders.py": (
        "unit/test_databricks_config.py",
        "core/config/test_no_secrets.py",
        "core/config/test_templates.py",
    ),
    "core/config/strict.py": (
        "unit/test_databricks_config.py",
        "core/config/test_misplaced.py",
        "core/config/test_fallback_settings.py",
    ),
    "core/redaction/shapes.py": ("core/redaction/test_redaction.py",),
    "core/redaction/text.py": ("core/redaction/test_redaction.py",),
    "database/databricks/profile.py": ("database/databricks/test_profile.py",),
    "database/dialect/borrowed.py": ("dialect/test_borrowed.py",),
    "database/dialect/driver/credentials.py": (
        "dialect/driver/test_connect_arguments.py",
        "dialect/driver/test_dbapi_auth.py",
    ),
    "database/dialect/driver/pooling.py": (
        "dialect/driver/test_dbapi_pool.py",
        "dialect/driver/test_session_state.py",
    ),
    "database/dialect/driver/waiting.py": ("dialect/driver/test_waiting.py",),
    "database/dialect/migrations/compare.py": ("dialect/migrations/test_alembic.py",),
    "database/dialect/reflection/inspection.py": ("dialect/reflection/test_reflection.py",),
    "database/dialect/sql/ddl.py": ("dialect/sql/test_ddl.py",),
    "database/dialect/sql/keys.py": ("dialect/sql/test_keys.py",),
    "database/dialect/sql/uniques.py": ("dialect/sql/test_uniques.py",),
    "database/dialect/text/binding.py": ("dialect/text/test_binding.py",),
    "database/dialect/text/scanning.py": (
        "dialect/text/test_binding.py",
        "dialect/test_base.py",
        "dialect/text/test_raw_text.py",
    ),
    "database/dialect/types/typenames.py": ("dialect/types/test_typenames.py",),
    "database/dialect/units/held.py": ("dialect/units/test_held_joining.py",),
    "database/dialect/units/loaded.py": tuple(
        f"dialect/units/test_held_loaded.py::test_{name}"
        # The others repeat these for each type, and take minutes.
        for name in (
            "a_buffer_that_is_used_again_is_no_change_by_somebody_else",
            "a_change_by_somebody_else_is_found_in_each_form",
            "a_change_that_is_not_checked",
            "a_key_of_two_columns_that_is_not_loaded",
            "a_name_for_the_same_member_is_no_change_by_somebody_else",
            "a_table_without_a_primary_key",
            "changes_of_a_unit_follow_each_other_in_each_form",
            "objects_some_of_which_were_loaded_are_one_statement",
            "one_of_many_was_changed_by_somebody_else",
            "several_objects_beside_a_function_are_checked_each",
            "the_columns_of_each_table_of_a_class",
            "the_second_of_two_sessions_is_checked_for_other_columns",
            "two_sessions_on_one_connection_change_a_row",
            "what_is_not_checked_in_other_forms",
            "what_is_rolled_back_to_a_savepoint_leaves_the_checks",
            "what_was_written_before_a_savepoint_is_no_lost_update",
        )
    ),
    "database/dialect/units/recovery.py": ("dialect/units/test_held_recovery.py",),
    "database/dialect/units/unit.py": (
        "dialect/units/test_held_retries.py",
        "dialect/units/test_held_units.py",
    ),
    "database/dialect/writes/guards.py": ("dialect/writes/test_held_guards.py",),
    "database/dialect/writes/payload.py": ("dialect/writes/test_held_payload.py",),
    "database/dialect/writes/shapes.py": ("dialect/writes/test_held_shapes.py",),
    "database/events/reading.py": ("database/events/test_reading.py",),
    "database/fallback/coding.py": ("fallback/test_coding.py",),
    "database/fallback/journal.py": ("fallback/test_journal.py",),
    "database/fallback/records.py": (
        "fallback/test_records.py",
        "fallback/test_journal.py",
        "fallback/test_journal_damage.py",
    ),
    "database/fallback/replay.py": ("fallback/test_replay.py", "fallback/test_order.py"),
    "database/fallback/touched.py": ("fallback/test_touched.py",),
    "database/fallback/values.py": ("fallback/test_values.py",),
}

EQUIVALENT: dict[tuple[str, str, str], str] = {
    (
        "database/dialect/text/binding.py",
        "if characters * 4 <= MAX_PARAMETER_BYTES:",
        "if (characters * 4 < MAX_PARAMETER_BYTES):",
    ): "At the limit both ways of counting give no more than it, and nobody asks for more.",
    (
        "database/dialect/writes/shapes.py",
        "if places == tuple(range(len(places))):",
        "if (False):",
    ): "The rows are picked one by one then, and are the same.",
    (
        "database/fallback/coding.py",
        "if len(rows) == 1 and len(rows[0]) == width:",
        "if (False):",
    ): "One row is packed as several are then, and comes to the same.",
    (
        "database/fallback/values.py",
        "return float not in kinds or all(map(math.isfinite, _of(float, values)))",
        "return (all(map(math.isfinite, _of(float, values))))",
    ): "Of no floats all are finite; the kinds only save the look.",
}
"""By module, the line as it is and as it becomes: why no test can see the difference."""

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}


@dataclass(frozen=True)
class Mutation:
    """One change.

    Attributes:
        module: The file within the package.
        line: The number of its line.
        before: The line, or the first of its lines, as it is.
        after: What stands there afterwards.
        source: The whole module, changed.
    """

    module: str
    line: int
    before: str
    after: str
    source: str


def main() -> int:
    """Run it; the exit code is 1 where fewer were seen than wanted."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--mutations", type=int, default=60)
    parser.add_argument("--first", type=int, default=0, help="the number of the first one to run")
    parser.add_argument("--least", type=int, help="how many have to be seen; by default all but 5")
    options = parser.parse_args()
    chosen = choose(options.seed, options.mutations)[options.first :]
    print(f"seed {options.seed}, {len(chosen)} mutations", flush=True)
    # Else a path that is wrong, or a test that fails by itself, would see every mutation.
    limits = {
        module: limit_of(module) for module in dict.fromkeys(mutation.module for mutation in chosen)
    }
    counts = {"red": 0, "timed out": 0, "equivalent": 0, "not seen": 0}
    for number, mutation in enumerate(chosen, options.first):
        began = time.monotonic()
        reason = EQUIVALENT.get((mutation.module, mutation.before, mutation.after))
        verdict = "equivalent" if reason else verdict_of(mutation, limits[mutation.module])
        counts[verdict] += 1
        print(
            f"{number:3} {verdict:10} {time.monotonic() - began:4.0f} s  "
            f"{mutation.module}:{mutation.line}: {mutation.before}  =>  {mutation.after}",
            flush=True,
        )
    print(counts)
    least = len(chosen) - 5 if options.least is None else options.least
    return int(len(chosen) - counts["not seen"] < least)


def choose(seed: int, count: int) -> list[Mutation]:
    """Draw mutations, the modules in turn, no place twice."""
    places = {module: list(places_in(module)) for module in NEAREST}
    for module, found in places.items():
        random.Random(f"{seed} {module}").shuffle(found)
    order = list(NEAREST)
    random.Random(seed).shuffle(order)
    chosen: list[Mutation] = []
    while len(chosen) < count and any(places.values()):
        for module in order:
            if places[module] and len(chosen) < count:
                mutation = made(module, places[module].pop())
                if is_python(mutation.source):
                    chosen.append(mutation)
    return chosen


def is_python(source: str) -> bool:
    """Whether it can be compiled: within an f-string not all that is written anew can."""
    try:
        ast.parse(source)
    except SyntaxError:
        return False
    return True


def places_in(module: str) -> Iterator[tuple[int, int]]:
    """Nodes that can be changed, and how: the number of the node, and of the way."""
    tree = ast.parse((ROOT / PACKAGE / module).read_text())
    within = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            for statement in node.body:
                within |= set(map(id, ast.walk(statement)))
    for number, node in enumerate(ast.walk(tree)):
        if id(node) in within:
            for way in range(len(list(changes(node)))):
                yield number, way


def changes(node: ast.AST) -> Iterator[ast.AST]:
    """What a node may become."""
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        changed = copy.deepcopy(node)
        changed.ops = [_COMPARISONS[type(node.ops[0])]()]
        yield changed
    elif isinstance(node, ast.BoolOp):
        changed_words = copy.deepcopy(node)
        changed_words.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield changed_words
        yield copy.deepcopy(node.values[0])
        yield copy.deepcopy(node.values[-1])
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield copy.deepcopy(node.operand)
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield ast.Constant(not node.value)
    elif isinstance(node, ast.Constant) and type(node.value) is int:
        yield ast.Constant(node.value + 1)
    elif isinstance(node, ast.If) and not node.orelse:
        never = copy.deepcopy(node)
        never.test = ast.Constant(value=False)
        yield never


def made(module: str, place: tuple[int, int]) -> Mutation:
    """The change at a place."""
    source = (ROOT / PACKAGE / module).read_text()
    number, way = place
    node = list(ast.walk(ast.parse(source)))[number]
    assert isinstance(node, (ast.expr, ast.stmt))
    new = list(changes(node))[way]
    lines = source.splitlines(keepends=True)
    if isinstance(node, ast.If):
        # The condition alone is replaced, so that comments and lines stay as they are.
        node, new = node.test, ast.Constant(value=False)
    begin = sum(map(len, lines[: node.lineno - 1])) + _column(
        lines[node.lineno - 1], node.col_offset
    )
    end_line, end_column = node.end_lineno or 0, node.end_col_offset or 0
    end = sum(map(len, lines[: end_line - 1])) + _column(lines[end_line - 1], end_column)
    changed = source[:begin] + "(" + ast.unparse(new) + ")" + source[end:]
    after = changed.splitlines()[node.lineno - 1].strip()
    return Mutation(module, node.lineno, lines[node.lineno - 1].strip(), after, changed)


def _column(line: str, offset: int) -> int:
    """The column of an offset that ``ast`` counts in bytes."""
    return len(line.encode()[:offset].decode())


def limit_of(module: str) -> float:
    """How many seconds the tests of a module may take: several times what they take as it is."""
    began = time.monotonic()
    done = tested(module, (ROOT / PACKAGE / module).read_text(), _TIMEOUT_S)
    took = time.monotonic() - began
    if done is None:
        sys.exit(f"the tests of {module} did not end within {_TIMEOUT_S:.0f} s: {NEAREST[module]}")
    if done.returncode:
        _give_up(module, done)
    print(f"    unchanged  {took:4.0f} s  {module}", flush=True)
    return 60 + 5 * took


def verdict_of(mutation: Mutation, limit: float) -> str:
    """What the tests nearest to a mutation make of it, within so many seconds."""
    done = tested(mutation.module, mutation.source, limit)
    if done is None:
        return "timed out"
    # A test has failed (1), or could not be collected, as where the module cannot be loaded (2).
    if done.returncode not in (0, 1, 2):
        _give_up(mutation.module, done)
    return "red" if done.returncode else "not seen"


def tested(module: str, source: str, limit: float) -> subprocess.CompletedProcess[str] | None:
    """Run the tests nearest to a module in a copy of the project.

    Args:
        module: The file within the package.
        source: What stands in it.
        limit: How many seconds they may take.

    Returns:
        How pytest ended; ``None`` where it did not within that time.
    """
    with tempfile.TemporaryDirectory(prefix="vinci-mutation-") as folder:
        copied = Path(folder)
        skipped = shutil.ignore_patterns("__pycache__", ".*", "recorded")
        for name in (PACKAGE, "tests", "bench", "docs", "examples", "scripts"):
            shutil.copytree(ROOT / name, copied / name, ignore=skipped)
        for name in ("pyproject.toml", "README.md", "CONTRIBUTING.md", "LICENSE"):
            shutil.copy(ROOT / name, copied / name)
        (copied / PACKAGE / module).write_text(source)
        tests = [f"tests/{name}" for name in NEAREST[module]]
        pytest = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
        try:
            return subprocess.run(
                [*pytest, "--hypothesis-profile=unshrunk", "-m", _MARKED, *tests],
                cwd=copied,
                env={**os.environ, "PYTHONPATH": folder, "PYTHONDONTWRITEBYTECODE": "1"},
                capture_output=True,
                text=True,
                timeout=limit,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return None


def _give_up(module: str, done: subprocess.CompletedProcess[str]) -> NoReturn:
    output = (done.stdout + done.stderr)[-4000:]
    sys.exit(f"pytest ended with {done.returncode} on the tests of {module}:\n{output}")


if __name__ == "__main__":
    sys.exit(main())
