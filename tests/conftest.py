"""What every test starts from: no settings of the person who runs it, no state of another test."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import tests.installed  # noqa: F401 - says in one line what is missing

# isort: split
import hypothesis
import pytest
from sqlalchemy import Engine, event

from tests import frames
from tests.certificates import trust_none_of_the_machine
from tests.fakes.certificates import Authority
from tests.fakes.workspace import FakeWorkspace
from tests.full import mark_the_rest
from vinci_code.core.config import DatabaseSettings
from vinci_code.core.config import settings as settings_module
from vinci_code.core.redaction import forget_secrets
from vinci_code.database.session import dispose_engine

# The same examples in every run; a failure prints its own reproduction.
hypothesis.settings.register_profile(
    "steady", derandomize=True, deadline=None, print_blob=True, database=None
)
hypothesis.settings.load_profile("steady")
# For who only wants to know that a test fails: to make an example small takes minutes.
hypothesis.settings.register_profile(
    "unshrunk",
    parent=hypothesis.settings.get_profile("steady"),
    phases=[phase for phase in hypothesis.Phase if phase is not hypothesis.Phase.shrink],
)

trust_none_of_the_machine()

# A shell that starts this in the background ignores Ctrl-C for it, and for all of its children:
# the tests that send it would wait for nothing.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

_FOREIGN = ("DATABRICKS_", "ARM_", "VINCI_")
# For a machine that is busy: what was asked to end is gone within milliseconds on a quiet one.
_SECONDS_TO_END = 20
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.hookimpl(tryfirst=True)  # before pytest chooses by marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, so that no process is left alone with one of them."""
    mark_the_rest(items)
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path])


@pytest.fixture(scope="session", autouse=True)
def _statements_end_with_their_first_answer() -> Iterator[None]:
    """Have the local warehouse wait longer for a result, before it has the client ask again.

    Tests count requests, and a busy machine takes longer for a statement than a quiet one.
    """
    from vinci_code.warehouse.wire import thrift_service

    with mock.patch.object(thrift_service, "DIRECT_RESULTS_SECONDS", 2.0):
        yield


@pytest.fixture(autouse=True)
def clean_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run in an empty folder with none of our variables, and leave nothing behind."""
    known = {name for mark in DatabaseSettings.variables().values() for name in mark.names}
    for name in list(os.environ):
        if name in known or name.startswith(_FOREIGN) or name.lower() in _PROXIES:
            monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    # Files that a group may write are a warning, and in some systems each is made so.
    mask = os.umask(0o022)
    threads = set(threading.enumerate())
    frames.watch(monkeypatch)
    yield
    os.umask(mask)
    dispose_engine()
    settings_module.forget_settings()
    forget_secrets()
    end_what_the_vendor_listens_to()
    left = [t for t in threading.enumerate() if t not in threads and not t.daemon]
    for thread in left:
        # AnyIO tells its worker threads to end as their loop closes, and waits for none of them.
        thread.join(_SECONDS_TO_END)
    left = [thread for thread in left if thread.is_alive()]
    assert not left, f"threads left behind: {left}"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Who has issued the certificates of fake servers."""
    return Authority(tmp_path)


@pytest.fixture
def workspace(authority: Authority) -> Iterator[FakeWorkspace]:
    """A workspace that signs in, and answers the checks."""
    with FakeWorkspace(authority.issue()) as serving:
        yield serving


def end_what_the_vendor_listens_to() -> None:
    """Take databricks-sqlalchemy's listener off, which changes the arguments of every engine.

    Whoever imports it has it from then on: a later test found another user agent than it had given.
    """
    vendor = sys.modules.get("databricks.sqlalchemy.base")
    if vendor is not None and event.contains(Engine, "do_connect", vendor.receive_do_connect):
        event.remove(Engine, "do_connect", vendor.receive_do_connect)
