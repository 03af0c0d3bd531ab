"""Files that others of this machine can read or change: what is warned about, and what is made."""

from __future__ import annotations

import os
import stat
import threading
import warnings
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from vinci_code.core.config import DatabaseSettings
from vinci_code.core.config.settings import reload_settings
from vinci_code.core.errors import InsecureFileWarning
from vinci_code.core.files import private_files, warn_if_exposed
from vinci_code.database.databricks_connector import DatabricksConnector
from vinci_code.database.dialect.driver.connecting import settle
from vinci_code.database.fallback.journal_file import JournalFile
from vinci_code.warehouse.engine.engine import Engine
from vinci_code.warehouse.pytest_plugin import TestWarehouse

pytestmark = pytest.mark.skipif(os.name == "nt", reason="a mode tells nothing there")

HOST = "dbc-a1b2c3d4-e5f6.cloud.databricks.com"
TOKEN = "dapi0f1e2d3c4b5a69788796a5b4c3d2e1f0"


def warned(path: Path, secrets: str = "") -> str:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_if_exposed(path, secrets)
    assert all(item.category is InsecureFileWarning for item in caught)
    return "\n".join(str(item.message) for item in caught)


@pytest.fixture
def wide_open() -> Iterator[None]:
    """A process whose files are everybody's, unless it says otherwise."""
    before = os.umask(0)
    yield
    os.umask(before)


# --- the function --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "secrets", "expected"),
    [
        (0o600, "a token", ""),
        (0o400, "a token", ""),
        (0o644, "", ""),
        (0o640, "a token", "holds a token and can be read by"),
        (0o604, "a token", "holds a token and can be read by"),
        (0o620, "a token", "holds a token and can be changed by"),
        (0o666, "a token", "holds a token and can be read and changed by"),
        (0o660, "", "file can be changed by"),
        (0o602, "", "file can be changed by"),
    ],
)
def test_each_mode(mode: int, secrets: str, expected: str) -> None:
    path = Path("file")
    path.touch()
    path.chmod(mode)
    said = warned(path, secrets)
    assert (expected in said) if expected else said == ""


@pytest.mark.parametrize("secrets", ["", "a token"])
def test_the_advice_works(secrets: str) -> None:
    path = Path("file")
    path.touch()
    path.chmod(0o666)
    mode, name = warned(path, secrets).partition("chmod ")[2].split()
    assert name == "file"
    path.chmod(0o600 if mode == "600" else {"go-w": 0o644}[mode])
    assert warned(path, secrets) == ""


@pytest.mark.parametrize(("mode", "exposed"), [(0o777, True), (0o1777, False), (0o775, False)])
def test_a_folder_in_which_everybody_may_rename(mode: int, exposed: bool) -> None:
    folder = Path("folder")
    folder.mkdir()
    path = folder / "file"
    path.touch(0o600)
    folder.chmod(mode)
    said = warned(path)
    assert ("can be replaced by other users" in said) is exposed
    folder.chmod(0o755)  # what it says
    assert warned(path) == ""


def test_the_folder_of_what_a_link_leads_to_counts() -> None:
    folder = Path("folder")
    folder.mkdir()
    (folder / "real").touch(0o600)
    folder.chmod(0o777)
    Path("link").symlink_to(folder / "real")
    assert "can be replaced" in warned(Path("link"))


def test_a_file_that_is_not_there_is_nobodys_concern() -> None:
    assert warned(Path("missing"), "a token") == ""


def test_the_mask_is_set_back_by_the_last_of_many(wide_open: None) -> None:
    inside, leave = threading.Barrier(2), threading.Event()

    def other() -> None:
        with private_files():
            inside.wait()
            leave.wait()

    thread = threading.Thread(target=other)
    with private_files():
        thread.start()
        inside.wait()
    Path("private").touch()
    leave.set()
    thread.join()
    Path("open").touch()
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in Path().iterdir()}
    assert modes == {"private": 0o600, "open": 0o666}


# --- where it is asked ---------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [0o620, 0o602])
def test_the_env_file(mode: int) -> None:
    Path(".env").write_text("DATABASE_ECHO=1\n")
    Path(".env").chmod(mode)
    with pytest.warns(InsecureFileWarning, match=r"\.env can be changed by"):
        reload_settings()


@pytest.mark.parametrize(("mode", "expected"), [(0o644, "read"), (0o620, "changed")])
def test_the_file_of_a_profile(mode: int, expected: str) -> None:
    path = Path.home() / ".databrickscfg"
    path.write_text(f"[work]\nhost = {HOST}\ntoken = {TOKEN}\n")
    path.chmod(mode)
    settings = DatabaseSettings(
        use_databricks=True,
        databricks_server_hostname=HOST,
        databricks_http_path="/sql/1.0/warehouses/1a2b3c4d5e6f7a8b",
        databricks_profile="work",
    )
    with pytest.warns(
        InsecureFileWarning, match=f".databrickscfg holds token and can be {expected}"
    ) as caught:
        DatabricksConnector(settings)
    assert TOKEN not in str(caught[0].message)
    path.chmod(0o600)
    DatabricksConnector(settings)


def test_the_file_of_certificates_that_are_trusted(local_warehouse: TestWarehouse) -> None:
    path = Path("ca.pem")
    path.write_bytes(local_warehouse.warehouse.ca_file.read_bytes())
    path.chmod(0o666)
    arguments = {**local_warehouse.connect_args, "_tls_trusted_ca_file": str(path)}
    with pytest.warns(InsecureFileWarning, match=r"ca\.pem can be changed by"):
        settle(dict(arguments))
    path.chmod(0o644)
    settle(dict(arguments))


def test_the_folder_of_the_fallbacks_file() -> None:
    folder = Path("folder")
    folder.mkdir()
    folder.chmod(0o777)
    file = JournalFile(folder / "journal.db")
    with pytest.warns(InsecureFileWarning, match=r"journal\.db can be replaced by"):
        file.prepare()
    file.mark.close()


def test_what_the_local_warehouse_makes_is_private(wide_open: None) -> None:
    def modes() -> dict[str, int]:
        return {path.name: stat.S_IMODE(path.stat().st_mode) for path in Path().iterdir()}

    with closing(Engine("data.warehouse")) as engine:
        assert modes() == {"data.warehouse": 0o600, "data.warehouse.wal": 0o600}
        session = engine.open_session()
        session.execute("CREATE TABLE t (n INT)")
        session.execute("INSERT INTO t VALUES (1)")
        assert modes() == {"data.warehouse": 0o600, "data.warehouse.wal": 0o600}
        engine._store.root.execute("CHECKPOINT wh")  # which removes the log
        assert modes() == {"data.warehouse": 0o600}
        session.execute("INSERT INTO t VALUES (2)")
        assert modes() == {"data.warehouse": 0o600, "data.warehouse.wal": 0o600}
        session.close()
    Path("other").touch()
    assert modes()["other"] == 0o666


def test_data_of_the_local_warehouse_that_is_there_keeps_its_mode() -> None:
    Engine("data.warehouse").close()
    Path("data.warehouse").chmod(0o664)
    with pytest.warns(
        InsecureFileWarning, match="holds the rows of its tables and can be read and changed"
    ):
        Engine("data.warehouse").close()
    assert stat.S_IMODE(Path("data.warehouse").stat().st_mode) == 0o664
    Path("data.warehouse").chmod(0o600)
    Engine("data.warehouse").close()
