"""Volumes: their statements, their files on disk, and that no path leads out of them."""

# ruff: noqa: F401, F811 - pytest finds fixtures by the name they are imported under

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from tests.warehouse.engine.client import Client, db, engine
from vinci_code.core.errors import DatabaseFileError
from vinci_code.warehouse.engine import volume_files, volume_paths
from vinci_code.warehouse.engine.engine import Engine
from vinci_code.warehouse.engine.volume_files import VolumeFileError
from vinci_code.warehouse.engine.volume_paths import VolumePathError
from vinci_code.warehouse.sql.errors import SqlError

V = "/Volumes/main/default/v"


def store(engine: Engine, path: str, content: bytes = b"x") -> None:
    with engine.volumes.upload(engine.volumes.locate(path)) as upload:
        upload.write(content)
        upload.finish()


def content(engine: Engine, path: str) -> bytes:
    with engine.volumes.open(engine.volumes.locate(path)) as stream:
        return stream.read()


def on_disk(engine: Engine) -> list[str]:
    folder = engine.volumes.files._folder
    return sorted(item.name for item in folder.iterdir()) if folder.exists() else []


def test_create_describe_and_drop(db: Client) -> None:
    db.run("CREATE VOLUME V COMMENT 'raw files'")
    db.fails("CREATE VOLUME v", "VOLUME_ALREADY_EXISTS", "42000", "`main`.`default`.`v`")
    db.run("CREATE VOLUME IF NOT EXISTS main.default.v COMMENT 'other'")
    described = "DESCRIBE VOLUME v"
    assert db.names(described) == [
        "name", "catalog", "database", "owner", "storageLocation", "volumeType", "comment"
    ]  # fmt: skip
    row = ("v", "main", "default", "local@warehouse", None, "MANAGED", "raw files")
    assert db.run(described) == [row]
    db.run("COMMENT ON VOLUME v IS NULL")
    assert db.run(described) == [(*row[:-1], None)]
    db.run("DROP VOLUME v")
    for statement in (described, "DROP VOLUME v", "COMMENT ON VOLUME v IS 'x'", f"LIST '{V}'"):
        db.fails(statement, "UC_VOLUME_NOT_FOUND", "42704", "Please use 'SHOW VOLUMES'")
    db.run("DROP VOLUME IF EXISTS v")
    db.fails("CREATE VOLUME nowhere.v", "SCHEMA_NOT_FOUND", "42704")


def test_show_volumes_and_information_schema(db: Client) -> None:
    db.script("CREATE SCHEMA s", "CREATE VOLUME s.raw COMMENT 'c'", "CREATE VOLUME a1")
    db.script("CREATE VOLUME a2", "CREATE TABLE volume (a INT)")
    assert db.names("SHOW VOLUMES") == ["database", "volumeName"]
    assert db.run("SHOW VOLUMES") == [("default", "a1"), ("default", "a2")]
    assert db.run("SHOW VOLUMES IN s") == db.run("SHOW VOLUMES FROM main.s") == [("s", "raw")]
    assert db.run("SHOW VOLUMES LIKE '*2|b*'") == [("default", "a2")]
    db.fails("SHOW VOLUMES IN nowhere", "SCHEMA_NOT_FOUND", "42704")
    assert db.run(
        "SELECT volume_catalog, volume_schema, volume_name, volume_type, volume_owner, comment "
        "FROM system.information_schema.volumes WHERE volume_schema = 's'"
    ) == [("main", "s", "raw", "MANAGED", "local@warehouse", "c")]
    # A table may have the name that is a word of the statement.
    assert db.run("DESCRIBE volume") == [("a", "int", None)]


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE EXTERNAL VOLUME v LOCATION 's3://a/b'",
        "CREATE VOLUME v LOCATION 's3://a/b'",
        "CREATE OR REPLACE VOLUME v",
        "ALTER VOLUME v RENAME TO w",
        "LIST 's3://bucket/path'",
        "LIST '/etc'",
        f"LIST '{V}' WITH (CREDENTIAL c)",
        f"LIST '{V}' LIMIT 0",
        f"LIST '{V}' LIMIT 1002",
    ],
)
def test_refused_by_name(db: Client, statement: str) -> None:
    db.fails(statement, "UNSUPPORTED_BY_LOCAL_WAREHOUSE", "0A000")


def test_a_schema_with_a_volume_is_not_empty(engine: Engine, db: Client) -> None:
    db.script("CREATE CATALOG c", "CREATE SCHEMA c.s", "CREATE VOLUME c.s.v")
    store(engine, "/Volumes/c/s/v/a/b")
    db.fails("DROP SCHEMA c.s", "SCHEMA_NOT_EMPTY", "2BP01")
    db.fails("DROP SCHEMA c.s RESTRICT", "SCHEMA_NOT_EMPTY", "2BP01")
    db.fails("DROP CATALOG c", "CATALOG_NOT_EMPTY", "2BP01")
    db.run("DROP SCHEMA c.s CASCADE")
    assert on_disk(engine) == []
    db.script("CREATE SCHEMA c.s", "CREATE VOLUME c.s.v")
    assert db.run("LIST '/Volumes/c/s/v'") == []
    store(engine, "/Volumes/c/s/v/a")
    db.run("DROP CATALOG c CASCADE")
    assert on_disk(engine) == []


def test_list(engine: Engine, db: Client) -> None:
    db.run("CREATE VOLUME v")
    store(engine, f"{V}/a.txt", b"123")
    store(engine, f"{V}/d/e/b.txt", b"12345")
    engine.volumes.make_directory(engine.volumes.locate(f"{V}/empty"))
    listing = f"LIST '{V}'"
    assert db.names(listing) == ["path", "name", "size", "modification_time"]
    rows = db.run(listing)
    assert [row[:3] for row in rows] == [
        (f"{V}/a.txt", "a.txt", 3),
        (f"{V}/d/", "d/", 0),
        (f"{V}/empty/", "empty/", 0),
    ]
    assert rows[0][3] > 1_700_000_000_000
    assert db.run(f"LIST 'dbfs:{V}/' LIMIT 2") == rows[:2]
    assert [row[1] for row in db.run(f"LIST '{V}/d'")] == ["e/"]
    assert [row[1] for row in db.run(f"LIST '{V}/d/e/b.txt'")] == ["b.txt"]
    assert db.run(f"LIST '{V}/empty'") == []
    db.fails(f"LIST '{V}/missing'", "PATH_NOT_FOUND", "42K03", f"dbfs:{V}/missing")


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE VOLUME w",
        "DROP VOLUME v",
        "SHOW VOLUMES",
        "DESCRIBE VOLUME v",
        f"LIST '{V}'",
        f"PUT 'a' INTO '{V}/a'",
        f"GET '{V}/a' TO 'a'",
        f"REMOVE '{V}/a'",
    ],
)
def test_nothing_of_it_in_a_transaction(db: Client, statement: str) -> None:
    db.script("CREATE VOLUME v", "BEGIN TRANSACTION")
    db.fails(statement, "TRANSACTION_NOT_SUPPORTED.COMMAND", "0A000")
    db.run("ROLLBACK")


STRANGE = {
    "/etc/passwd": "begins with",
    "/volumes/main/default/v/a": "begins with",
    "Volumes/main/default/v/a": "begins with",
    "file:/Volumes/main/default/v/a": "begins with",
    "/Volumes": "begins with",
    "/Volumes/main/default": "names a catalog",
    f"{V}/../w/a": "'.' or '..'",
    f"{V}/..": "'.' or '..'",
    "/Volumes/main/../v/a": "'.' or '..'",
    f"{V}/./a": "'.' or '..'",
    f"{V}//a": "is empty",
    f"{V}//": "is empty",
    f"{V}/a\0b": "control character",
    f"{V}/a\nb": "control character",
    f"{V}/..\\..\\a": "backslash",
    f"{V}/\udcff": "UTF-8",
    f"{V}/{'ü' * 128}": "255 bytes",
    f"{V}/{'/'.join(['a' * 200] * 6)}": "1024 bytes",
}


@pytest.mark.parametrize("text", STRANGE)
def test_what_is_no_path(engine: Engine, db: Client, text: str) -> None:
    db.run("CREATE VOLUME v")
    with pytest.raises(VolumePathError, match=STRANGE[text]):
        engine.volumes.locate(text)


@pytest.mark.parametrize(
    "name", ["%2e%2e%2fa", "..a", "a..", "~", "-rf", "C:", "con", "a b", "ü", "ﬁ", "'", "$(x)", "*"]
)
def test_a_name_is_only_a_name(engine: Engine, db: Client, name: str) -> None:
    db.run("CREATE VOLUME v")
    store(engine, f"{V}/{name}", b"mine")
    assert content(engine, f"{V}/{name}") == b"mine"
    assert [row[1] for row in db.run(f"LIST '{V}'")] == [name]
    assert all(volume_files._OWN_NAME.fullmatch(item) for item in on_disk(engine))


def test_case_tells_files_apart_and_no_volumes(engine: Engine, db: Client) -> None:
    db.run("CREATE VOLUME v")
    store(engine, f"{V}/a", b"small")
    store(engine, "/Volumes/MAIN/Default/V/A", b"great")
    assert (content(engine, f"{V}/a"), content(engine, f"{V}/A")) == (b"small", b"great")


def test_a_file_appears_whole_or_not_at_all(engine: Engine, db: Client) -> None:
    db.run("CREATE VOLUME v")
    store(engine, f"{V}/a", b"old")
    path = engine.volumes.locate(f"{V}/a")
    with engine.volumes.upload(path) as upload:
        upload.write(b"new")
        assert content(engine, f"{V}/a") == b"old"
        # Nobody calls finish(): the client went away.
    assert content(engine, f"{V}/a") == b"old"
    assert len(on_disk(engine)) == 1
    with engine.volumes.open(path) as reading:
        store(engine, f"{V}/a", b"newer")
        assert reading.read() == b"old"
    assert content(engine, f"{V}/a") == b"newer"
    assert len(on_disk(engine)) == 1


def test_its_size_is_bounded(engine: Engine, db: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    assert volume_files.MAX_FILE_BYTES == 5 * 1024**3
    monkeypatch.setattr(volume_files, "MAX_FILE_BYTES", 10)
    db.run("CREATE VOLUME v")
    store(engine, f"{V}/a", b"x" * 10)
    with pytest.raises(VolumeFileError, match="may have 10 bytes"):
        store(engine, f"{V}/b", b"x" * 11)
    assert [row[1] for row in db.run(f"LIST '{V}'")] == ["a"]
    assert len(on_disk(engine)) == 1


def test_a_file_and_a_directory_have_no_path_in_common(engine: Engine, db: Client) -> None:
    db.run("CREATE VOLUME v")
    volumes = engine.volumes
    store(engine, f"{V}/d/a")
    for path in (f"{V}/d", V, f"{V}/d/a/b"):
        with pytest.raises(VolumeFileError) as caught:
            store(engine, path)
        assert caught.value.reason == volume_files.ALREADY_EXISTS
    for path in (f"{V}/d/a", f"{V}/d/a/b"):
        with pytest.raises(VolumeFileError):
            volumes.make_directory(volumes.locate(path))
    with pytest.raises(VolumeFileError) as caught:
        volumes.remove_directory(volumes.locate(f"{V}/d"))
    assert caught.value.reason == volume_files.NOT_EMPTY
    volumes.make_directory(volumes.locate(f"{V}/d"))
    volumes.remove(volumes.locate(f"{V}/d/a"))
    assert not volumes.is_directory(volumes.locate(f"{V}/d"))


def test_an_upload_to_a_volume_that_is_dropped_meanwhile(engine: Engine, db: Client) -> None:
    db.run("CREATE VOLUME v")
    for again in (False, True):
        with engine.volumes.upload(engine.volumes.locate(f"{V}/a")) as upload:
            upload.write(b"x")
            db.run("DROP VOLUME v")
            if again:
                db.run("CREATE VOLUME v")
            with pytest.raises(SqlError, match="UC_VOLUME_NOT_FOUND"):
                upload.finish()
        db.run("CREATE VOLUME IF NOT EXISTS v")
        assert db.run(f"LIST '{V}'") == []
    assert on_disk(engine) == []


def test_a_link_in_the_folder_is_not_followed(engine: Engine, db: Client, tmp_path: Path) -> None:
    db.run("CREATE VOLUME v")
    store(engine, f"{V}/a", b"inside")
    (name,) = on_disk(engine)
    secret = tmp_path / "secret"
    secret.write_bytes(b"outside")
    stored = engine.volumes.files._folder / name
    stored.unlink()
    stored.symlink_to(secret)
    with pytest.raises(OSError, match="symbolic link"):
        content(engine, f"{V}/a")


def test_files_stay_beside_the_data_file(tmp_path: Path) -> None:
    data = tmp_path / "tables.duckdb"
    engine = Engine(data)
    Client(engine).script("CREATE VOLUME v COMMENT 'kept'", "CREATE VOLUME w")
    store(engine, f"{V}/d/a", b"kept")
    engine.volumes.make_directory(engine.volumes.locate(f"{V}/e"))
    engine.close()
    folder = tmp_path / "tables.duckdb.volumes"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    (stored,) = folder.iterdir()
    assert stat.S_IMODE(stored.stat().st_mode) == 0o600
    # What a crash leaves, and what is somebody else's.
    (folder / ("0" * 32)).write_bytes(b"no record")
    (folder / ("1" * 32 + ".part")).write_bytes(b"unfinished")
    (folder / "notes.txt").write_bytes(b"mine")
    engine = Engine(data)
    try:
        db = Client(engine)
        assert content(engine, f"{V}/d/a") == b"kept"
        assert [row[1] for row in db.run(f"LIST '{V}'")] == ["d/", "e/"]
        assert db.run("DESCRIBE VOLUME v")[0][-1] == "kept"
        assert sorted(item.name for item in folder.iterdir()) == sorted([stored.name, "notes.txt"])
        db.run("DROP VOLUME v")
    finally:
        engine.close()
    assert [item.name for item in folder.iterdir()] == ["notes.txt"]


def test_a_link_for_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "tables.duckdb.volumes").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DatabaseFileError, match="no folder of its own"):
        Engine(tmp_path / "tables.duckdb")
    (tmp_path / "tables.duckdb.volumes").unlink()
    Engine(tmp_path / "tables.duckdb").close()


def test_a_temporary_folder_goes_with_the_engine() -> None:
    engine = Engine()
    Client(engine).run("CREATE VOLUME v")
    store(engine, f"{V}/a")
    folder = engine.volumes.files._folder
    assert folder.exists()
    engine.close()
    assert not folder.exists()


def test_paths_are_printed_as_they_are_read() -> None:
    for text in (V, f"{V}/a/b c"):
        assert str(volume_paths.parse(text)) == text
    assert str(volume_paths.parse(f"dbfs:{V}/a/")) == f"{V}/a"
    assert str(volume_paths.parse(V).child("a/b")) == f"{V}/a/b"
    with pytest.raises(VolumePathError):
        volume_paths.parse(V).child("../b")
