"""What the checks say about a SQLite file."""

from __future__ import annotations

import io
import json
import os
import sqlite3
from pathlib import Path

import pytest

from vinci_code.core.config import Settings, reload_settings
from vinci_code.database import migrations
from vinci_code.database.sqlite import create_sqlite_engine
from vinci_code.diagnostics import Report, Status, main_check, run_checks

NAMES = ["settings", "database_file", "rights", "integrity", "migrations"]
as_root = pytest.mark.skipif(
    hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may do everything"
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A database at the newest revision."""
    path = tmp_path / "data" / "events.db"
    path.parent.mkdir()
    engine = create_sqlite_engine(f"sqlite:///{path}")
    migrations.upgrade(engine)
    engine.dispose()
    return path


def check(path: Path | str, monkeypatch: pytest.MonkeyPatch) -> Report:
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{path}")
    reload_settings()
    return run_checks()


def the_failure(report: Report, name: str) -> tuple[str, str]:
    failed = [result.name for result in report.results if result.status is Status.FAILED]
    assert failed == [name], report.as_text()
    assert report.exit_code == 1
    finding = report.result(name).finding
    assert finding.cause
    assert finding.next_step
    return finding.cause, finding.next_step


def test_a_database_in_order(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = check(file, monkeypatch)
    assert [result.name for result in report.results] == NAMES
    assert {result.status for result in report.results} == {Status.OK}, report.as_text()
    assert report.backend == "sqlite"
    assert report.exit_code == 0
    assert str(file) in report.result("database_file").finding.detail
    assert "integrity_check says ok" in report.result("integrity").finding.detail
    assert migrations.HEAD in report.result("migrations").finding.detail


def test_no_file_yet_is_in_order_and_stays_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "new.db"
    report = check(path, monkeypatch)
    assert report.ok, report.as_text()
    assert "the first use creates it" in report.result("database_file").finding.detail
    assert not path.exists()


def test_a_database_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    assert check(":memory:", monkeypatch).ok


def test_a_folder_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cause, step = the_failure(check(tmp_path / "no" / "x.db", monkeypatch), "database_file")
    assert "does not exist" in cause
    assert "mkdir -p" in step


def test_a_folder_in_place_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cause, _ = the_failure(check(tmp_path, monkeypatch), "database_file")
    assert "which is a folder" in cause


def test_a_file_that_is_no_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("These are notes, and no database.")
    cause, step = the_failure(check(path, monkeypatch), "database_file")
    assert "is not a SQLite database" in cause
    assert "another file" in step
    assert path.read_text() == "These are notes, and no database."


def test_a_damaged_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = sqlite3.connect(file)
    connection.execute("CREATE TABLE filler (id INTEGER PRIMARY KEY, note TEXT)")
    connection.executemany(
        "INSERT INTO filler (note) VALUES (?)", [("x" * 500,) for _ in range(2000)]
    )
    connection.commit()
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    size = file.stat().st_size
    with file.open("r+b") as stream:
        stream.seek(size // 2)
        stream.write(b"\xff" * 8192)
    cause, step = the_failure(check(file, monkeypatch), "integrity")
    assert "is damaged" in cause
    assert "restore a backup" in step


def test_rows_that_point_to_nothing(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = sqlite3.connect(file)
    connection.execute("CREATE TABLE parent (id INTEGER PRIMARY KEY)")
    connection.execute("CREATE TABLE child (parent_id INTEGER REFERENCES parent (id))")
    connection.execute("INSERT INTO child VALUES (7)")
    connection.commit()
    connection.close()
    cause, _ = the_failure(check(file, monkeypatch), "integrity")
    assert "1 rows point to rows that do not exist" in cause


def test_a_writer_that_does_not_end_is_a_warning(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vinci_code.diagnostics.sqlite_checks._BUSY_TIMEOUT", 0.1)
    writer = sqlite3.connect(file, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    report = check(file, monkeypatch)
    writer.execute("ROLLBACK")
    writer.close()
    assert report.result("rights").status is Status.WARNING
    assert "fuser" in (report.result("rights").finding.next_step or "")
    assert report.exit_code == 0


@as_root
@pytest.mark.parametrize("closed", ["file", "folder"])
def test_missing_rights(file: Path, monkeypatch: pytest.MonkeyPatch, closed: str) -> None:
    place = file if closed == "file" else file.parent
    mode = place.stat().st_mode
    place.chmod(0o444 if closed == "file" else 0o555)
    try:
        _, step = the_failure(check(file, monkeypatch), "rights")
    finally:
        place.chmod(mode)
    assert "chmod" in step


def test_pending_migrations_are_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "old.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE something_else (id INTEGER)")
    connection.close()
    report = check(path, monkeypatch)
    assert report.result("migrations").status is Status.WARNING
    assert "vinci db upgrade" in (report.result("migrations").finding.next_step or "")


def test_a_revision_of_a_newer_release(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = sqlite3.connect(file)
    connection.execute("UPDATE vinci_code_version SET version_num = '9999'")
    connection.commit()
    connection.close()
    cause, step = the_failure(check(file, monkeypatch), "migrations")
    assert "9999" in cause
    assert "install the release" in step


def test_the_command_on_sqlite(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{file}")
    reload_settings()
    out = io.StringIO()
    assert main_check(json=True, stdout=out) == 0
    document = json.loads(out.getvalue())
    assert document["backend"] == "sqlite"
    assert [entry["status"] for entry in document["checks"]] == ["ok"] * len(NAMES)


def test_a_wrong_setting_ends_with_78(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USE_DATABRICKS", "perhaps")
    out = io.StringIO()
    assert main_check(stdout=out) == 78
    assert "USE_DATABRICKS" in out.getvalue()
    assert out.getvalue().endswith("Failed: Settings.\n")


def test_a_check_that_breaks_is_a_failure_and_not_a_traceback() -> None:
    def broken() -> Settings:
        raise RuntimeError("out of luck")

    report = run_checks(broken)
    assert report.exit_code == 1
    assert report.backend is None
    assert "RuntimeError: out of luck" in (report.result("settings").finding.cause or "")
