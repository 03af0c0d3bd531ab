"""Every way by which a text leaves the process, with each kind of secret, in each spelling.

Each is also gone through without the mask, and has to give the secret away then: a channel that
shows nothing at all would prove nothing.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import json
import linecache
import logging
import logging.handlers
import pickle
import queue
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NoReturn
from urllib.parse import quote

import pytest
import rich.console
import rich.logging

from tests.full import some
from vinci_code.core.redaction import forget_secrets, register_secret

# Of no known shape: only that they are registered gives them away.
SECRETS = {
    "access token": "Vc9k0Z7qT4patLw3aRx5fNf8bHy2",
    "client secret": "Jd8~mQ.8xB~sec-Ty6_Gk1.Pu9-We3~Zq",
    "password": "Lr5/wE+2nV&pas=Dm7?Xo4 Sc8#Ti6",
}
SPELLINGS: dict[str, Callable[[str], str]] = {
    "raw": str,
    "URL": partial(quote, safe=""),
    "base64": lambda secret: base64.b64encode(f"client:{secret}".encode()).decode(),
    "hexadecimal": lambda secret: secret.encode().hex(),
}
Channel = Callable[[str], str]


@pytest.fixture(autouse=True)
def hooks_of_the_interpreter(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Begin without the hooks of pytest, which print nothing, and leave no mask behind."""
    monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)
    monkeypatch.setattr(sys, "unraisablehook", sys.__unraisablehook__)
    monkeypatch.setattr(threading, "excepthook", threading.__excepthook__)
    yield
    forget_secrets()


# --- logs -----------------------------------------------------------------------------------------


@contextlib.contextmanager
def logger(
    handler: logging.Handler, name: str = "channel", kind: type[logging.Logger] = logging.Logger
) -> Iterator[logging.Logger]:
    """A logger of its own with one handler."""
    made = kind(name, logging.DEBUG)
    made.addHandler(handler)
    yield made
    handler.close()


def written(form: str = "%(message)s", **options: Any) -> tuple[logging.Handler, io.StringIO]:
    """A handler that writes text, and where it goes."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter(form, **options))
    return handler, stream


def message(text: str) -> str:
    handler, stream = written()
    with logger(handler) as log:
        log.info(f"with {text}")  # noqa: G004
    return stream.getvalue()


def arguments(text: str) -> str:
    handler, stream = written()
    with logger(handler) as log:
        log.info("with %s and %r", text, [text])
    return stream.getvalue()


def extra(text: str) -> str:
    handler, stream = written("%(url)s")
    with logger(handler) as log:
        log.info("here", extra={"url": text})
    return stream.getvalue()


class _Sets(logging.Filter):
    """Sets fields of a record, as filters for requests do."""

    def __init__(self, **fields: str) -> None:
        super().__init__()
        self._fields = fields

    def filter(self, record: logging.LogRecord) -> bool:
        vars(record).update(self._fields)
        return True


def filter_of_logger(text: str) -> str:
    handler, stream = written("%(url)s")
    with logger(handler) as log:
        log.addFilter(_Sets(url=text))
        log.info("here")
    return stream.getvalue()


def filter_of_handler(text: str) -> str:
    handler, stream = written("%(url)s")
    handler.addFilter(_Sets(url=text))
    with logger(handler) as log:
        log.info("here")
    return stream.getvalue()


def filter_that_sets_the_message(text: str) -> str:
    handler, stream = written()
    handler.addFilter(_Sets(msg=text))
    with logger(handler) as log:
        log.info("here")
    return stream.getvalue()


def filter_before_a_handler_of_others(text: str) -> str:
    handler = _Dumps()
    handler.addFilter(_Sets(url=text))
    with logger(handler) as log:
        log.info("here")
    return handler.text


def formatter_defaults(text: str) -> str:
    handler, stream = written("%(url)s", defaults={"url": text})
    with logger(handler) as log:
        log.info("here")
    return stream.getvalue()


def name_of_a_logger(text: str) -> str:
    handler, stream = written("%(name)s")
    with logger(handler, text) as log:
        log.info("here")
    return stream.getvalue()


def name_of_a_thread(text: str) -> str:
    handler, stream = written("%(threadName)s")
    with logger(handler) as log:
        thread = threading.Thread(target=log.info, args=("here",), name=text)
        thread.start()
        thread.join()
    return stream.getvalue()


class _Makes(logging.Logger):
    """Makes records by itself."""

    def makeRecord(self, *args: Any, **kwargs: Any) -> logging.LogRecord:  # noqa: N802
        record = super().makeRecord(*args, **kwargs)
        record.msg = f"with {vars(self)['text']}"
        return record


def record_of_a_logger(text: str) -> str:
    handler, stream = written()
    with logger(handler, kind=_Makes) as log:
        vars(log)["text"] = text
        log.info("here")
    return stream.getvalue()


def exception(text: str) -> str:
    handler, stream = written()
    with logger(handler) as log:
        try:
            fail(text)
        except ValueError:
            log.exception("failed")
    return stream.getvalue()


def stack(text: str) -> str:
    handler, stream = written("")
    with logger(handler) as log:
        code = compile(f"log.info('here', stack_info=True)  # {text}", "stack.py", "exec")
        lines = [f"log.info('here', stack_info=True)  # {text}"]
        linecache.cache["stack.py"] = (0, None, lines, "stack.py")
        exec(code, {"log": log})
    del linecache.cache["stack.py"]
    return stream.getvalue()


class _Dumps(logging.Handler):
    """Takes a record apart, as handlers do that send it somewhere."""

    text = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.text += f"{record.getMessage()} {vars(record)!r}"


def fields_of_a_record(text: str) -> str:
    handler = _Dumps()
    with logger(handler) as log:
        log.info("with %s", text, extra={"url": text})
    return handler.text


def exception_of_a_record(text: str) -> str:
    handler = _Dumps()
    with logger(handler) as log:
        try:
            fail(text)
        except ValueError:
            log.info("failed", exc_info=True)
    return handler.text


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return json.dumps({"message": record.getMessage(), "fields": vars(record)}, default=str)


def json_lines(text: str) -> str:
    handler, stream = written()
    handler.setFormatter(_Json())
    with logger(handler) as log:
        log.info("with %s", text, extra={"header": {"value": text}})
    return stream.getvalue()


def rich_with_locals(text: str) -> str:
    stream = io.StringIO()
    console = rich.console.Console(file=stream, width=300)
    handler = rich.logging.RichHandler(
        console=console, rich_tracebacks=True, tracebacks_show_locals=True
    )
    with logger(handler) as log:
        try:
            fail_beside_a_local(text)
        except ValueError:
            log.exception("failed")
    return stream.getvalue()


def queue_of_records(text: str) -> str:
    waiting: queue.Queue[logging.LogRecord] = queue.Queue()
    with logger(logging.handlers.QueueHandler(waiting)) as log:
        log.info("with %s", text, extra={"url": text})
    return repr(vars(waiting.get()))


def socket_of_records(text: str) -> str:
    sent: list[bytes] = []
    handler = logging.handlers.SocketHandler("localhost", 1)
    handler.send = sent.append  # type: ignore[assignment]
    with logger(handler) as log:
        log.info("with %s", text, extra={"url": text})
    return repr(pickle.loads(sent[0][4:]))


def memory_of_records(text: str) -> str:
    target, stream = written()
    handler = logging.handlers.MemoryHandler(10, target=target)
    with logger(handler) as log:
        log.info("with %s", text)
    return stream.getvalue()


def rotating_file(text: str) -> str:
    handler = logging.handlers.RotatingFileHandler("some.log", mode="w", encoding="utf-8")
    with logger(handler) as log:
        log.info("with %s", text)
    with open("some.log", encoding="utf-8") as file:  # noqa: PTH123
        return file.read()


def failure_of_a_handler(text: str) -> str:
    handler, _ = written()
    with contextlib.redirect_stderr(io.StringIO()) as errors, logger(handler) as log:
        log.info("with %d", text)  # what does not fit, so that logging reports it
    assert "Logging error" in errors.getvalue()
    return errors.getvalue()


def last_resort(text: str) -> str:
    with contextlib.redirect_stderr(io.StringIO()) as errors:
        made = logging.LogRecord("channel", 40, "", 0, "with %s", (text,), None)
        assert logging.lastResort is not None
        logging.lastResort.handle(made)
    return errors.getvalue()


def asyncio_task(text: str) -> str:
    handler, stream = written()
    log = logging.getLogger("asyncio")
    log.addHandler(handler)

    async def work() -> None:
        fail(text)

    async def main() -> None:
        tasks = {asyncio.ensure_future(work())}
        await asyncio.wait(tasks)
        tasks.clear()

    try:
        asyncio.run(main())
    finally:
        log.removeHandler(handler)
    return stream.getvalue()


# --- warnings -------------------------------------------------------------------------------------


def formatted_warning(text: str) -> str:
    """What a warning is shown as, where nobody has put anything in place of it."""
    return warnings.formatwarning(f"old {text}", UserWarning, "some.py", 1, line=text)


def warning_shown_by_others(text: str) -> str:
    shown: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = lambda message, *_, **__: shown.append(f"{message} {message!r}")
        warnings.warn(f"old {text}", UserWarning, stacklevel=1)
    return shown[0]


def warning_recorded(text: str) -> str:
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        warnings.warn(f"old {text}", UserWarning, stacklevel=1)
    return f"{found[0]} {found[0].message!r}"


def warning_in_the_log(text: str) -> str:
    handler, stream = written()
    log = logging.getLogger("py.warnings")
    log.addHandler(handler)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            logging.captureWarnings(True)
            warnings.warn(f"old {text}", UserWarning, stacklevel=1)
            logging.captureWarnings(False)
    finally:
        log.removeHandler(handler)
    return stream.getvalue()


# --- exceptions -----------------------------------------------------------------------------------


def fail(text: str) -> NoReturn:
    raise ValueError(f"with {text}")


def fail_beside_a_local(text: str) -> NoReturn:
    given = {"url": text}
    raise ValueError(f"failed with {len(given)}")


def uncaught(text: str) -> str:
    with contextlib.redirect_stderr(io.StringIO()) as errors:
        try:
            fail(text)
        except ValueError as error:
            sys.excepthook(type(error), error, error.__traceback__)
    return errors.getvalue()


def uncaught_in_a_thread(text: str) -> str:
    with contextlib.redirect_stderr(io.StringIO()) as errors:
        try:
            fail(text)
        except ValueError as error:
            given = (ValueError, error, error.__traceback__, threading.current_thread())
            threading.excepthook(threading.ExceptHookArgs(given))
    return errors.getvalue()


class _Fragile:
    def __init__(self, text: str) -> None:
        self._text = text

    def __del__(self) -> None:
        fail(self._text)


def unraisable(text: str) -> str:
    hook = sys.unraisablehook
    with contextlib.redirect_stderr(io.StringIO()) as errors:
        _Fragile(text)
        assert sys.unraisablehook is hook
    return errors.getvalue()


def printed_exception(text: str) -> str:
    with contextlib.redirect_stderr(io.StringIO()) as errors:
        try:
            fail(text)
        except ValueError:
            traceback.print_exc()
    return errors.getvalue()


def printed_into_a_file(text: str) -> str:
    file = io.StringIO()
    try:
        fail(text)
    except ValueError as error:
        traceback.print_exception(error, file=file)
        traceback.print_exception(type(error), error, error.__traceback__, None, file)
    return file.getvalue()


CHANNELS: tuple[Channel, ...] = (
    message,
    arguments,
    extra,
    filter_of_logger,
    filter_of_handler,
    filter_that_sets_the_message,
    filter_before_a_handler_of_others,
    formatter_defaults,
    name_of_a_logger,
    name_of_a_thread,
    record_of_a_logger,
    exception,
    stack,
    fields_of_a_record,
    exception_of_a_record,
    json_lines,
    rich_with_locals,
    queue_of_records,
    socket_of_records,
    memory_of_records,
    rotating_file,
    failure_of_a_handler,
    last_resort,
    asyncio_task,
    formatted_warning,
    warning_shown_by_others,
    warning_recorded,
    warning_in_the_log,
    uncaught,
    uncaught_in_a_thread,
    unraisable,
    printed_exception,
    printed_into_a_file,
)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("spelling", some([*SPELLINGS], few=["raw", "base64"]))
@pytest.mark.parametrize("kind", SECRETS)
@pytest.mark.parametrize("channel", CHANNELS, ids=lambda channel: channel.__name__)
def test_nothing_leaves_unmasked(channel: Channel, kind: str, spelling: str) -> None:
    spelled = SPELLINGS[spelling](SECRETS[kind])
    assert spelled in channel(spelled), "without the mask, the channel shows it"
    register_secret(SECRETS[kind])
    left = channel(spelled)
    assert spelled not in left
    assert left, "what has nothing to hide is still there"
