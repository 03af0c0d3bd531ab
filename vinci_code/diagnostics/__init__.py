"""What an operator asks: is it in order, what ran, what kept the warehouse awake, what to send.

``main_check`` is the command ``vinci check``, and ``scripts/test_databricks_connection.py``;
``run_checks`` gives its report as an object. None of the rest opens a session on the warehouse.

Other rooms import from it:

- ``asking``: questions to the workspace's REST API
- ``awake``: what kept a warehouse awake, computed from what ran on it
- ``query_history``: what the warehouse ran
- ``ran``: one statement that it ran
- ``support``: what a report for support holds
- ``support_file``: the file of such a report
- ``watching``: the state of a warehouse, watched
"""

from vinci_code.diagnostics.command import main_check
from vinci_code.diagnostics.report import CheckResult, Report, Status
from vinci_code.diagnostics.runner import run_checks

__all__ = ["CheckResult", "Report", "Status", "main_check", "run_checks"]
