"""Run the checks in order, each within its deadline, and skip what cannot be known yet."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from vinci_code.core.config import Settings, get_settings
from vinci_code.core.errors import (
    ConfigurationError,
    DeadlineExceededError,
    MissingExtraError,
)
from vinci_code.core.redaction import redact, redact_exception
from vinci_code.database.deadlines import run_with_deadline
from vinci_code.diagnostics import databricks_checks, sqlite_checks
from vinci_code.diagnostics.checks import SLOW_TO_LOAD, Check, Context
from vinci_code.diagnostics.report import CheckResult, Finding, Report, Status, in_one_piece

START_BUDGET = 300.0
"""Seconds that a warehouse which is stopped is given to start."""


def run_checks(
    load_settings: Callable[[], Settings] = get_settings,
    *,
    write: bool = False,
    require_databricks: bool = False,
    deadline: float | None = None,
    start_budget: float = START_BUDGET,
    on_result: Callable[[CheckResult], None] | None = None,
    on_progress: Callable[[str], None] | None = None,
) -> Report:
    """Check everything between the settings and the first row.

    Args:
        load_settings: Where the settings come from.
        write: Whether a scratch table may be created, written to, read and dropped.
        require_databricks: Whether it is a configuration error if Databricks is switched off.
        deadline: Seconds for all checks together; each has one of its own as well.
        start_budget: Seconds that a warehouse which is stopped is given to start.
        on_result: Called with each result as soon as it is known.
        on_progress: Called with a line of text while something is waited for.

    Returns:
        The report; nothing is raised for what the checks find.
    """
    context = Context(
        load_settings=load_settings,
        write=write,
        require_databricks=require_databricks,
        start_budget=start_budget,
        progress=on_progress or _say_nothing,
    )
    run = _Run(context, deadline, on_result)
    try:
        run.checks([_SETTINGS])
        if context.settings is not None:
            uses_databricks = context.settings.database.use_databricks
            run.checks((databricks_checks if uses_databricks else sqlite_checks).CHECKS)
        backend = context.backend
    finally:
        context.close()
    return Report(backend, tuple(run.results))


@dataclass
class _Run:
    context: Context
    deadline: float | None
    on_result: Callable[[CheckResult], None] | None
    results: list[CheckResult] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._began = time.monotonic()

    def checks(self, checks: Iterable[Check]) -> None:
        for check in checks:
            result = self._one(check)
            self.results.append(result)
            if self.on_result is not None:
                self.on_result(result)

    def _one(self, check: Check) -> CheckResult:
        began = time.perf_counter()
        finding = self._reason_to_skip(check)
        if finding is None:
            finding = self._find(check)
        elapsed = (time.perf_counter() - began) * 1000
        return CheckResult(check.name, check.title, elapsed, finding)

    def _reason_to_skip(self, check: Check) -> Finding | None:
        for result in self.results:
            if result.name in check.needs and result.status in (Status.FAILED, Status.SKIPPED):
                reason = f"needs the check '{result.title}', which {_ended(result.status)}"
                return Finding(Status.SKIPPED, reason)
        unwanted = check.skip_if(self.context)
        return None if unwanted is None else Finding(Status.SKIPPED, unwanted)

    def _find(self, check: Check) -> Finding:
        seconds = check.seconds(self.context)
        if self.deadline is not None:
            seconds = min(seconds, self.deadline - (time.monotonic() - self._began))
        if seconds <= 0:
            return Finding(
                Status.FAILED,
                cause=f"The time allowed for all checks, {self.deadline:g} s, was used up before.",
                next_step="allow more time, or look at the slow checks above",
            )
        try:
            return run_with_deadline(lambda: check.run(self.context), seconds, check.title)
        except Exception as error:
            # Not at the top: on SQLite nothing of the dialect is wanted.
            from vinci_code.database.dialect.interruptions import is_from_signal

            if is_from_signal(error):
                raise
            return self._failed(check, error)

    def _failed(self, check: Check, error: Exception) -> Finding:
        if isinstance(error, ConfigurationError):
            return configuration_finding(error)
        if isinstance(error, DeadlineExceededError):
            return Finding(Status.FAILED, cause=f"{error}.", next_step=check.when_late)
        connector = self.context.connector
        redact_exception(error)
        if connector is None:
            cause = redact(f"{type(error).__name__}: {error}")
            return Finding(Status.FAILED, cause=cause, next_step=check.when_late)
        failure = connector.explain(error)
        return Finding(Status.FAILED, cause=failure.cause, next_step=failure.next_step)


def configuration_finding(error: ConfigurationError) -> Finding:
    """The finding for a configuration that cannot be used."""
    fixes = list(dict.fromkeys(problem.fix for problem in error.problems))
    if isinstance(error, MissingExtraError):
        fixes = [f"install it: {in_one_piece(error.command)}"]
    return Finding(
        Status.FAILED,
        cause=redact(str(error)),
        next_step=redact(fixes[0] if len(fixes) == 1 else "correct each of the above, then again"),
        is_configuration=True,
    )


def _check_settings(context: Context) -> Finding:
    settings = context.load_settings()
    if context.require_databricks and not settings.database.use_databricks:
        return Finding(
            Status.FAILED,
            cause=f"USE_DATABRICKS is false ({settings.database.provenance['use_databricks']}): "
            "there is no connection to Databricks to check.",
            next_step="set USE_DATABRICKS=true and the variables of docs/databricks_setup.md; "
            "'vinci check' checks the SQLite file",
            is_configuration=True,
        )
    context.settings = settings
    if not settings.database.use_databricks:
        return Finding(Status.OK, f"SQLite, {in_one_piece(redact(settings.database.database_url))}")
    return databricks_checks.check_databricks_settings(context, settings.database)


# A profile is read by databricks-sdk, which takes a second to load, and more where each file is
# looked into: no network is asked.
_SETTINGS = Check("settings", "Settings", 60.0, _check_settings, when_late=SLOW_TO_LOAD)


def _ended(status: Status) -> str:
    return "failed" if status is Status.FAILED else "was skipped"


def _say_nothing(_line: str) -> None:
    """The default for progress that nobody wants to hear of."""
