"""``vinci db`` with the ``alembic.ini`` of an application that is not ours."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import inspect
from typer.testing import CliRunner, Result

from tests.cli.process import vinci
from tests.database.theirs import ENV, INI, Theirs
from vinci_code.cli.app import app
from vinci_code.core.config import reload_settings
from vinci_code.database import create_configured_engine
from vinci_code.database.dialect.alembic import claimed
from vinci_code.database.dialect.migrations import claim
from vinci_code.warehouse.pytest_plugin import TestWarehouse

NOTES = 'op.create_table("notes", sa.Column("id", sa.Integer))'


@pytest.fixture
def theirs(tmp_path: Path) -> Iterator[Theirs]:
    folder = tmp_path / "their shop"
    folder.mkdir()
    project = Theirs(folder)
    yield project
    project.forget()


@pytest.fixture(params=["sqlite", "warehouse"])
def database(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Have the configuration choose one of the two."""
    if request.param == "sqlite":
        configure({"DATABASE_URL": f"sqlite:///{tmp_path / 'theirs.db'}"}, monkeypatch)
    else:
        configure(request.getfixturevalue("local_warehouse").env, monkeypatch)


def configure(environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    reload_settings()


def db(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["db", *arguments])


def tables() -> set[str]:
    engine = create_configured_engine()
    found = set(inspect(engine).get_table_names())
    engine.dispose()
    return found


def test_up_and_down(theirs: Theirs, database: None) -> None:
    theirs.revision("b2", "a1", "notes of people", NOTES, 'op.drop_table("notes")')
    config = ("--config", str(theirs.ini))
    shown = db("status", *config)
    assert shown.exit_code == 0
    lines = shown.stdout.splitlines()
    assert lines[-4:] == [
        f"Project:   {theirs.ini}",
        "Revision:  none",
        "Pending:   a1, b2",
        f"Apply what is pending: vinci db upgrade --config '{theirs.ini}'",
    ]
    assert tables() == set()

    assert db("upgrade", "a1", *config).stdout == "Applied: a1 (orders)\n"
    assert json.loads(db("upgrade", *config, "--json").stdout) == {"applied": ["b2"]}
    assert db("upgrade", *config).stdout == "Nothing to apply.\n"
    assert tables() == {"orders", "notes", "alembic_version"}
    document = json.loads(db("status", *config, "--json").stdout)
    assert {**document, "backend": "", "database": ""} == {
        "backend": "",
        "database": "",
        "project": str(theirs.ini),
        "current": ["b2"],
        "heads": ["b2"],
        "pending": [],
        "is_current": True,
    }

    assert db("downgrade", "-1", *config).stdout == "Taken back: b2 (notes of people)\n"
    assert db("downgrade", "base", *config, "--yes").stdout == "Taken back: a1 (orders)\n"
    assert tables() == {"alembic_version"}


def test_it_is_named_by_the_environment_too(
    theirs: Theirs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VINCI_ALEMBIC_CONFIG", str(theirs.ini))
    reload_settings()
    assert "Pending:   a1\nApply what is pending: vinci db upgrade\n" in db("status").stdout
    assert not Path("vinci.db").exists()
    assert db("upgrade").stdout == "Applied: a1 (orders)\n"
    monkeypatch.setenv("VINCI_ALEMBIC_CONFIG", "")
    reload_settings()
    assert "Pending:   0001" in db("status").stdout


def test_another_process_that_migrates_is_waited_for(
    theirs: Theirs, local_warehouse: TestWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(local_warehouse.env, monkeypatch)
    options = "version_table='their_version'"
    theirs.env(ENV.replace("metadata)", f"metadata, {options})"))
    monkeypatch.setattr(claim, "_PAUSE", 0.0)
    inner = cast("Any", claimed).__wrapped__
    monkeypatch.setattr(inner, "__kwdefaults__", {**inner.__kwdefaults__, "wait": 0.0})
    engine = create_configured_engine()
    with claimed(engine, version_table="their_version"):
        result = db("upgrade", "--config", str(theirs.ini))
    assert result.exit_code == 1
    assert "Error: These tables are being migrated by process" in result.stderr
    assert db("upgrade", "--config", str(theirs.ini)).exit_code == 0
    assert set(inspect(engine).get_table_names()) == {"orders", "their_version"}
    engine.dispose()


# --- the ordinary mistakes ------------------------------------------------------------------------

FOREIGN = """
from alembic import context
from sqlalchemy import create_engine
from their_models import Base
with create_engine("sqlite:///elsewhere.db").connect() as connection:
    context.configure(connection=connection, target_metadata=Base.metadata)
    with context.begin_transaction():
        context.run_migrations()
"""
"""An ``env.py`` that goes to a database of its own."""


def no_script_location(theirs: Theirs) -> None:
    theirs.ini.write_text("[alembic]\n")


def no_ini(theirs: Theirs) -> None:
    theirs.ini.write_text("what is this?\n")


def no_text(theirs: Theirs) -> None:
    theirs.ini.write_bytes(b"[alembic]\n\xff\xfe = 1\n")


def no_scripts(theirs: Theirs) -> None:
    theirs.ini.write_text(INI.replace("theirs", "nowhere"))


def broken_revision(theirs: Theirs) -> None:
    theirs.revision("b2", "a1", "broken").write_text("def upgrade(:\n")


def revision_without_name(theirs: Theirs) -> None:
    theirs.revision("b2", "a1", "broken").write_text("down_revision = 'a1'\n")


def revision_that_stands_on_nothing(theirs: Theirs) -> None:
    theirs.revision("b2", "nobody", "broken")


def revision_that_fails(theirs: Theirs) -> None:
    theirs.revision("b2", "a1", "fails", "raise KeyError('their reason')")


def two_heads(theirs: Theirs) -> None:
    theirs.revision("b2", "a1", "one")
    theirs.revision("c3", "a1", "other")


def env_that_raises(theirs: Theirs) -> None:
    theirs.env("\nraise RuntimeError('their reason')\n")


def env_that_ends(theirs: Theirs) -> None:
    theirs.env("\nraise SystemExit('their reason')\n")


def env_without_models(theirs: Theirs) -> None:
    theirs.env("import nobody_has_this")


def env_that_does_nothing(theirs: Theirs) -> None:
    theirs.env("pass")


def env_with_an_engine_of_its_own(theirs: Theirs) -> None:
    theirs.env(FOREIGN)


def env_of_alembic_s_template(theirs: Theirs) -> None:
    theirs.env(FOREIGN.replace("sqlite:///elsewhere.db", "driver://user:hunter2hunter2@host/db"))


@pytest.mark.parametrize(
    ("mistake", "said"),
    [
        (no_script_location, "script_location"),
        (no_ini, "it is not an alembic.ini: "),
        (no_text, "it is not an alembic.ini: "),
        (no_scripts, "nowhere"),
        (broken_revision, "b2_.py, line 1: SyntaxError: "),
        (revision_without_name, "b2_.py"),
        (revision_that_stands_on_nothing, "nobody"),
        (revision_that_fails, "b2_.py, line 11: KeyError: 'their reason'."),
        (two_heads, "Multiple head revisions are present"),
        (env_that_raises, "env.py, line 2: RuntimeError: their reason."),
        (env_that_ends, "env.py, line 2: SystemExit: their reason."),
        (env_without_models, "prepend_sys_path"),
        (env_that_does_nothing, "its env.py ran no migrations."),
        (env_with_an_engine_of_its_own, "its env.py migrates a connection of its own"),
        (env_of_alembic_s_template, "env.py, line 5: NoSuchModuleError: "),
    ],
)
def test_a_mistake_ends_in_one_line(
    theirs: Theirs, mistake: Callable[[Theirs], None], said: str
) -> None:
    mistake(theirs)
    result = db("upgrade", "--config", str(theirs.ini))
    assert result.exit_code == 1, result.exception
    assert result.stderr.startswith(f"Error: Cannot upgrade to head by {theirs.ini}: ")
    assert result.stderr.count("\n") == 1
    assert said in result.stderr
    assert "hunter2" not in result.output
    assert result.stdout == ""
    assert tables() == set()


def test_a_file_that_is_not_there_is_named() -> None:
    for command in (["status"], ["upgrade"], ["downgrade", "base", "--yes"]):
        result = db(*command, "--config", "nowhere.ini")
        assert result.exit_code == 1
        assert f"{Path('nowhere.ini').absolute()}: there is no such file." in result.stderr


@pytest.mark.parametrize("revision", ["nobody", "+7", "a1:b2"])
def test_a_revision_that_is_not_there_is_named(theirs: Theirs, revision: str) -> None:
    result = db("upgrade", revision, "--config", str(theirs.ini))
    assert result.exit_code == 1, result.exception
    assert result.stderr.startswith(f"Error: Cannot upgrade to {revision} by {theirs.ini}: ")
    assert tables() == set()


def test_a_database_at_a_revision_of_somebody_else_is_named(theirs: Theirs) -> None:
    path = theirs.revision("b2", "a1", "gone")
    assert db("upgrade", "--config", str(theirs.ini)).exit_code == 0
    path.unlink()
    for command in (["status"], ["upgrade"], ["downgrade", "base", "--yes"]):
        result = db(*command, "--config", str(theirs.ini))
        assert result.exit_code == 1
        assert "the database is at revision b2, which is not among those" in result.stderr


def test_a_mistake_is_one_document_for_a_machine(theirs: Theirs) -> None:
    env_that_raises(theirs)
    document = json.loads(db("upgrade", "--config", str(theirs.ini), "--json").stdout)
    assert document["error"]["type"] == "SchemaError"
    assert document["error"]["exit_code"] == 1


def test_a_process_of_its_own_finds_their_models(theirs: Theirs) -> None:
    result = vinci("db", "upgrade", "--config", str(theirs.ini))
    assert (result.code, result.out, result.err) == (0, "Applied: a1 (orders)\n", "")
