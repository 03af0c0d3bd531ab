"""The vendor's dialect, reachable on another port than 443; nothing else is changed."""

from __future__ import annotations

import os
from typing import Any

from databricks.sqlalchemy.base import DatabricksDialect


class VendorDialect(DatabricksDialect):
    """``DatabricksDialect`` ignores the port of its URL."""

    driver = "vendor"
    supports_statement_cache = True

    def create_connect_args(self, url: Any) -> tuple[list[Any], dict[str, Any]]:
        """Add what its URL cannot say."""
        parent: Any = super()
        args, kwargs = parent.create_connect_args(url)
        kwargs["_port"] = url.port
        kwargs["_tls_trusted_ca_file"] = os.environ["COMPLIANCE_CA_FILE"]
        kwargs["enable_telemetry"] = False
        return args, kwargs
