"""The program that the test of reporters runs: a failure, and somebody who reports it.

    python -m tests.core.redaction.reporter_program REPORTER FAILURE

The environment holds a secret. ``plain`` is a failure without anything of ours: a local has the
secret then, so that the test can show that the reporter would.
"""

from __future__ import annotations

import faulthandler
import json
import linecache
import logging
import runpy
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.core.redaction.failures_program import FAILURES

Failure = Callable[[], object]


def report_to_sentry(fail: Failure) -> None:
    """Send what Sentry sends, locals and breadcrumbs with it, to standard output."""
    import sentry_sdk
    from sentry_sdk.envelope import Envelope
    from sentry_sdk.transport import Transport

    class Local(Transport):
        def capture_envelope(self, envelope: Envelope) -> None:
            for item in envelope.items:
                print(json.dumps(item.payload.json, default=repr))

    sentry_sdk.init(
        dsn="https://public@localhost/1",
        transport=Local,
        include_local_variables=True,
        include_source_context=True,
        send_default_pii=True,
        max_value_length=10_000,
    )
    logging.getLogger("app").setLevel(logging.INFO)
    try:
        fail()
    except Exception as error:
        logging.getLogger("app").exception("it failed: %s", error)
        sentry_sdk.capture_exception(error)
    sentry_sdk.flush()


def show_with_rich(fail: Failure) -> None:
    """Let rich show an uncaught exception with the locals of each frame."""
    import rich.console
    import rich.traceback

    console = rich.console.Console(width=300)
    rich.traceback.install(console=console, show_locals=True, locals_max_string=1000)
    fail()


def show_in_ipython(_: Failure) -> None:
    """Let IPython show an uncaught exception, verbosely."""
    from IPython.terminal.ipapp import launch_new_instance

    name = sys.argv[2]
    code = f"from tests.core.redaction.failures_program import FAILURES; FAILURES[{name!r}]()"
    launch_new_instance(["--xmode=Verbose", "--colors=NoColor", "--no-banner", "-c", code])


def log_with_structlog(fail: Failure) -> None:
    """Let structlog log an exception, for people and as JSON, with the locals of each frame."""
    import structlog

    in_colour = structlog.dev.ConsoleRenderer(
        exception_formatter=structlog.dev.RichTracebackFormatter(show_locals=True, width=300)
    )
    as_json = [
        structlog.processors.dict_tracebacks,
        structlog.processors.JSONRenderer(default=repr),
    ]
    for processors in ([in_colour], as_json):
        structlog.configure(processors=processors)  # type: ignore[arg-type]
        try:
            fail()
        except Exception:  # noqa: BLE001 - whatever it is, it is reported
            structlog.get_logger().exception("it failed")


def log_with_loguru(fail: Failure) -> None:
    """Let loguru log an exception with the values in its source lines."""
    from loguru import logger

    logger.remove()
    logger.add(sys.stdout, diagnose=True, backtrace=True)
    try:
        fail()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is reported
        logger.exception("it failed: {}", error)


def show_with_pytest(_: Failure) -> None:
    """Let pytest show a failed test with the locals of each frame."""
    name = sys.argv[2]
    Path("test_app.py").write_text(
        "from tests.core.redaction.failures_program import FAILURES\n\n\n"
        f"def test_app():\n    FAILURES[{name!r}]()\n",
        encoding="utf-8",
    )
    sys.argv = ["pytest", "-l", "-vv", "-p", "no:cacheprovider", "-p", "no:xdist", "test_app.py"]
    runpy.run_module("pytest", run_name="__main__")


def dump_with_faulthandler(fail: Failure) -> None:
    """Let faulthandler dump the frames of a failure, where it happens and as the process dies."""
    faulthandler.enable(sys.stdout)

    def dump(*_: Any) -> None:
        faulthandler.dump_traceback(sys.stdout)

    sys.excepthook = dump
    fail()


def show_everything(fail: Failure) -> None:
    """Show all of each frame, as the hooks do that grew out of cgitb."""

    def show(kind: type[BaseException], error: BaseException, trace: Any) -> None:
        waiting: list[BaseException | None] = [error]
        while waiting:
            current = waiting.pop()
            if current is not None:
                print(kind, repr(current), str(current), current.args, vars(current))
                show_frames(current.__traceback__)
                waiting += [current.__cause__, current.__context__]

    def show_frames(trace: types.TracebackType | None) -> None:
        while trace is not None:
            frame = trace.tb_frame
            line = linecache.getline(frame.f_code.co_filename, trace.tb_lineno)
            print(frame.f_code.co_name, line)
            for name, value in frame.f_locals.items():
                print(name, "=", repr(value))
            trace = trace.tb_next

    sys.excepthook = show
    fail()


def die_in_a_forked_process(fail: Failure) -> None:
    """Let multiprocessing report the exception that a child dies of."""
    import multiprocessing

    process = multiprocessing.get_context("fork").Process(target=fail)
    process.start()
    process.join()


REPORTERS: dict[str, Callable[[Failure], None]] = {
    "Sentry": report_to_sentry,
    "rich": show_with_rich,
    "IPython": show_in_ipython,
    "structlog": log_with_structlog,
    "loguru": log_with_loguru,
    "pytest": show_with_pytest,
    "faulthandler": dump_with_faulthandler,
    "a hook": show_everything,
    "a forked process": die_in_a_forked_process,
}


if __name__ == "__main__":
    REPORTERS[sys.argv[1]](FAILURES[sys.argv[2]])
