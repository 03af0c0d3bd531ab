"""The file that tables are kept in: what cannot be is refused, left as it is, and told."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from tests.cli.process import vinci, without_override
from tests.patience import PATIENCE_S
from vinci_code.core.errors import DatabaseFileError
from vinci_code.warehouse.engine.store import Store

ADVICE = "To fix it: "


def text(path: Path) -> None:
    path.write_text("no database")


def sqlite(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE t (a)")
    connection.commit()
    connection.close()


def of_somebody_else(path: Path) -> None:
    connection = duckdb.connect(path)
    connection.execute("CREATE TABLE theirs (a INT)")
    connection.close()


def cut_short(path: Path) -> None:
    Store(path).close()
    path.write_bytes(path.read_bytes()[:5000])


@pytest.mark.filterwarnings("ignore::vinci_code.core.errors.InsecureFileWarning")
@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (text, "it is no file of DuckDB's"),
        (sqlite, "it is no file of DuckDB's"),
        (of_somebody_else, "it holds tables that are not a local warehouse's"),
        (cut_short, "DuckDB says: "),
        (Path.mkdir, "it is a folder"),
        pytest.param(
            lambda path: os.mkfifo(path),
            "it is no regular file",
            marks=pytest.mark.skipif(os.name != "posix", reason="there are none"),
        ),
    ],
    ids=["text", "sqlite", "somebody else's", "cut short", "folder", "pipe"],
)
def test_what_is_no_file_of_ours_is_left_as_it_is(
    make: Callable[[Path], None], expected: str, tmp_path: Path
) -> None:
    path = tmp_path / "tables.db"
    make(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(DatabaseFileError) as caught:
        Store(path)
    said = str(caught.value)
    assert f"cannot be kept in {path}: {expected}" in said
    assert said.count(ADVICE) == 1
    assert "--data" in said
    assert before is None or path.read_bytes() == before
    assert [found.name for found in tmp_path.iterdir() if found.name.startswith("tables")] == [
        "tables.db"
    ]


def test_a_folder_that_is_not_there_is_named_with_what_makes_it(tmp_path: Path) -> None:
    with pytest.raises(DatabaseFileError) as caught:
        Store(tmp_path / "not there" / "x.db")
    assert f"mkdir -p '{tmp_path / 'not there'}'" in str(caught.value)


@pytest.mark.skipif(os.name != "posix", reason="rights are POSIX")
@pytest.mark.parametrize("closed", ["folder", "file to be read", "file to be written"])
def test_rights_that_are_missing(closed: str) -> None:
    folder = Path("data")
    folder.mkdir()
    path = folder / "tables.db"
    if closed != "folder":
        Store(path).close()
    {"folder": folder, "file to be read": path, "file to be written": path}[closed].chmod(
        {"folder": 0o555, "file to be read": 0o200, "file to be written": 0o400}[closed]
    )
    ended = vinci("warehouse", "serve", "--data", str(path), before_exec=without_override)
    folder.chmod(0o755)
    assert (ended.code, ended.out) == ((2, "") if closed == "file to be read" else (69, ""))
    assert "Traceback" not in ended.err
    assert closed == "file to be read" or "chmod u+rw" in ended.err


def test_a_file_that_another_process_uses(tmp_path: Path) -> None:
    path = tmp_path / "tables.db"
    program = (
        "import sys; from vinci_code.warehouse.engine.store import Store\n"
        "store = Store(sys.argv[1]); print('ready', flush=True); sys.stdin.read(); store.close()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"ready\n"
        with pytest.raises(DatabaseFileError) as caught:
            Store(path)
        other.communicate(timeout=PATIENCE_S)
    assert other.returncode == 0
    assert "end the process that uses it" in str(caught.value)
    Store(path).close()


def test_nothing_is_got_from_the_network() -> None:
    store = Store(None)
    for name in ("autoinstall_known_extensions", "autoload_known_extensions"):
        found = store.root.execute(f"SELECT current_setting('{name}')").fetchone()
        assert found == (False,)
    store.close()


def test_what_does_not_fit_into_memory_is_put_into_a_folder_that_is_gone_afterwards() -> None:
    store = Store(None)
    row = store.root.execute("SELECT current_setting('temp_directory')").fetchone()
    assert row is not None
    folder = Path(row[0])
    assert folder.is_dir()
    assert os.name != "posix" or folder.stat().st_mode & 0o077 == 0
    store.root.execute("SET memory_limit = '40MB'")
    store.root.execute("SET threads = 1")
    result = store.root.execute(
        "SELECT hash(range) AS h, repeat('x', 100) AS x FROM range(600000) ORDER BY h"
    )
    assert result.fetchone() is not None
    spilled = list(folder.iterdir())
    store.close()
    assert spilled, "the query was too small to show anything"
    assert not folder.exists()
    assert list(Path.cwd().iterdir()) == []
