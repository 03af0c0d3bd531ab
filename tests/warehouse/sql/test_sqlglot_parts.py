"""The names that are taken of sqlglot: listed once, and reported where one is missing."""

from __future__ import annotations

import ast
import importlib.metadata
import re
from importlib.metadata import version
from pathlib import Path

import pytest
from sqlglot import exp
from sqlglot.parser import Parser

from vinci_code.core.errors import install_command
from vinci_code.warehouse.sql import dialect, sqlglot_parts
from vinci_code.warehouse.sql.sqlglot_parts import PARSER, UnsupportedSqlglotError, check


@pytest.mark.parametrize("name", PARSER)
def test_a_sqlglot_without_one_is_reported_by_a_line(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(Parser, name)
    with pytest.raises(UnsupportedSqlglotError) as caught:
        check()
    assert str(caught.value) == (
        "The local warehouse needs sqlglot 30.29 or later; "
        f"found {version('sqlglot')}, which lacks Parser.{name}. "
        f"Install one that is supported: {install_command('warehouse')}"
    )


def test_a_sqlglot_without_a_class_of_expressions_is_reported_by_a_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(exp, "DType")
    with pytest.raises(UnsupportedSqlglotError, match=r"lacks exp\.DType\. "):
        check()


@pytest.mark.parametrize("found", ["29.0.1", "30.28.0"])
def test_a_sqlglot_that_is_too_old_is_reported_by_a_line(
    found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlglot_parts, "version", lambda name: found)
    with pytest.raises(UnsupportedSqlglotError) as caught:
        check()
    assert str(caught.value) == (
        f"The local warehouse needs sqlglot 30.29 or later; found {found}. "
        f"Install one that is supported: {install_command('warehouse')}"
    )


@pytest.mark.parametrize("is_installed", [True, False])
def test_the_advice_works_for_a_package_and_for_a_checkout(
    is_installed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def found(name: str) -> str:
        if not is_installed:
            raise importlib.metadata.PackageNotFoundError(name)
        return "1.0"

    monkeypatch.setattr(importlib.metadata, "version", found)
    monkeypatch.setattr(sqlglot_parts, "version", lambda name: "29.0.1")
    with pytest.raises(UnsupportedSqlglotError) as caught:
        check()
    checkout = Path(__file__).parents[3]
    wanted = "'vinci-code[warehouse]'" if is_installed else f"-e '{checkout}[warehouse]'"
    assert str(caught.value).endswith(f" -m pip install {wanted}")


def test_every_private_name_is_listed_and_used() -> None:
    tree = ast.parse(Path(dialect.__file__).read_text())
    parser = next(
        node
        for node in tree.body
        if isinstance(node, ast.ClassDef) and node.name == dialect.WarehouseParser.__name__
    )
    methods = {node.name for node in parser.body if isinstance(node, ast.FunctionDef)}
    tables = {
        node.target.id
        for node in parser.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and re.match("_[a-z]", node.attr)
        and ast.unparse(node.value) in ("self", "super()", "parser")
    }
    inherited = set(dir(Parser))
    own = methods - inherited
    assert set(PARSER) == (used - own) | (methods & inherited) | tables


def test_no_other_module_takes_private_names_of_a_parser() -> None:
    names = [name for name in PARSER if name.startswith("_parse")]
    for path in Path(sqlglot_parts.__file__).parent.parent.rglob("*.py"):
        if path.name not in ("dialect.py", "sqlglot_parts.py"):
            assert not [name for name in names if f".{name}" in path.read_text()], path


def test_what_is_supported_is_what_is_installed_with_the_extra() -> None:
    project = (Path(__file__).parents[3] / "pyproject.toml").read_text()
    oldest = ".".join(map(str, sqlglot_parts.OLDEST))
    assert re.findall(r'"sqlglot>=([0-9.]+),<31"', project) == [oldest]
