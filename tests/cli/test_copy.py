"""``vinci copy``, as a user runs it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.cli.process import vinci
from tests.database.moving.samples import content, execute, make
from vinci_code.warehouse.pytest_plugin import TestWarehouse


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    return make(tmp_path / "shop.db", 40)


def test_a_file_is_copied_and_the_report_is_written(shop: Path, tmp_path: Path) -> None:
    target, page = tmp_path / "copy.db", tmp_path / "report.html"
    done = vinci("copy", str(shop), str(target), "--report", str(page))
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines[0] == f"From SQLite, {shop}"
    assert lines[-1].endswith("equal on both sides, by counts and checksums.")
    assert re.search(r"^every: 40 rows copied, equal, \d+\.\d s$", done.out, re.MULTILINE)
    assert content(target) == content(shop)
    text = page.read_text(encoding="utf-8")
    assert "<polyline points=" in text
    assert not re.search(r"""(src|href)=|https?://|url\(|<script""", text)
    assert text.count("<details>") == 4


@pytest.mark.parametrize("name", ["shop.db", "none/report.html", "folder.json"])
def test_a_report_that_cannot_be_written_is_refused_at_once(
    name: str, shop: Path, tmp_path: Path
) -> None:
    (tmp_path / "folder.json").mkdir()
    before = shop.read_bytes()
    target = tmp_path / "copy.db"
    done = vinci("copy", str(shop), str(target), "--report", str(tmp_path / name))
    assert done.code == 2
    assert "nothing was copied" in done.err
    assert shop.read_bytes() == before
    assert not target.exists()


@pytest.mark.parametrize("name", ["source", "target", "link", "wal", "other"])
def test_a_report_is_written_over_no_database(shop: Path, tmp_path: Path, name: str) -> None:
    source, target, report = shop.rename(tmp_path / "shop.txt"), tmp_path / "new.txt", "r.html"
    if name in ("source", "target"):
        # Another way to the file, which a copy makes only later where it is the target.
        report = (
            f"{tmp_path.name}/../{tmp_path.name}/{(source if name == 'source' else target).name}"
        )
        report = f"../{report}"
    elif name == "other":
        make(tmp_path / report, 8)
    else:
        aim = target if name == "link" else tmp_path / f"{target.name}-wal"
        (tmp_path / report).symlink_to(aim)
    before = {one.name: one.read_bytes() for one in tmp_path.iterdir() if one.is_file()}
    done = vinci("copy", str(source), str(target), "--report", str(tmp_path / report))
    assert done.code == 2, done.out
    assert "which it would overwrite; name another file; nothing was copied" in done.err
    after = {one.name: one.read_bytes() for one in tmp_path.iterdir() if one.is_file()}
    assert after == before


def test_a_report_that_fails_after_the_copy_says_that_it_is_done(
    shop: Path, tmp_path: Path
) -> None:
    (tmp_path / "full.txt").symlink_to("/dev/full")
    done = vinci(
        "copy", str(shop), str(tmp_path / "copy.db"), "--report", str(tmp_path / "full.txt")
    )
    assert done.code != 0
    assert "the copy is done, and its report was not written: No space left" in done.err
    assert "equal on both sides" in done.out


def test_the_report_as_json_names_proofs_and_decisions(shop: Path, tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    done = vinci("copy", str(shop), str(tmp_path / "copy.db"), "--json", "--report", str(file))
    document = done.document()
    assert document == json.loads(file.read_text("utf-8"))
    assert (document["proved"], document["mode"], document["rows"]) == (True, "copy", 80)
    every = next(one for one in document["tables"] if one["table"] == "every")
    assert every["checksums"]["s"]["equal"] is True
    assert every["checksums"]["s"]["source"] == every["checksums"]["s"]["target"]
    assert document["timeline"][-1][1] == 80


def test_a_difference_is_exit_code_1(shop: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy.db"
    assert vinci("copy", str(shop), str(target)).code == 0
    assert vinci("copy", str(shop), str(target), "--verify-only").code == 0
    execute(target, "UPDATE twice SET vinci = 'w' WHERE b = 3")
    done = vinci("copy", str(shop), str(target), "--verify-only")
    assert done.code == 1
    assert "  vinci: the checksums differ (20 and 20 values)" in done.out.splitlines()
    assert "  rows that differ, by key: a3, 3" in done.out.splitlines()
    assert vinci("copy", str(shop), str(target), "--sync").code == 0
    assert content(target) == content(shop)


def test_a_refusal_is_exit_code_65_and_writes_nothing(shop: Path, tmp_path: Path) -> None:
    execute(shop, "CREATE TABLE odd (id INTEGER PRIMARY KEY, what)")
    target = tmp_path / "copy.db"
    planned = vinci("copy", str(shop), str(target), "--dry-run")
    assert planned.code == 65
    refusal = "odd.what: its type says nothing of its values (declared as nothing); to fix it: "
    assert refusal in planned.out
    assert not target.exists()
    done = vinci("copy", str(shop), str(target))
    assert (done.code, done.out) == (65, "")
    assert refusal in done.err
    assert vinci("copy", str(shop), str(target), "--as", "odd.what=text").code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("missing.db", "copy.db"), 69, "missing.db does not exist"),
        (("shop.db", "shop.db"), 65, "it is the source and the target"),
        (("shop.db", "copy.db", "--delete"), 2, "it needs --sync"),
        (("shop.db", "copy.db", "--sync", "--dry-run"), 2, "only one of them at a time"),
        (("shop.db", "copy.db", "--as", "x=y"), 2, "write it as orders.token=uuid"),
        (("shop.db", "copy.db", "--table", "nope"), 65, "has no such table"),
        (("databricks", "copy.db"), 78, "set USE_DATABRICKS=true"),
        (("shop.db", "no/such/folder/copy.db"), 69, "folder of the SQLite file"),
    ],
)
def test_what_is_wrong_is_said(
    shop: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    code: int,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    done = vinci("copy", *arguments)
    assert done.code == code
    assert message in done.err
    assert "Traceback" not in done.err
    assert [one.name for one in tmp_path.glob("*.db")] == ["shop.db"]


def test_a_password_in_a_url_is_never_printed(shop: Path) -> None:
    url = "mssql+pymssql://me:hunter2hunter2@db.example.com/shop"
    for arguments in ((str(shop), url), (url, str(shop)), (str(shop), url, "--json")):
        done = vinci("copy", *arguments)
        assert done.code == 65
        assert "hunter2" not in done.out + done.err
        assert "its driver (pymssql) is not installed" in done.err


@pytest.mark.parametrize(
    "url",
    [
        "mssql+pymssql://h/s?password=hunter2hunter2",
        "mssql+pymssql://me:hunter2@h/s",
        "mssql+pyodbc:///?odbc_connect=DRIVER%3DX%3BPWD%3Dhunter2hunter2",
        "mysql+pymysql://h/s?passwd=hunter2hunter2",
        "postgresql+psycopg://me:hunter2@127.0.0.1:1/d?passfile=/hunter2&options=-chunter2",
    ],
)
def test_no_option_of_a_url_is_printed(shop: Path, tmp_path: Path, url: str) -> None:
    for ends in ((str(shop), url), (url, str(tmp_path / "copy.db"))):
        done = vinci("copy", *ends)
        assert done.code in (65, 69), done.err
        assert "hunter2" not in done.out + done.err


def test_a_file_that_is_no_database_is_named(shop: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    other.write_bytes(b"no database" * 100)
    done = vinci("copy", str(other), str(tmp_path / "copy.db"))
    assert done.code == 69
    assert "file is not a database" in done.err
    assert str(other) in done.err


def test_the_configured_warehouse_there_and_back(
    shop: Path, tmp_path: Path, local_warehouse: TestWarehouse
) -> None:
    there = vinci("copy", str(shop), "databricks", "--json", env=local_warehouse.env)
    assert there.code == 0, there.err
    assert there.document()["target"].startswith("Databricks, localhost:")
    token = local_warehouse.env["DATABRICKS_ACCESS_TOKEN"]
    assert token not in there.out + there.err
    back = vinci("copy", "databricks", str(tmp_path / "back.db"), env=local_warehouse.env)
    assert back.code == 0, back.err
    assert re.search(r"^every, version \d+: 40 rows copied, equal", back.out, re.MULTILINE)
    assert len(content(tmp_path / "back.db")["every"]) == 40
