"""The plugin of SQLAlchemy's suite, and what it has to be told about a warehouse."""

from __future__ import annotations

from sqlalchemy.dialects import registry
from sqlalchemy.testing.plugin.pytestplugin import *  # noqa: F403

from tests.compliance.suite import provision

__all__ = ["provision"]  # importing it registers the hooks

registry.register("databricks.vendor", "tests.compliance.suite.vendor", "VendorDialect")
