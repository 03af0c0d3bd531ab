"""Logs for applications that have none: what stands in a line, and whose handlers stay."""

from __future__ import annotations

import json
import logging
import random
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from vinci_code.core import logging_setup, logs
from vinci_code.core.redaction import MASK, forget_secrets, redact, register_secret

TOKEN = "dapi" + "0f1e2d3c" * 4
OF_NO_SHAPE = "Vc9kZ+7qT~patLw3=Rx5_Nf8-Hy2"
LOG = logging.getLogger("shop.orders")


@pytest.fixture(autouse=True)
def no_handlers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The logs of a process in which nobody has set anything: not even pytest."""
    root, package = logging.getLogger(), logging.getLogger("vinci_code")
    before = root.handlers[:], root.level, package.handlers[:]
    root.handlers[:], package.handlers[:] = [], []
    root.setLevel(logging.WARNING)
    add = root.addHandler

    def add_others(handler: logging.Handler) -> None:
        # Pytest adds its own when the test itself begins.
        if not type(handler).__module__.startswith("_pytest."):
            add(handler)

    monkeypatch.setattr(root, "addHandler", add_others)
    yield
    root.handlers[:], package.handlers[:] = before[0], before[2]
    root.setLevel(before[1])


def written(capsys: pytest.CaptureFixture[str]) -> str:
    out, err = capsys.readouterr()
    assert out == ""
    return err


def document(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    (line,) = written(capsys).splitlines()
    found: dict[str, Any] = json.loads(line)
    return found


def test_a_record_is_one_document_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert logging_setup(json=True)
    LOG.info("order %s\nis %s", 7, "late\u2028", extra={"customer": "Ada", "rows": 3, "unit": None})
    found = document(capsys)
    assert found.pop("time").endswith("Z")
    assert found == {
        "level": "INFO",
        "logger": "shop.orders",
        "message": "order 7\nis late\u2028",
        "customer": "Ada",
        "rows": 3,
        "unit": None,
    }


def test_exceptions_and_stacks_are_text(capsys: pytest.CaptureFixture[str]) -> None:
    logging_setup(json=True)
    try:
        raise KeyError(TOKEN)
    except KeyError:
        LOG.exception("no", stack_info=True)
    found = document(capsys)
    assert found["exception"].startswith("Traceback (most recent call last):\n")
    assert found["exception"].endswith(f"KeyError: '{MASK}'")
    assert "test_exceptions_and_stacks_are_text" in found["stack"]


def test_without_json_it_is_a_line_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert logging_setup()
    LOG.warning("order %s\n\x1b[2J", 7, extra={"customer": "A\nda"})
    (line,) = written(capsys).splitlines()
    assert line.split(" ", 1)[1] == ('WARNING shop.orders: order 7\\n\\x1b[2J customer="A\\nda"')
    try:
        raise ValueError("a\x1bb")
    except ValueError:
        LOG.exception("no")
    head, *below = written(capsys).splitlines()
    assert head.endswith("ERROR shop.orders: no")
    assert below[0] == "Traceback (most recent call last):"
    assert below[-1] == "ValueError: a\\x1bb"


class Unshowable:
    def __str__(self) -> str:
        raise RuntimeError("never")


def nested(deep: int) -> Any:
    return {"a": nested(deep - 1)} if deep else 1


def deep_list(deep: int) -> Any:
    return [deep_list(deep - 1)] if deep else "[[...]]"


def itself() -> list[Any]:
    found: list[Any] = []
    found.append(found)
    return found


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (float("nan"), "nan"),
        (float("inf"), "inf"),
        (1.5, 1.5),
        (True, True),
        (10**5000, "<int that cannot be shown>"),
        (2**70, str(2**70)),
        (Unshowable(), "<Unshowable that cannot be shown>"),
        ({1: (2, {3})}, {"1": [2, [3]]}),
        (b"\xff", "b'\\xff'"),
        ("\ud800", "\ud800"),
        (itself(), deep_list(12)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_extra_is_anything_at_all(
    capsys: pytest.CaptureFixture[str], value: Any, shown: Any
) -> None:
    logging_setup(json=True)
    LOG.info("x", extra={"it": value})
    assert document(capsys)["it"] == shown


def test_an_extra_of_the_name_of_a_field_takes_its_place_from_none(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logging_setup(json=True)
    LOG.info("x", extra={"level": "mine", "time": 1})
    found = document(capsys)
    assert (found["level"], found["extra_level"], found["extra_time"]) == ("INFO", "mine", 1)


SECRETS = [
    {"it": OF_NO_SHAPE},
    {"it": {"deep": [OF_NO_SHAPE, {OF_NO_SHAPE: 1}]}},
    {"password": "hunter2"},
    {"it": {"client_secret": "hunter2"}},
    {OF_NO_SHAPE: 1},
    {"it": f'"quoted" {OF_NO_SHAPE} "'},
    {"it": nested(20) | {"token": "hunter2"}},
    {"it": b"x" + OF_NO_SHAPE.encode()},
    {"it": ValueError(OF_NO_SHAPE)},
]


@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
@pytest.mark.parametrize("extra", SECRETS, ids=range(len(SECRETS)))
def test_no_extra_tells_a_secret(
    capsys: pytest.CaptureFixture[str], extra: dict[str, Any], as_json: bool
) -> None:
    register_secret(OF_NO_SHAPE)
    logging_setup(json=as_json)
    LOG.info("x", extra=extra)
    text = written(capsys)
    assert OF_NO_SHAPE not in text
    assert "hunter2" not in text
    assert MASK in text
    assert not as_json or json.loads(text)["message"] == "x"


MESSAGES = [
    f"Authorization: Bearer {TOKEN}\nand more",
    'password="hunter2", and "more',
    f"https://u:{OF_NO_SHAPE}@h/p?X-Amz-Signature=abc\\",
    '{"password": "hunter2"}',
    "'client_secret': 'hunter2'\\\"",
    "Authorization: Basic " + "QUJD" * 20,
]


@pytest.mark.parametrize("registered", [False, True])
@pytest.mark.parametrize("message", MESSAGES, ids=range(len(MESSAGES)))
def test_a_masked_line_is_still_a_document(
    capsys: pytest.CaptureFixture[str], message: str, registered: bool
) -> None:
    forget_secrets()
    if registered:
        # From then on the mask stands in front of every handler, too.
        register_secret(OF_NO_SHAPE)
    logging_setup(json=True)
    LOG.info("%s", message, extra={"customer": "Ada", "password": "hunter2"})
    found = document(capsys)
    text = json.dumps(found)
    assert TOKEN not in text
    assert "hunter2" not in text
    assert "QUJDQUJD" not in text
    assert not registered or OF_NO_SHAPE not in text
    assert MASK in found["message"]
    assert found.get("customer", "Ada") == "Ada"


@pytest.mark.parametrize("registered", [False, True])
def test_what_only_looks_like_a_secret_beside_its_neighbour_is_shown(
    capsys: pytest.CaptureFixture[str], registered: bool
) -> None:
    if registered:
        register_secret(OF_NO_SHAPE)
    logging_setup(json=True)
    LOG.info("no header Authorization", extra={"customer": "Ada"})
    found = document(capsys)
    assert (found["message"], found["customer"]) == ("no header Authorization", "Ada")


def test_every_line_is_a_document_that_the_mask_leaves_alone() -> None:
    seed = 20
    print("seed", seed)
    chance = random.Random(seed)
    pieces = [
        *("password", "=", ":", "'", '"', " ", "\\", "\n", "Authorization", "Bearer", "Basic", "{"),
        *("client_secret", "token", "https://", "u:", "@h", "?sig=", "}", ",", "hunter2", "1"),
    ]

    def some() -> str:
        return "".join(chance.choice(pieces) for _ in range(chance.randrange(1, 7)))

    formatter = logs._JsonLine()
    for _ in range(3000):
        name = chance.choice(["customer", "password", "Authorization"])
        fields = {"msg": some(), "name": "x", "levelname": "INFO", name: some(), "it": some()}
        line = formatter.format(logging.makeLogRecord(fields))
        assert json.loads(line)["logger"] == "x", fields
        assert redact(line) == line, fields


def test_what_cannot_be_masked_as_a_document_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "redact", lambda text: text.removeprefix('{"time"'))
    line = logs._JsonLine().format(logging.makeLogRecord({"msg": "x", "secret": 1}))
    monkeypatch.undo()
    assert set(json.loads(line)) == {"time", "level", "logger", "message"}


def test_what_is_set_up_once_is_changed_and_not_doubled(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert logging_setup(json=True)
    assert logging_setup(level="WARNING")
    assert len(logging.getLogger().handlers) == 1
    LOG.info("not this")
    LOG.warning("but this")
    (line,) = written(capsys).splitlines()
    assert line.endswith("WARNING shop.orders: but this")
    assert logging_setup(json=True, level=logging.DEBUG)
    LOG.debug("and this")
    assert document(capsys)["message"] == "and this"


@pytest.mark.parametrize("name", ["", "vinci_code"])
def test_handlers_of_the_application_stay_alone(
    capsys: pytest.CaptureFixture[str], name: str
) -> None:
    own = logging.StreamHandler(sys.stderr)
    own.setFormatter(logging.Formatter("mine %(message)s"))
    logger = logging.getLogger(name)
    logger.addHandler(own)
    assert not logging_setup(json=True, level="DEBUG")
    assert logger.handlers == [own]
    assert logging.getLogger().level == logging.WARNING
    logging.getLogger("vinci_code.x").warning("x")
    assert written(capsys) == "mine x\n"


def test_a_null_handler_is_none() -> None:
    logging.getLogger("vinci_code").addHandler(logging.NullHandler())
    assert logging_setup()


def test_what_is_always_at_debug_is_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    # As a logger of the driver is, which shows whole requests.
    chatty = logging.getLogger("chatty")
    chatty.setLevel(logging.DEBUG)
    logging_setup()
    chatty.debug("a whole request")
    chatty.info("a line")
    assert "request" not in (text := written(capsys))
    assert "a line" in text


def test_it_follows_who_replaces_standard_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import io

    logging_setup()
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    LOG.info("x")
    assert written(capsys) == ""
    assert stream.getvalue().endswith("INFO shop.orders: x\n")


def test_a_level_that_is_none_changes_nothing() -> None:
    with pytest.raises(ValueError, match="LOUD"):
        logging_setup(level="LOUD")
    assert logging.getLogger().handlers == []
