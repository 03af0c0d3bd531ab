"""Files that no import can use, targets that no export can write: one line, an exit code."""

from __future__ import annotations

import gzip
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.process import (
    SAMPLE,
    Result,
    event_line,
    vinci,
    without_override,
    write_lines,
)
from tests.cli.test_events import keys, run
from tests.full import part

pytestmark = part(2)


GOOD = event_line(1)
CSV_HEADER = "event_key,event_type,source,occurred_at\n"


def junk() -> bytes:
    return random.Random(7).randbytes(100_000)


BAD_FILES: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "binary junk": ("a.jsonl", junk, "line 1: is no text in UTF-8: byte 2 of it is 0xb4"),
    "binary junk called gz": ("a.jsonl.gz", junk, "line 1: cannot be read on: Not a gzipped file"),
    "binary junk called csv": ("a.csv", junk, "line 1"),
    "a line of 20 MB": (
        "a.jsonl",
        lambda: event_line(1, description="x" * 20_000_000).encode(),
        "line 1: is longer than 16,777,216 bytes",
    ),
    "a gz that was cut off": (
        "a.jsonl.gz",
        lambda: gzip.compress(SAMPLE.read_bytes())[:50_000],
        "cannot be read on: Compressed file ended",
    ),
    "a gz with one wrong byte": (
        "a.jsonl.gz",
        lambda: gzip.compress(GOOD.encode())[:-5] + b"12345",
        "cannot be read on: CRC check failed",
    ),
    "junk behind a gz": (
        "a.jsonl.gz",
        lambda: gzip.compress((GOOD + event_line(2)).encode()) + b"junk",
        "line 3: cannot be read on: Not a gzipped file",
    ),
    "a name twice": (
        "a.jsonl",
        lambda: f'{GOOD.strip()[:-1]},"source":"other"}}\n'.encode(),
        "line 1: has the name 'source' twice in one object",
    ),
    "a name twice in a payload": (
        "a.jsonl",
        lambda: (
            event_line(1, payload={"x": [{"a": 1}]}).replace('"a"', '"a": 2, "\\u0061"').encode()
        ),
        "line 1: has the name 'a' twice in one object",
    ),
    "a name twice beside a long number": (
        "a.jsonl",
        lambda: event_line(1, payload={"a": 10**18}).replace('"a"', '"a": 2, "a"').encode(),
        "line 1: has the name 'a' twice in one object",
    ),
    "UTF-16": ("a.jsonl", lambda: GOOD.encode("utf-16"), "line 1: is text in UTF-16 or UTF-32"),
    "UTF-16 without a mark": (
        "a.jsonl",
        lambda: GOOD.encode("utf-16-le"),
        "it has NUL bytes, as text in UTF-16 has",
    ),
    "UTF-32": ("a.jsonl", lambda: GOOD.encode("utf-32"), "line 1: is text in UTF-16 or UTF-32"),
    "CSV in UTF-16": ("a.csv", lambda: CSV_HEADER.encode("utf-16"), "convert the file to UTF-8"),
    "NUL bytes": ("a.jsonl", lambda: b"\0" * 1000 + b"\n", "line 1: is not JSON"),
    "bytes that are no UTF-8": (
        "a.jsonl",
        lambda: GOOD.encode().replace(b"tests", b"\xff\xfe"),
        "line 1: is no text in UTF-8: byte 57 of it is 0xff",
    ),
    "a CSV with another header": (
        "a.csv",
        lambda: b"when,what\n1,2\n",
        "line 1: the header has to name the columns",
    ),
    "a CSV with a missing cell": (
        "a.csv",
        lambda: f"{CSV_HEADER}k,t,s\n".encode(),
        "line 2: has 3 cells, the header has 4",
    ),
    "a CSV with an open quote": (
        "a.csv",
        lambda: f'{CSV_HEADER}"k,t,s\n'.encode(),
        "is not CSV",
    ),
    "a number in place of a text": (
        "a.jsonl",
        lambda: event_line(1, source=5).encode(),
        "line 1: source is a JSON number; text is wanted",
    ),
    "a field that does not exist": (
        "a.jsonl",
        lambda: event_line(1, magnitude=5).encode(),
        "line 1: has the unknown field 'magnitude'",
    ),
    "a time without an offset": (
        "a.jsonl",
        lambda: event_line(1, occurred_at="2018-01-31T00:00:00").encode(),
        "line 1: occurred_at is '2018-01-31T00:00:00'",
    ),
    "a hundred thousand brackets": ("a.jsonl", lambda: b"[" * 100_000 + b"\n", "line 1: is "),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_bad_file_is_one_line_with_file_line_and_reason(case: str) -> None:
    name, content, reason = BAD_FILES[case]
    Path(name).write_bytes(content())
    found = run("events", "import", name)
    assert (found.code, found.out) == (65, "")
    first, *rest = found.err.splitlines()
    assert first.startswith(f"Error: {name}, line ")
    assert reason in first
    assert rest == ["Nothing was committed before it."]
    assert keys() == []


def test_bytes_that_are_no_utf_8_cost_one_line_of_a_csv() -> None:
    rows = [f"k{n},t,s,2018-01-31T00:00:00Z\n".encode() for n in range(3)]
    rows[1] = rows[1].replace(b"t,s", b"\xff,s")
    Path("a.csv").write_bytes(CSV_HEADER.encode() + b"".join(rows))
    found = run("events", "import", "a.csv", "--on-error", "skip")
    assert found.code == 0
    assert found.err == "Skipped: a.csv, line 3: event_type holds bytes that are not UTF-8\n"
    assert keys() == ["k0", "k2"]


def test_a_long_line_is_skipped_and_the_next_one_read() -> None:
    long = event_line(1, description="x" * 20_000_000)
    write_lines(Path("a.jsonl"), [event_line(0), long, event_line(2)])
    found = run("events", "import", "a.jsonl", "--on-error", "skip")
    assert found.code == 0
    assert keys() == ["key-0", "key-2"]


def test_what_stands_before_the_damage_is_stored_with_skip() -> None:
    packed = gzip.compress(SAMPLE.read_bytes())
    Path("a.jsonl.gz").write_bytes(packed[: len(packed) // 2])
    found = run("events", "import", "a.jsonl.gz", "--on-error", "skip")
    assert found.code == 65
    error, kept, *_ = found.err.splitlines()
    assert "cannot be read on: Compressed file ended" in error
    count = len(keys())
    assert count > 500
    assert f"kept: {count:,} new events; 0 already there." in kept
    assert "nothing is kept" not in kept


def test_what_is_no_file() -> None:
    Path("folder").mkdir()
    found = run("events", "import", "folder")
    assert (found.code, found.out) == (65, "")
    assert found.err.startswith("Error: folder: is a folder")
    assert run("events", "import", "missing").code == 65


def test_a_file_name_with_a_line_break_stays_one_line() -> None:
    found = run("events", "import", "a\nb\x1b[2J")
    assert found.err == "Error: a\\nb\\x1b[2J: cannot be opened: No such file or directory\n"


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="rights of files as POSIX has them")
def test_a_file_that_may_not_be_read() -> None:
    Path("secret.jsonl").write_text(GOOD)
    Path("secret.jsonl").chmod(0)
    found = vinci("events", "import", "secret.jsonl", before_exec=without_override)
    assert found == Result(65, "", "Error: secret.jsonl: cannot be opened: Permission denied\n")


def test_an_export_into_a_folder_that_does_not_exist() -> None:
    found = run("events", "export", "missing/out.jsonl")
    assert (found.code, found.out) == (1, "")
    assert found.err.startswith("Error: ")
    assert "No such file or directory" in found.err
    assert len(found.err.splitlines()) == 1


def test_an_export_to_what_is_a_folder() -> None:
    Path("folder").mkdir()
    found = run("events", "export", "folder")
    assert (found.code, found.err) == (
        1,
        "Error: folder: Is a directory\n",
    )
    assert list(Path("folder").iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="rights of files as POSIX has them")
def test_an_export_that_may_not_be_written_leaves_what_was_there() -> None:
    folder = Path("folder")
    folder.mkdir()
    (folder / "out.jsonl").write_text("before")
    run("events", "add", "--type", "t", "--source", "s")
    folder.chmod(0o555)
    found = vinci("events", "export", "folder/out.jsonl", before_exec=without_override)
    folder.chmod(0o755)
    assert found.code == 1
    assert "Permission denied" in found.err
    assert len(found.err.splitlines()) == 1
    assert [path.name for path in folder.iterdir()] == ["out.jsonl"]
    assert (folder / "out.jsonl").read_text() == "before"


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="rights of files as POSIX has them")
@pytest.mark.parametrize(
    "command", [("import", "a.jsonl"), ("add", "--type", "t", "--source", "s")]
)
def test_a_database_that_may_only_be_read(command: tuple[str, ...]) -> None:
    write_lines(Path("a.jsonl"), [event_line(2)])
    folder = Path("folder")
    folder.mkdir()
    env = {"DATABASE_URL": "sqlite:///folder/a.db"}
    assert vinci("events", "add", "--type", "t", "--source", "s", env=env).code == 0
    (folder / "a.db").chmod(0o444)
    folder.chmod(0o555)
    found = vinci("events", *command, env=env, before_exec=without_override)
    folder.chmod(0o755)
    assert (found.code, found.out) == (69, "")
    assert found.err.startswith("Error: The SQLite file ")
    assert "a.db cannot be used: " in found.err
    assert "Traceback" not in found.err


@pytest.mark.parametrize(
    "command",
    [
        ("events", "list"),
        ("events", "stats", "--json"),
        ("events", "export", "out.jsonl"),
        ("events", "import", str(SAMPLE)),
        ("db", "status"),
        ("db", "upgrade"),
        ("db", "downgrade", "base", "--yes"),
        ("demo",),
    ],
)
def test_a_file_that_is_no_database(command: tuple[str, ...]) -> None:
    Path("vinci.db").write_text("This is a letter to my landlord, and no database at all.\n" * 99)
    found = run(*command)
    assert found.code == 69
    (line,) = found.err.splitlines()
    assert line.startswith("Error: The SQLite file ")
    assert "vinci.db cannot be used: file is not a database." in line
    assert Path("vinci.db").read_text().startswith("This is a letter")
    assert not Path("out.jsonl").exists()
