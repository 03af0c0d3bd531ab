"""The plugin of SQLAlchemy's suite, the warehouse's hooks, and the lists of what is not expected."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.dialects import registry

# The lists and the requirements stand beside this file, and the suite is no package.
sys.path.insert(0, str(Path(__file__).parent))

import expectations  # noqa: E402
from sqlalchemy.testing.plugin.pytestplugin import *  # noqa: E402, F403
from sqlalchemy.testing.plugin.pytestplugin import (  # noqa: E402
    pytest_collection_modifyitems as _choose_items,
)
from sqlalchemy.testing.plugin.pytestplugin import (  # noqa: E402
    pytest_sessionfinish as _finish_session,
)

import provision  # noqa: E402, F401 (registers the hooks)

registry.register("databricks.vendor", "vendor", "VendorDialect")

OURS = os.environ["COMPLIANCE_DIALECT"] == "ours"
RESULTS = os.environ.get("COMPLIANCE_RESULTS")

_outcomes: dict[str, str] = {}
_unlisted: set[str] = set()


def pytest_collection_modifyitems(session: Any, config: Any, items: list[Any]) -> None:
    """Let the plugin choose, then mark what stands in a list as failing, strictly."""
    _choose_items(session, config, items)
    if not OURS:
        return
    for item in items:
        reason = expectations.reason(_name(item.nodeid))
        if reason is not None:
            item.add_marker(pytest.mark.xfail(reason=reason, strict=True))
    if not config.option.keyword and len(items) > 1000:
        _unlisted.update(expectations.unknown(_name(item.nodeid) for item in items))


def pytest_runtest_logreport(report: Any) -> None:
    """Remember the worst that happened to each test."""
    name = _name(report.nodeid)
    if hasattr(report, "wasxfail") and report.skipped:
        _outcomes[name] = "expected"
    elif report.failed:
        _outcomes[name] = "failed"
    elif report.skipped:
        _outcomes.setdefault(name, "skipped")
    elif report.when == "call":
        _outcomes.setdefault(name, "passed")


def pytest_sessionfinish(session: Any, exitstatus: int) -> None:
    """Write the outcomes where ``run.py`` reads them."""
    _finish_session(session)
    if RESULTS is not None:
        content = {
            "counts": Counter(_outcomes.values()),
            "outcomes": _outcomes,
            "unknown": sorted(_unlisted),
        }
        Path(RESULTS).write_text(json.dumps(content), encoding="utf-8")


def _name(nodeid: str) -> str:
    """``Class::test[case]`` without the name that the plugin adds for the database."""
    parts = nodeid.split("::")
    return "::".join([parts[-2].partition("_databricks+")[0], parts[-1]])
