"""A pytest plugin that marks what the lists expect to fail, and writes down what happened."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.compliance.suite import expectations

OURS = os.environ["COMPLIANCE_DIALECT"] == "ours"
RESULTS = os.environ["COMPLIANCE_RESULTS"]

_outcomes: dict[str, str] = {}
_unknown: set[str] = set()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(session: Any, config: Any, items: list[Any]) -> None:
    """Mark what stands in a list as failing, strictly, once SQLAlchemy's plugin has chosen."""
    if not OURS:
        return
    for item in items:
        reason = expectations.reason(_name(item.nodeid))
        if reason is not None:
            item.add_marker(pytest.mark.xfail(reason=reason, strict=True))
    if not config.option.keyword:
        _unknown.update(expectations.unknown(_name(item.nodeid) for item in items))


def pytest_runtest_logreport(report: Any) -> None:
    """Remember the worst that happened to each test."""
    name = _name(report.nodeid)
    if report.failed:
        _outcomes[name] = "failed"
    elif report.skipped:
        _outcomes.setdefault(name, "expected" if hasattr(report, "wasxfail") else "skipped")
    elif report.when == "call":
        _outcomes.setdefault(name, "passed")


def pytest_sessionfinish(session: Any, exitstatus: int) -> None:
    """Write the outcomes where ``run.py`` reads them."""
    content = {
        "counts": Counter(_outcomes.values()),
        "outcomes": _outcomes,
        "unknown": sorted(_unknown),
    }
    Path(RESULTS).write_text(json.dumps(content), encoding="utf-8")


def _name(nodeid: str) -> str:
    """``Class::test[case]`` without the name that the plugin adds for the database."""
    parts = nodeid.split("::")
    return "::".join([parts[-2].partition("_databricks+")[0], parts[-1]])
