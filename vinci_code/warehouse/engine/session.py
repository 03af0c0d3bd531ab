"""A session: one client's namespace, configuration and transaction on the shared engine."""

from __future__ import annotations

from vinci_code.warehouse.engine.result import Column, Result

__all__ = ["Column", "Result"]
