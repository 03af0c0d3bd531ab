"""The day with an outage of ``docs/fallback.md``: what it shows is run, and its output compared.

The page is the script. Its blocks of shell and Python run in processes of their own, on a local
warehouse behind a relay that refuses connections while the page says that the warehouse is away.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from tests.cli.process import environment
from tests.fakes.relay import Relay
from tests.fallback.outages import Outages
from tests.full import full
from tests.patience import PATIENCE_S
from vinci_code.core.config import reload_settings
from vinci_code.database.models import Event
from vinci_code.database.session import session_scope
from vinci_code.warehouse.pytest_plugin import TestWarehouse

ROOT = Path(__file__).parents[2]
FILE = Path("vinci-fallback.db")
STEP = re.compile(
    r"<!-- the warehouse (?P<turn>goes away|is back) -->"
    r"|^```(?P<language>bash|python)\n(?P<text>.*?)^```\n"
    r"(?:<!-- not run: the output -->\n```text\n(?P<output>.*?)^```$)?",
    re.MULTILINE | re.DOTALL,
)

pytestmark = pytest.mark.slow


def section(heading: str) -> str:
    """What stands below a heading of the page, up to the next one."""
    page = (ROOT / "docs" / "fallback.md").read_text(encoding="utf-8")
    found = re.search(rf"^#+ {heading}\n(.*?)^#+ ", page, re.MULTILINE | re.DOTALL)
    assert found is not None, heading
    return found[1]


def neutral(output: str) -> str:
    """An output with one word for what is another each time."""
    output = re.sub(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?(\+00:00)?", "(time)", output)
    output = re.sub(rf"\S*/{FILE}", "(file)", output)
    output = re.sub(r"\b\d{18}\b", "(key)", output)
    return "\n".join(re.sub(" +", " ", line).rstrip() for line in output.splitlines())


def assert_alike(printed: str, shown: str) -> None:
    """Compare two outputs, of which the second may have ``…`` for a part of a line."""
    pattern = "[^\n]+".join(map(re.escape, neutral(shown).split("…")))
    assert re.fullmatch(pattern, neutral(printed)), f"printed:\n{printed}\nthe page has:\n{shown}"


class Day:
    """Runs what a part of the page shows.

    Args:
        warehouse: The warehouse.
        relay: The way to it.
    """

    def __init__(self, warehouse: TestWarehouse, relay: Relay) -> None:
        self._relay = relay
        self._outages = Outages(warehouse)
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        host = f"{warehouse.warehouse.host}:{relay.port}"
        own = {"DATABRICKS_SERVER_HOSTNAME": host, "DATABRICKS_FALLBACK": "sqlite", "PATH": path}
        self._env = environment(**{**warehouse.env, **own})

    def run(self, heading: str) -> list[str]:
        """Run it to its end; what was run and how the warehouse went, in short."""
        return list(self._steps(section(heading)))

    def _steps(self, text: str) -> Iterator[str]:
        for step in STEP.finditer(text):
            if step["turn"] == "goes away":
                self._relay.shut()
            elif step["turn"] == "is back":
                self._relay.open()
                self._outages.pause(0, FILE)  # a reader waits for the time that status shows
            else:
                assert_alike(self._printed(step["language"], step["text"]), step["output"] or "")
            yield step["turn"] or step["language"]

    def _printed(self, language: str, text: str) -> str:
        begin = {
            "bash": ["bash", "-euo", "pipefail", "-c"],
            "python": [sys.executable, "-W", "error", "-c"],
        }
        done = subprocess.run(
            [*begin[language], text],
            env=self._env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE_S,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout


@pytest.fixture
def day(local_warehouse: TestWarehouse) -> Iterator[Day]:
    """A day on a warehouse with an empty schema, in an empty folder."""
    with Relay(local_warehouse.warehouse.port) as relay:
        yield Day(local_warehouse, relay)


@pytest.fixture
def stored(local_warehouse: TestWarehouse, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The types of the events that are not of the sample, as the warehouse has them."""
    for name, value in {**local_warehouse.env, "DATABRICKS_FALLBACK": "off"}.items():
        monkeypatch.setenv(name, value)

    def types() -> Iterator[str]:
        reload_settings()
        with session_scope() as session:
            found = select(Event.event_type).where(~Event.source.startswith("usgs."))
            yield from session.scalars(found.order_by(Event.id))

    return types()


@full
def test_a_day_with_an_outage(day: Day, stored: Iterator[str]) -> None:
    assert day.run("A day with an outage") == [
        *("bash", "goes away", "python", "python", "bash", "is back", "bash")
    ]
    assert list(stored) == ["temperature", "login", "logout"]


def test_a_warehouse_that_was_never_seen(day: Day) -> None:
    assert day.run("A warehouse that was never seen") == [*("goes away", "python", "bash")]


def test_the_day_uses_the_example_of_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.search(r"^```python\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)
    assert found is not None
    shown = section("A day with an outage")
    assert all(line in shown for line in found[1].splitlines())


def test_a_comparison_that_differs_is_reported() -> None:
    assert_alike("away (why so); 2 waiting\nlast", "away (…); 2   waiting\nlast")
    for printed in ("away (why); 3 waiting\nlast", "away (why); 2 waiting", ""):
        with pytest.raises(AssertionError, match="the page has"):
            assert_alike(printed, "away (…); 2 waiting\nlast")
