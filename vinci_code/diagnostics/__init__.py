"""The checks behind ``vinci check`` and ``scripts/test_databricks_connection.py``.

``main_check`` is the whole command; ``run_checks`` gives the report as an object.
"""

from vinci_code.diagnostics.command import main_check
from vinci_code.diagnostics.report import CheckResult, Report, Status
from vinci_code.diagnostics.runner import run_checks

__all__ = ["CheckResult", "Report", "Status", "main_check", "run_checks"]
