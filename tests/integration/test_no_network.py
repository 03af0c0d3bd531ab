"""Importing the package and running the demo open no socket at all."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.cli.process import PATIENCE_S, SAMPLE, environment

# https://docs.python.org/3/library/audit_events.html. A socket that listens or connects has been
# made first (`socket.__new__`); `socket.gethostname` asks the kernel and nobody else.
WATCHED = """
import json, sys

seen = []

def watch(event, arguments):
    if event.startswith("socket.") and event != "socket.gethostname":
        seen.append(event)

sys.addaudithook(watch)


class WithoutExtras:
    '''The base install: what the extras bring is not there.'''

    EXTRAS = {"databricks", "pandas", "pyarrow", "numpy", "cryptography", "requests", "thrift"}

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.EXTRAS:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, WithoutExtras())
"""

IMPORT_ALL = """
import importlib, pkgutil, vinci_code

# Alembic runs these; a program does not import them.
NOT_FOR_IMPORT = ("vinci_code.__main__", "vinci_code.database.migrations.env")
# They are made of pyarrow, which an extra brings; the rooms import them when they are used.
OF_ARROW = tuple(
    f"vinci_code.database.{room}.{name}"
    for room, names in (
        ("arrow", ("columns", "forms", "results")),
        ("events", ("parquet",)),
        ("files", ("parquet",)),
        ("loading", ("files", "frames", "objects", "parquet", "plain", "said")),
        ("loading", ("storing", "values")),
    )
    for name in names
)
count = 0
for module in pkgutil.walk_packages(
    vinci_code.__path__, "vinci_code.", onerror=lambda name: None
):
    if module.name.startswith("vinci_code.warehouse."):
        continue  # the extra that is a server
    if module.name not in NOT_FOR_IMPORT + OF_ARROW and ".versions." not in module.name:
        importlib.import_module(module.name)
        count += 1
assert count > 20, count
"""

DEMO = """
import vinci_code.cli
sys.argv = ["vinci", "demo"]
assert vinci_code.cli.main() == 0
"""

CONTROL = """
import socket
with socket.create_server(("127.0.0.1", 0)) as server:
    with socket.create_connection(("localhost", server.getsockname()[1])):
        pass
"""


def events_of(program: str) -> list[str]:
    """The audit events about sockets that a program causes."""
    report = "\nprint('SEEN' + json.dumps(seen))"
    done = subprocess.run(
        [sys.executable, "-c", WATCHED + program + report],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: list[str] = json.loads(done.stdout.rpartition("SEEN")[2])
    return found


def test_importing_every_module_opens_no_socket() -> None:
    assert events_of(IMPORT_ALL) == []


def test_a_full_demo_opens_no_socket() -> None:
    assert events_of(DEMO + DEMO) == []
    imported = f"\nsys.argv = ['vinci', 'events', 'import', {str(SAMPLE)!r}]\n"
    assert events_of("import vinci_code.cli" + imported + "vinci_code.cli.main()") == []


def test_a_socket_would_have_been_seen() -> None:
    assert {
        "socket.__new__",
        "socket.bind",
        "socket.connect",
        "socket.getaddrinfo",
    } <= set(events_of(CONTROL))
