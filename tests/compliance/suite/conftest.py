"""The plugin of SQLAlchemy's suite, and what it has to be told about a warehouse."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from sqlalchemy.dialects import registry
from sqlalchemy.exc import DBAPIError
from sqlalchemy.testing.plugin.pytestplugin import *  # noqa: F403

from tests.compliance.suite import provision
from vinci_code.database.dialect.dberrors import PendingWritesError

__all__ = ["provision"]  # importing it registers the hooks

registry.register("databricks.vendor", "tests.compliance.suite.vendor", "VendorDialect")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Skip what cannot be had without transactions."""
    try:
        yield
    except DBAPIError as error:
        pending = isinstance(error.orig, PendingWritesError)
        if os.environ["COMPLIANCE_TRANSACTIONS"] == "on" or not pending:
            raise
        pytest.skip("reads what it has written, which needs a transaction")
