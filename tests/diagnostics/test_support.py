"""The report for support: what is in it, what is not, and what it may replace."""

from __future__ import annotations

import json
import logging
import os
import stat
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import DBAPIError

from tests.fakes.certificates import Authority
from vinci_code.core.errors import ReportFileError
from vinci_code.core.logs import _JsonLine, _ReadableLine
from vinci_code.core.redaction import MASK, register_secret
from vinci_code.diagnostics import support, support_file
from vinci_code.diagnostics.log_errors import MOST, errors_of
from vinci_code.diagnostics.support import CONTENT, Member, collect, planned
from vinci_code.diagnostics.support_file import refuse_file, write_report
from vinci_code.warehouse import Fault
from vinci_code.warehouse.pytest_plugin import TestWarehouse

SECRET = "Vc9kZ+7qT~patLw3=Rx5_Nf8-Hy2"
STATEMENT = "0f0e0d0c-0b0a-0908-0706-050403020100"


def documents(members: tuple[Member, ...]) -> dict[str, Any]:
    return {member.name: json.loads(member.content) for member in members}


# --- what is in it --------------------------------------------------------------------------------


def test_on_sqlite(tmp_path: Path) -> None:
    found = documents(collect(checks=False))
    assert list(found) == planned(checks=False)
    assert found["manifest.json"]["format"] == "vinci report 1"
    assert [one["name"] for one in found["manifest.json"]["members"]] == list(found)[1:]
    assert found["versions.json"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert found["versions.json"]["packages"]["SQLAlchemy"].startswith("2.")
    sources = {one["variable"]: one["source"] for one in found["settings.json"]["settings"]}
    assert sources["USE_DATABRICKS"] == "default"
    assert found["errors.json"]["statements"] == []
    assert not list(tmp_path.glob("work/*"))


def test_checks_and_engines_are_in_it_where_they_are_asked_for() -> None:
    engine = create_engine("sqlite://")
    found = documents(collect(engines=[engine]))
    assert list(found) == planned(engines=True)
    assert found["checks.json"]["backend"] == "sqlite"
    (told,) = found["statistics.json"]["engines"]
    assert told["url"] == "sqlite://"
    assert told["statistics"] is None
    engine.dispose()


def test_settings_that_are_wrong_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USE_DATABRICKS", "true")
    monkeypatch.setenv("DATABRICKS_ACCESS_TOKEN", "your-token")
    found = documents(collect(checks=False))
    assert len(found["settings.json"]["problems"]) >= 2
    assert "the query history was not shown" in found["errors.json"]["note"]


def test_on_a_warehouse_the_last_errors_are_told_by_their_ids_alone(
    local_warehouse: TestWarehouse, warehouse_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in local_warehouse.env.items():
        monkeypatch.setenv(name, value)
    with warehouse_engine.connect() as connection, pytest.raises(DBAPIError) as caught:
        connection.execute(text("SELECT 'a value that is private' FROM nowhere"))
    local_warehouse.warehouse.clear_requests()
    members = collect(checks=False, engines=[warehouse_engine])
    found = documents(members)
    newest = found["errors.json"]["statements"][0]
    assert newest["statement_id"] == caught.value.orig.statement_id  # type: ignore[union-attr]
    assert (newest["error_class"], newest["sqlstate"]) == ("TABLE_OR_VIEW_NOT_FOUND", "42P01")
    (told,) = found["statistics.json"]["engines"]
    assert told["statistics"]["units"] == 0
    assert "Pool" in told["pool"]
    whole = b"".join(member.content for member in members).decode()
    assert "private" not in whole
    assert "nowhere" not in whole
    assert local_warehouse.warehouse.access_token not in whole
    # Nothing but REST was asked: a warehouse that is stopped stays so.
    assert {request.method for request in local_warehouse.requests} == {"GET"}


def test_a_history_that_is_not_shown_ends_nothing(
    local_warehouse: TestWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in local_warehouse.env.items():
        monkeypatch.setenv(name, value)
    local_warehouse.inject(Fault.http(403, operation="GET /api/2.0/sql/history/queries"))
    found = documents(collect(checks=False))
    assert "does not show the query history" in found["errors.json"]["note"]


def test_what_shows_a_secret_as_a_whole_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(support, "masked_document", lambda value: value)
    monkeypatch.setattr(support, "_versions", lambda: {"it": SECRET})
    register_secret(SECRET)
    found = documents(collect(checks=False))
    assert found["versions.json"] == {"left_out": "as a whole it looks like it holds a secret"}


def test_a_secret_of_the_settings_is_masked(
    monkeypatch: pytest.MonkeyPatch, authority: Authority
) -> None:
    monkeypatch.setenv("DATABRICKS_CA_FILE", str(authority.file))
    monkeypatch.setenv("USE_DATABRICKS", "true")
    monkeypatch.setenv("DATABRICKS_HOST", "localhost:1")
    monkeypatch.setenv("DATABRICKS_HTTP_PATH", "/sql/1.0/warehouses/0123456789abcdef")
    monkeypatch.setenv("DATABRICKS_ACCESS_TOKEN", SECRET)
    members = collect(checks=False)
    assert SECRET.encode() not in b"".join(member.content for member in members)
    settings = {one["variable"]: one for one in documents(members)["settings.json"]["settings"]}
    assert settings["DATABRICKS_ACCESS_TOKEN"]["value"] == MASK


# --- the errors of a log --------------------------------------------------------------------------


def raised(message: str) -> Any:
    try:
        try:
            raise KeyError("a private value")
        except KeyError as error:
            raise ValueError(message) from error
    except ValueError:
        return sys.exc_info()


@pytest.mark.parametrize("formatter", [_JsonLine(), _ReadableLine()], ids=["json", "text"])
def test_errors_are_taken_without_their_messages(
    tmp_path: Path, formatter: logging.Formatter
) -> None:
    failure = (
        "[TABLE_OR_VIEW_NOT_FOUND] a private value [PRIVATE]\nhunter2\nprivate: x\n"
        f"statement {STATEMENT} SQLSTATE: 42P01"
    )
    records = [
        {"levelname": "INFO", "msg": "no error [NOT_TAKEN]"},
        {"levelname": "ERROR", "msg": "a private value\nof two lines"},
        {"levelname": "CRITICAL", "msg": "so", "exc_info": raised(failure)},
        {"levelname": "WARNING", "msg": "no error"},
    ]
    made = [logging.makeLogRecord({"name": "shop.orders", **record}) for record in records]
    file = tmp_path / "app.log"
    file.write_text("no line of ours\n" + "".join(f"{formatter.format(one)}\n" for one in made))
    first, second = errors_of(file)
    assert first.pop("time").endswith("Z")
    assert second.pop("time").endswith("Z")
    none = {"kind": None, "error_class": None, "sqlstate": None, "statement_ids": []}
    assert first == {"level": "ERROR", "logger": "shop.orders", **none}
    assert second == {
        "level": "CRITICAL",
        "logger": "shop.orders",
        "kind": "ValueError",
        "error_class": "TABLE_OR_VIEW_NOT_FOUND",
        "sqlstate": "42P01",
        "statement_ids": [STATEMENT],
    }


def test_a_log_of_anything_gives_nothing(tmp_path: Path) -> None:
    file = tmp_path / "app.log"
    strange = [
        b"\x00\xff\xfe",
        b'{"level": "ERROR"}',
        b'{"level": "ERROR", "time": "yesterday: a private value"}',
        b'{"level": ["ERROR"], "time": {}}',
        b"[" * 100_000,
        b'{"a":' * 10_000,
        b"2026-11-30T08:00:00Z ERROR",
        b"2026-11-30 08:00:00,123 ERROR root a private value",
    ]
    file.write_bytes(b"\n".join(strange))
    assert errors_of(file) == []


def test_of_a_large_log_the_end_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vinci_code.diagnostics import log_errors

    file = tmp_path / "app.log"
    line = '{{"level": "ERROR", "time": "2026-11-30T08:00:00.{:03}Z", "logger": "a"}}\n'
    file.write_text("".join(map(line.format, range(500))))
    found = errors_of(file)
    assert [one["time"][-4:-1] for one in found] == [f"{n:03}" for n in range(500 - MOST, 500)]
    monkeypatch.setattr(log_errors, "READ", 3 * len(line) - 10)
    assert len(errors_of(file)) in (2, 3)


# --- the file -------------------------------------------------------------------------------------

MEMBERS = (
    Member("manifest.json", "", json.dumps({"format": support.FORMAT}).encode()),
    Member("versions.json", "", b"{}"),
)


def test_the_file_is_private_and_always_the_same(tmp_path: Path) -> None:
    first, second = tmp_path / "a.zip", tmp_path / "b.zip"
    write_report(first, MEMBERS)
    write_report(second, MEMBERS)
    assert first.read_bytes() == second.read_bytes()
    assert stat.S_IMODE(first.stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.glob("*.zip")) == ["a.zip", "b.zip"]
    assert not [path for path in tmp_path.iterdir() if "unfinished" in path.name]
    with zipfile.ZipFile(first) as packed:
        assert packed.namelist() == [member.name for member in MEMBERS]
        assert packed.testzip() is None
        assert {entry.date_time for entry in packed.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def other_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("manifest.json", '{"format": "another"}')


def large_manifest(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("manifest.json", b" " * 2 * 1024 * 1024 + MEMBERS[0].content)


def link(path: Path) -> None:
    write_report(path.with_name("real.zip"), MEMBERS)
    path.symlink_to("real.zip")


STANDING = {
    "an earlier report": (lambda path: write_report(path, MEMBERS), True),
    "a text": (lambda path: path.write_text("mine"), False),
    "nothing in it": (lambda path: path.touch(), False),
    "another zip": (other_zip, False),
    "a zip with a large manifest": (large_manifest, False),
    "a folder": (lambda path: path.mkdir(), False),
    "a link to a report": (link, False),
    "a link to nothing": (lambda path: path.symlink_to("nowhere"), False),
}


@pytest.mark.parametrize("name", STANDING)
def test_nothing_but_an_earlier_report_is_replaced(tmp_path: Path, name: str) -> None:
    make, may_be_replaced = STANDING[name]
    file = tmp_path / "report.zip"
    make(file)
    before = {path.name: path.lstat() for path in tmp_path.iterdir()}
    with pytest.raises(ReportFileError, match="is there already"):
        write_report(file, MEMBERS)
    if may_be_replaced:
        write_report(file, MEMBERS[:1], replace=True)
        with zipfile.ZipFile(file) as packed:
            assert packed.namelist() == ["manifest.json"]
        return
    with pytest.raises(ReportFileError, match="is no report of 'vinci report'"):
        write_report(file, MEMBERS, replace=True)
    after = {path.name: path.lstat() for path in tmp_path.iterdir()}
    assert [(one.st_ino, one.st_size) for one in after.values()] == [
        (one.st_ino, one.st_size) for one in before.values()
    ]


@pytest.mark.parametrize(
    ("name", "said"), [("report.txt", "ends with .zip"), ("none/report.zip", "is not there")]
)
def test_where_it_cannot_be(tmp_path: Path, name: str, said: str) -> None:
    with pytest.raises(ReportFileError, match=said):
        refuse_file(tmp_path / name, replace=True)


def test_what_comes_meanwhile_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "report.zip"
    pack = support_file._pack

    def pack_slowly(*given: Any) -> None:
        pack(*given)
        file.write_text("mine")

    monkeypatch.setattr(support_file, "_pack", pack_slowly)
    with pytest.raises(ReportFileError, match="has come meanwhile"):
        write_report(file, MEMBERS)
    assert file.read_text() == "mine"
    file.unlink()
    with pytest.raises(ReportFileError, match="is no report"):
        write_report(file, MEMBERS, replace=True)
    assert [path.name for path in tmp_path.glob("*.zip")] == ["report.zip"]
    assert not list(tmp_path.glob(".*unfinished"))


def test_where_there_are_no_links_it_is_written_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    write_report(tmp_path / "a.zip", MEMBERS)
    assert zipfile.is_zipfile(tmp_path / "a.zip")
    with pytest.raises(ReportFileError, match="is there already"):
        support_file._put(tmp_path / "a.zip", tmp_path / "a.zip")


def test_what_a_killed_process_left_is_no_hindrance(tmp_path: Path) -> None:
    (tmp_path / f".a.zip.{os.getpid()}.unfinished").write_text("half")
    write_report(tmp_path / "a.zip", MEMBERS)
    assert not list(tmp_path.glob(".*unfinished"))


def test_every_member_is_told() -> None:
    assert planned(engines=True, log=True) == list(CONTENT)
