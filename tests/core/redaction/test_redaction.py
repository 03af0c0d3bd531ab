"""The mask for secrets: what it hides, what it leaves alone, and each way out that it covers."""

from __future__ import annotations

import argparse
import asyncio
import base64
import copy
import html
import http.client
import inspect
import io
import json
import logging
import logging.handlers
import pickle
import queue
import re
import sys
import threading
import time
import traceback
import types
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError
from sqlalchemy.exc import OperationalError, StatementError

from tests.full import part, some
from vinci_code.core.redaction import (
    MASK,
    RedactedError,
    Secret,
    forget_secrets,
    redact,
    redact_exception,
    register_secret,
    shapes,
)
from vinci_code.core.redaction.exact import ExactValues

TOKEN = "dapi0f1e2d3c4b5a69788796a5b4c3d2e1f0"
# Of no known shape: only registration can find it.
PASSWORD = 'Gr8 "pass/word"+\\\'ü'


def base64_url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode()


def base64_text(data: bytes) -> str:
    return base64.b64encode(data).decode()


SPELLINGS: dict[str, Callable[[str], str]] = {
    "raw": str,
    "url": quote,
    "url, nothing safe": lambda secret: quote(secret, safe=""),
    "url, lower-case": lambda secret: re.sub("%..", lambda m: m[0].lower(), quote(secret)),
    "url, twice": lambda secret: quote(quote(secret, safe=""), safe=""),
    "form": quote_plus,
    "json": lambda secret: json.dumps(secret)[1:-1],
    "json, not ascii": lambda secret: json.dumps(secret, ensure_ascii=False)[1:-1],
    "json in json": lambda secret: json.dumps(json.dumps({"text": secret})),
    "repr": repr,
    "repr of repr": lambda secret: repr(repr(secret)),
    "repr of bytes": lambda secret: repr(secret.encode()),
    "ascii": ascii,
    "html": html.escape,
    "base64": lambda secret: base64_text(secret.encode()),
    "base64, 1 byte before": lambda secret: base64_text(b"x" + secret.encode() + b"yz"),
    "base64, 2 bytes before": lambda secret: base64_text(b"xy" + secret.encode() + b"z"),
    "basic auth": lambda secret: base64_text(b"client-id:" + secret.encode()),
    "basic auth, form": lambda secret: base64_text(b"client-id:" + quote(secret, safe="").encode()),
    "base64 for urls": lambda secret: base64_url(b"client-id:" + secret.encode()),
    "base64 in a url": lambda secret: quote(base64_text(b"client-id:" + secret.encode()), safe=""),
    "hex": lambda secret: secret.encode().hex(),
    "HEX": lambda secret: secret.encode().hex().upper(),
}  # fmt: skip

printable = st.characters(min_codepoint=32, max_codepoint=0xFFFF, exclude_categories=["C", "Z"])
secrets = (
    st.text(st.one_of(st.characters(min_codepoint=33, max_codepoint=126), printable), min_size=8)
    .map(str.strip)
    .filter(lambda secret: len(secret) >= 8 and "*" not in secret)
)


@settings(max_examples=some(300, few=100))
@given(secret=secrets, before=st.text(), after=st.text(), data=st.data())
@example(secret=PASSWORD, before="", after="", data=None)
def test_a_registered_secret_is_gone_in_every_spelling(
    secret: str, before: str, after: str, data: st.DataObject | None
) -> None:
    forget_secrets()
    register_secret(secret)
    names = list(SPELLINGS) if data is None else [data.draw(st.sampled_from(list(SPELLINGS)))]
    for name in names:
        spelled = SPELLINGS[name](secret)
        # A neighbour that could be part of the encoding would make it another text.
        text = f"{before} {spelled} {after}"
        clean = redact(text)
        assert spelled not in clean, name
        assert secret not in clean, name
        assert MASK in clean, name
        assert redact(clean) == clean, name


@given(text=st.text())
def test_text_without_a_secret_is_unchanged(text: str) -> None:
    forget_secrets()
    register_secret(TOKEN)
    assert redact(text) == text


@given(
    text=st.text(alphabet="'\"\\=:,&?% abtoken_secretpasswordsig0123456789./eyJdapi\n", max_size=80)
)
def test_redacting_twice_changes_no_more(text: str) -> None:
    once = redact(text)
    assert redact(once) == once


@pytest.mark.parametrize("module", [argparse, http.client, json, logging, inspect, traceback])
def test_source_code_is_unchanged(module: types.ModuleType) -> None:
    register_secret(TOKEN)
    source = inspect.getsource(module)
    assert redact(source) == source


@pytest.mark.parametrize("value", ["", "short", "seven77", "*" * 40, "   \n", " padded "])
def test_a_value_too_short_to_be_a_secret_is_not_looked_for(value: str) -> None:
    register_secret(value)
    text = f"a short line with 7 words: {value}, seven77, padded"
    assert redact(text) == text


def test_of_two_secrets_that_overlap_both_are_hidden() -> None:
    register_secret("abcdefgh1234")
    register_secret("1234ijklmnop")
    assert redact("<abcdefgh1234ijklmnop>") == f"<{MASK}>"


def test_the_longer_of_two_secrets_wins() -> None:
    register_secret("abcdefgh")
    register_secret("abcdefgh1234")
    assert redact("abcdefgh1234 abcdefgh") == f"{MASK} {MASK}"


@pytest.mark.parametrize("after", [b"", b"1", b"12"])
@pytest.mark.parametrize("before", [b"", b"1", b"12", b"123"])
def test_no_digit_of_base64_is_left_that_holds_bits_of_the_secret(
    before: bytes, after: bytes
) -> None:
    register_secret("abcdefgh1234")
    digits = base64_text(before + b"abcdefgh1234" + after).rstrip("=")
    first, last = len(before) * 8 // 6, -(-(len(before) + 12) * 8 // 6)
    assert redact(digits) == f"{digits[:first]}{MASK}{digits[last:]}"


def test_basic_auth_in_latin_1_is_found() -> None:
    # That is how requests encodes it.
    register_secret("pässwörter")
    assert MASK in redact(base64_text("id:pässwörter".encode("latin-1")))


def test_what_is_held_is_hidden_until_the_last_holder_releases_it() -> None:
    values = ExactValues()
    values.hold(PASSWORD)
    values.hold(PASSWORD)
    values.release(PASSWORD)
    assert values.may_be_in(PASSWORD)
    assert values.mask(f"a {PASSWORD} b", "*") == "a * b"
    values.release(PASSWORD)
    assert len(values) == 0
    assert not values.may_be_in(PASSWORD)
    values.release(PASSWORD)
    values.hold(PASSWORD)
    assert values.mask(PASSWORD, "*") == "*"


@pytest.mark.parametrize("first", ["hold", "add"])
def test_what_is_known_for_good_stays_when_it_is_released(first: str) -> None:
    values = ExactValues()
    if first == "add":
        values.add(PASSWORD)
    values.hold(PASSWORD)
    if first == "hold":
        values.add(PASSWORD)
    values.release(PASSWORD)
    assert values.mask(PASSWORD, "*") == "*"


def test_requests_of_who_holds_a_secret_do_not_make_it_stay() -> None:
    values = ExactValues()
    values.hold(PASSWORD)
    values.add(PASSWORD, rotates=True)
    values.release(PASSWORD)
    assert len(values) == 0


def test_of_what_is_held_nothing_is_forgotten_for_there_being_so_much() -> None:
    values = ExactValues()
    # They all begin as every JSON web token does.
    held = [
        f"eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.claims-{n:03}.signature-{n:03}" for n in range(99)
    ]
    for value in held:
        values.hold(value)
    values.add(held[0])  # a JSON web token that rotates, too
    for number in range(99):
        values.add(f"rotating-secret-{number:03}", rotates=True)
    for value in held:
        encoded = base64.b64encode(f"x:{value}".encode()).decode()
        assert values.may_be_in(f"a {value} b")
        assert values.mask(f"a {value} b", "*") == "a * b"
        assert value.encode().hex() not in values.mask(value.encode().hex(), "*")
        assert values.may_be_in(encoded)
        assert len(values.mask(encoded, "*")) < 9
    for value in held:
        values.release(value)
    assert len(values) < 30
    assert values.mask(held[50], "*") == held[50]


@pytest.mark.parametrize("value", ["", "1234567", "        1", "********"])
def test_what_is_too_short_is_not_held(value: str) -> None:
    values = ExactValues()
    values.hold(value)
    values.release(value)
    assert len(values) == 0


def test_threads_that_hold_and_release_agree() -> None:
    values = ExactValues()
    kept = "kept-by-somebody-else"
    values.hold(kept)

    def work(number: int) -> None:
        for turn in range(50):
            for value in (PASSWORD, f"secret-of-thread-{number}", kept):
                values.hold(value)
                assert values.mask(value, "*") == "*", turn
                values.release(value)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(values) == 1
    assert values.mask(f"{PASSWORD} {kept}", "*") == f"{PASSWORD} *"


def test_a_process_that_renews_its_token_for_months_keeps_a_bounded_number() -> None:
    register_secret(PASSWORD)
    tokens = [f"eyJhbGciOi.{number:08}.signature" for number in range(100)]
    for token in tokens:
        register_secret(token)
    # In base64 no shape finds it, so this shows which are registered.
    found = [token for token in tokens if MASK in redact(base64_text(token.encode()))]
    assert found == tokens[-24:]
    assert all(redact(token) == MASK for token in tokens)
    assert redact(PASSWORD) == MASK


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        (f"got {TOKEN}-2!", "got #!"),
        ("x=dose" + "0a" * 16, "x=#"),
        ("dkea" + "0a" * 16 + ",dsapi" + "h1" * 16, "#,#"),
        ("t%3Ddapi" + "0a" * 16, "t%3D#"),
        ("jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl.", "jwt #."),
        (r"'\neyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln'", r"'\n#'"),
        ("jwe eyJhbGciOiJkaXIifQ..aXY.Y2lwaGVy.dGFn", "jwe #"),
        ("Authorization: Bearer abc", "Authorization: Bearer #"),
        ("AUTHORIZATION:basic abc=", "AUTHORIZATION:basic #"),
        ("curl -H 'Authorization: Bearer abc' https://h", "curl -H 'Authorization: Bearer #' https://h"),
        ("b'Authorization: Bearer abc\\r\\nHost: h'", "b'Authorization: Bearer #\\r\\nHost: h'"),
        ("{'Authorization': 'Bearer abc', 'Host': 'h'}", "{'Authorization': '#', 'Host': 'h'}"),
        ("[(b'authorization', b'Bearer abc')]", "[(b'authorization', b'#')]"),
        ("Authorization: Digest a=b, c=d\nHost: h", "Authorization: Digest #\nHost: h"),
        ("Authorization: 0123456789abc", "Authorization: #"),
        ("sent Bearer abcdefghijk12345", "sent Bearer #"),
        ("https://b/o?X-Amz-Credential=A%2Fb&X-Amz-Signature=c&x=1", "https://b/o?X-Amz-Credential=#&X-Amz-Signature=#&x=1"),
        ("https://b/o?X-Amz-Security-Token=a/b", "https://b/o?X-Amz-Security-Token=#"),
        ("https://b/o?X-Goog-Signature=ab", "https://b/o?X-Goog-Signature=#"),
        ("https://b/o?sv=1&sig=a%2Bb%3D&sp=r", "https://b/o?sv=1&sig=#&sp=r"),
        ("https://b/o?Expires=1&Signature=ab", "https://b/o?Expires=1&Signature=#"),
        (r'"https://b/o?sv=1\u0026sig=ab\u0026sp=r"', r'"https://b/o?sv=1\u0026sig=#\u0026sp=r"'),
        ("u=https%3A%2F%2Fb%3Fsv%3D1%26sig%3Dab", "u=https%3A%2F%2Fb%3Fsv%3D1%26sig%3D#"),
        ("/token?client_secret=ab&grant=c", "/token?client_secret=#&grant=c"),
        ("grant=c&access_token=ab", "grant=c&access_token=#"),
        ("connect(access_token='ab', host='h')", "connect(access_token='#', host='h')"),
        ("{'client_secret': \"a'b\", 'x': 1}", "{'client_secret': \"#\", 'x': 1}"),
        ('{"password": "a\\"b", "x": 1}', '{"password": "#", "x": 1}'),
        (r'"{\"password\": \"ab\", \"x\": 1}"', r'"{\"password\": \"#\", \"x\": 1}"'),
        ("client_secret = abcdefg1", "client_secret = #"),
        ("{'token': 'cut o", "{'token': '#'"),
        ("databricks://token:ab@h/c", "databricks://token:#@h/c"),
        ("https://user:p:w@d@h", "https://user:#@h"),
    ],
)  # fmt: skip
def test_known_shapes_are_hidden(text: str, clean: str) -> None:
    assert redact(text) == clean.replace("#", MASK)
    assert redact(redact(text)) == redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "dapifoo, doses, a dose of 1234, dapi0123",
        "The Authorization header is missing. Authorization: see the documentation",
        "Bearer authentication is required; basic understanding-of-the-matter helps",
        "eyJust.a.name and eyJhbGciOi.json",
        "https://host:8443/sql/1.0/warehouses/abc?o=123 https://user@host/ sqlite:///vinci.db",
        "http://localhost:8080?to=me@example.org",
        "DATABRICKS_TOKEN: found '<token>'; accepted: a personal access token",
        "connect(access_token=self._token, password=settings.password.get_secret_value())",
        "{'access_token': None, 'token': '', 'max_tokens': 5, 'tokens': 'a b'}",
        "('host', 'access_token', 'password') are required",
        "access_token=SecretStr('**********')",
        "a significant sign: sig = 5, x?sigma=1",
        "SELECT * FROM t WHERE token = :token_1 AND password IS NULL",
    ],
)
def test_ordinary_text_is_left_alone(text: str) -> None:
    register_secret(TOKEN)
    assert redact(text) == text


HOSTILE = [
    "eyJ", "eyJaaaaaa.", "-eyJ", "%20eyJ", "token=", "token=a", "?token", "&token%3d", 'password="',
    "password='\\\"'", 'password\\": \\"', "secret\n", "authorization: ", "authorization: digest ",
    "authorization: a", "bearer ", "bearer aaaaaaaa ", "://a:", "://a:b@", "&sig=a", "%25", "\\",
    "dapi0", TOKEN[:-1], PASSWORD[:-1], '\\"', "a", " ",
]  # fmt: skip


@part(3)
@pytest.mark.parametrize("unit", HOSTILE)
def test_hostile_text_takes_linear_time(unit: str) -> None:
    register_secret(TOKEN)
    register_secret(PASSWORD)
    text = (unit * 300_000)[:300_000]
    began = time.process_time()
    redact(text)
    # About 0.2 s; what is quadratic takes minutes.
    assert time.process_time() - began < 10


# --- logs ---------------------------------------------------------------------------------------


class Lazy:
    """An object whose secret shows only when a handler formats it."""

    def __str__(self) -> str:
        return f"lazy {PASSWORD}"

    def __repr__(self) -> str:
        return "Lazy()"


class Quiet(Lazy):
    """The other way round: ``repr`` tells what ``str`` does not."""

    def __str__(self) -> str:
        return "quiet"

    def __repr__(self) -> str:
        return f"Quiet({PASSWORD})"


def fail_with(text: str) -> None:
    try:
        raise KeyError(text)
    except KeyError as error:
        raise RuntimeError("it failed") from error


def log_exception(log: logging.Logger) -> None:
    try:
        fail_with(PASSWORD)
    except RuntimeError:
        log.exception("failed")


class QuietError(Exception):
    def __str__(self) -> str:
        return "quiet"


def log_quiet_exception(log: logging.Logger) -> None:
    try:
        raise QuietError(PASSWORD)
    except QuietError:
        log.exception("failed: %s", PASSWORD)


def log_exception_argument(log: logging.Logger) -> None:
    log.warning("failed: %s %r", ValueError(PASSWORD), ValueError(PASSWORD))


def log_through_adapter(log: logging.Logger) -> None:
    logging.LoggerAdapter(log, {"user": PASSWORD}).warning("hello")


def log_received_record(log: logging.Logger) -> None:
    log.handle(logging.makeLogRecord({"msg": "got %s", "args": (PASSWORD,), "levelno": 30}))


CHANNELS: dict[str, Callable[[logging.Logger], None]] = {
    "percent": lambda log: log.debug("with %s and %d", PASSWORD, 3),
    "dict": lambda log: log.debug("with %(secret)s", {"secret": PASSWORD}),
    "dict, not used": lambda log: log.debug("with %(host)s", {"host": "h", "secret": PASSWORD}),
    "f-string": lambda log: log.debug(f"with {PASSWORD}"),  # noqa: G004
    "f-string with arguments": lambda log: log.debug(f"with {PASSWORD} and %d", 3),  # noqa: G004
    "in two pieces": lambda log: log.debug("%s%s", PASSWORD[:5], PASSWORD[5:]),
    "url": lambda log: log.debug("GET %s", "/?x=" + quote_plus(PASSWORD)),
    "basic auth": lambda log: log.debug("%s", {"Auth": base64_text(b"id:" + PASSWORD.encode())}),
    "bytes": lambda log: log.debug("send %r", PASSWORD.encode()),
    "dict, object not used": lambda log: log.debug("with %(host)s", {"host": "h", "x": Lazy()}),
    "nested": lambda log: log.debug("%s", {"a": [1, ("b", {"c": PASSWORD})]}),
    "object": lambda log: log.debug("with %s", Lazy()),
    "object, repr": lambda log: log.debug("with %s", Quiet()),
    "object as message": lambda log: log.debug(Lazy()),
    "exception": log_exception,
    "exception that only repr shows": log_quiet_exception,
    "exception as argument": log_exception_argument,
    "stack": lambda log: log.debug("here", stack_info=True, extra={"x": PASSWORD}),
    "extra": lambda log: log.debug("here", extra={"request": {"secret": PASSWORD}}),
    "adapter": log_through_adapter,
    "received": log_received_record,
}


class Collect(logging.Handler):
    """Keeps all that any formatter could make of a record: its text and all of its fields."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)
        self.texts.append(self.format(record))
        self.texts.append(json.dumps(vars(record), default=repr, ensure_ascii=False))
        self.texts.append(json.dumps(vars(record), default=str))
        self.texts.append(repr(vars(record)))
        if isinstance(record.exc_info, tuple):
            self.texts += traceback.format_exception(*record.exc_info)
            self.texts.append(repr(record.exc_info))

    @property
    def everything(self) -> str:
        return "\n".join(self.texts)


@pytest.fixture
def collected() -> Iterator[Collect]:
    """A handler at the top of the loggers under "masked"."""
    handler = Collect()
    parent = logging.getLogger("masked")
    parent.addHandler(handler)
    parent.setLevel(logging.DEBUG)
    parent.propagate = False
    yield handler
    parent.removeHandler(handler)
    parent.setLevel(logging.NOTSET)
    parent.propagate = True


def shows(text: str, secret: str = PASSWORD) -> list[str]:
    return [name for name, spell in SPELLINGS.items() if spell(secret) in text]


@pytest.mark.parametrize("channel", CHANNELS)
def test_no_log_record_shows_a_secret(channel: str, collected: Collect) -> None:
    register_secret(PASSWORD)
    CHANNELS[channel](logging.getLogger("masked.child.grandchild"))
    assert MASK in collected.everything
    assert shows(collected.everything) == []


@pytest.mark.parametrize("channel", CHANNELS)
def test_every_log_channel_leaks_without_the_mask(channel: str, collected: Collect) -> None:
    CHANNELS[channel](logging.getLogger("masked.child.grandchild"))
    assert MASK not in collected.everything
    assert shows(collected.everything) != []


def test_a_secret_of_known_shape_is_hidden_where_only_the_whole_message_shows_it(
    collected: Collect,
) -> None:
    register_secret(PASSWORD)
    log = logging.getLogger("masked")
    log.debug("databricks://token:%s@%s", "anything", "host")
    log.debug("%s: %s %s", "Authorization", "Bearer", "anything")
    assert "anything" not in collected.everything


def test_a_secret_that_only_its_name_gives_away_is_hidden(collected: Collect) -> None:
    register_secret(PASSWORD)
    log = logging.getLogger("masked")
    log.debug("with %(user)s", {"user": "ada", "password": "anything"})
    log.debug(
        "hello", extra={"client_secret": "anything", "headers": {"Authorization": "anything"}}
    )
    assert "anything" not in collected.everything
    assert "with ada" in collected.everything


def test_a_secret_in_a_source_line_of_the_stack_is_hidden(
    collected: Collect, tmp_path: Path
) -> None:
    script = tmp_path / "script.py"
    script.write_text(f"log.debug('here', stack_info=True)  # {TOKEN}\n")
    code, names = (
        compile(script.read_text(), str(script), "exec"),
        {"log": logging.getLogger("masked")},
    )
    exec(code, names)
    assert TOKEN in collected.everything  # the control
    collected.texts.clear()
    register_secret(TOKEN)
    exec(code, names)
    assert f"# {MASK}" in collected.everything
    assert TOKEN not in collected.everything


def test_a_record_with_nothing_to_hide_is_left_as_it_was(collected: Collect) -> None:
    register_secret(PASSWORD)
    given, extra = Quiet.__mro__, ["an", "object"]
    try:
        fail_with("no secret")
    except RuntimeError as caught:
        error = caught
        logging.getLogger("masked").exception("%s %r %d", given, {"a": 1}, 3, extra={"x": extra})
    [record] = collected.records
    assert record.msg == "%s %r %d"
    assert isinstance(record.args, tuple)
    assert record.args[0] is given
    assert record.args[1:] == ({"a": 1}, 3)
    assert record.x is extra  # type: ignore[attr-defined]
    assert isinstance(record.exc_info, tuple)
    assert record.exc_info[1] is error
    assert "KeyError: 'no secret'" in collected.texts[0]


def test_arguments_stay_arguments_where_masking_them_is_enough(collected: Collect) -> None:
    # uvicorn's access log, for one, takes record.args apart.
    register_secret(PASSWORD)
    logging.getLogger("masked").info('%s "%s" %d', "127.0.0.1", f"GET /?{PASSWORD}", 200)
    [record] = collected.records
    assert record.args == ("127.0.0.1", f"GET /?{MASK}", 200)
    assert record.getMessage() == f'127.0.0.1 "GET /?{MASK}" 200'


def test_a_format_that_does_not_fit_is_reported_as_ever(
    capsys: pytest.CaptureFixture[str],
) -> None:
    register_secret(PASSWORD)
    log = logging.Logger("alone")  # noqa: LOG001 (pytest's own handlers would raise)
    log.addHandler(logging.StreamHandler(io.StringIO()))
    log.info("one %s two %s", PASSWORD)
    reported = capsys.readouterr().err
    assert "--- Logging error ---" in reported
    assert "Message: 'one %s two %s'" in reported
    assert f"Arguments: ('{MASK}',)" in reported
    assert shows(reported) == []


def test_records_pass_through_queues_sockets_and_pickles(collected: Collect) -> None:
    register_secret(PASSWORD)
    logging.getLogger("masked").info("with %s", PASSWORD, extra={"x": PASSWORD})
    [record] = collected.records
    waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
    logging.handlers.QueueHandler(waiting).enqueue(
        logging.handlers.QueueHandler(waiting).prepare(record)
    )
    assert waiting.get().getMessage() == f"with {MASK}"
    sent = logging.handlers.SocketHandler("localhost", 0).makePickle(record)
    assert pickle.loads(sent[4:])["x"] == MASK
    again = pickle.loads(pickle.dumps(record))
    assert again.getMessage() == f"with {MASK}"
    assert type(vars(again)) is dict
    assert copy.copy(record).getMessage() == f"with {MASK}"


def test_a_list_that_holds_itself_ends(collected: Collect) -> None:
    register_secret(PASSWORD)
    endless: list[object] = [PASSWORD]
    endless += [endless] * 10
    logging.getLogger("masked").info("%s", endless)
    assert shows(collected.everything) == []


def test_a_record_factory_of_others_is_kept(collected: Collect) -> None:
    def with_host(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = logging.LogRecord(*args, **kwargs)
        record.host = f"h-{PASSWORD}"
        return record

    before = logging.getLogRecordFactory()
    logging.setLogRecordFactory(with_host)
    try:
        register_secret(PASSWORD)
        logging.getLogger("masked").info("hello")
        assert collected.records[0].host == f"h-{MASK}"  # type: ignore[attr-defined]
        forget_secrets()
        assert logging.getLogRecordFactory() is with_host
    finally:
        logging.setLogRecordFactory(before)


# --- warnings and hooks ---------------------------------------------------------------------------


def test_a_shown_warning_is_masked(capsys: pytest.CaptureFixture[str]) -> None:
    register_secret(PASSWORD)
    with warnings.catch_warnings():
        warnings.resetwarnings()
        warnings.simplefilter("always")
        # As Python shows it; pytest has put its own recorder in this place.
        print(warnings.formatwarning(f"old {PASSWORD}", DeprecationWarning, "a.py", 1))
    shown = capsys.readouterr().out
    assert shown.startswith(f"a.py:1: DeprecationWarning: old {MASK}")
    assert shows(shown) == []
    forget_secrets()
    leaked = warnings.formatwarning(f"old {PASSWORD}", DeprecationWarning, "a.py", 1)
    assert shows(leaked) == ["raw"]


def test_a_warning_that_goes_to_the_log_is_masked() -> None:
    handler = Collect()
    log = logging.getLogger("py.warnings")
    log.addHandler(handler)
    register_secret(PASSWORD)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        try:
            warnings.warn(f"old {PASSWORD}", DeprecationWarning, stacklevel=1)
        finally:
            logging.captureWarnings(False)
            log.removeHandler(handler)
    assert MASK in handler.everything
    assert "Gr8" not in handler.everything


def raised(text: str) -> RuntimeError:
    try:
        fail_with(text)
    except RuntimeError as error:
        return error
    raise AssertionError("fail_with raises")


def test_the_hook_for_uncaught_exceptions_gets_a_masked_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[str] = []
    monkeypatch.setattr(
        sys, "excepthook", lambda *args: seen.extend(traceback.format_exception(*args))
    )
    register_secret(PASSWORD)
    error = raised(PASSWORD)
    sys.excepthook(RuntimeError, error, error.__traceback__)
    text = "".join(seen)
    assert f"KeyError: '{MASK}'" in text
    assert shows(text) == []


def test_the_hook_for_threads_gets_a_masked_one(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", seen.append)
    register_secret(PASSWORD)
    thread = threading.Thread(target=fail_with, args=(PASSWORD,), name="worker")
    thread.start()
    thread.join()
    [given] = seen
    assert given.thread is thread
    assert given.exc_value is not None
    text = "".join(traceback.format_exception(given.exc_value))
    assert f"KeyError: '{MASK}'" in text
    assert shows(text) == []


def test_the_hook_for_unraisable_exceptions_gets_a_masked_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Fragile:
        def __del__(self) -> None:
            raise KeyError(PASSWORD)

    seen: list[str] = []
    monkeypatch.setattr(
        sys, "unraisablehook", lambda given: seen.append(f"{given.exc_value!r} {given.object!r}")
    )
    register_secret(PASSWORD)
    fragile = Fragile()
    del fragile
    [text] = seen
    assert text.startswith(f"KeyError('{MASK}')")
    assert "Fragile.__del__" in text


def test_the_object_that_an_unraisable_exception_comes_from_is_masked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Telling(Quiet):
        def __del__(self) -> None:
            raise KeyError("no secret")

    seen: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", seen.append)
    register_secret("Telling.__del__")
    telling = Telling()
    del telling
    assert seen == []
    reported = capsys.readouterr().err
    assert reported.startswith("Exception ignored in: <function ")
    assert "KeyError: 'no secret'" in reported
    assert "Telling.__del__" not in reported


def test_a_secret_in_the_source_or_in_a_global_keeps_the_next_hook_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    seen: list[object] = []
    monkeypatch.setattr(sys, "excepthook", lambda *args: seen.append(args))
    register_secret(TOKEN)
    script = tmp_path / "script.py"
    script.write_text(f"secret = '{TOKEN}'; 1 / 0\n")
    try:
        exec(compile(script.read_text(), str(script), "exec"), {"__name__": "script"})
    except ZeroDivisionError as error:
        sys.excepthook(ZeroDivisionError, error, error.__traceback__)
    assert seen == []
    shown = capsys.readouterr().err
    assert f"secret = '{MASK}'; 1 / 0" in shown
    assert "ZeroDivisionError: division by zero" in shown


def test_forgetting_takes_every_hook_out() -> None:
    def hooks() -> list[object]:
        return [
            sys.excepthook,
            sys.unraisablehook,
            threading.excepthook,
            warnings.formatwarning,
            warnings._showwarnmsg,  # type: ignore[attr-defined]
            traceback.print_exception,
            logging.Handler.format,
            logging.Handler.filter,
            logging.Handler.handleError,
        ]

    before = hooks()
    register_secret(PASSWORD)
    register_secret(TOKEN)
    assert all(new is not old for new, old in zip(hooks(), before, strict=True))
    forget_secrets()
    assert all(new is old for new, old in zip(hooks(), before, strict=True))
    assert redact(PASSWORD) == PASSWORD


def test_a_hook_put_on_top_of_ours_stays_and_ours_does_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)
    register_secret(PASSWORD)
    ours = warnings.formatwarning
    warnings.formatwarning = lambda *args, **kwargs: ours(*args, **kwargs)
    on_top = warnings.formatwarning
    forget_secrets()
    assert warnings.formatwarning is on_top
    assert PASSWORD in warnings.formatwarning(PASSWORD, UserWarning, "a.py", 1)


# --- exceptions -----------------------------------------------------------------------------------


class Request:
    """Shows nothing by itself."""

    url = f"https://host/?{PASSWORD}"


class RequestError(Exception):
    """Makes its text of what no walk through its fields finds."""

    def __init__(self, request: Request) -> None:
        super().__init__("request failed")
        self.request = request

    def __str__(self) -> str:
        return f"{self.request.url} failed"


class SlotsError(Exception):
    __slots__ = ("token",)

    def __init__(self, token: str) -> None:
        super().__init__("slots")
        self.token = token

    def __repr__(self) -> str:
        return f"SlotsError({self.token!r})"


class FrozenError(Exception):
    def __init__(self, text: str) -> None:
        super().__init__(text)
        vars(self)["text"] = text

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{name} is read-only")

    def __str__(self) -> str:
        return str(vars(self)["text"])


class FinalError(Exception):
    def __init_subclass__(cls) -> None:
        raise TypeError("final")

    def __str__(self) -> str:
        return Request.url


class Model(BaseModel):
    number: int


def validation_error() -> ValidationError:
    try:
        Model.model_validate({"number": PASSWORD})
    except ValidationError as error:
        return error
    raise AssertionError("the password is no number")


def with_note() -> Exception:
    error = ValueError("noted")
    vars(error)["__notes__"] = [f"note {PASSWORD}", "other"]
    return error


def linked(link: str) -> Exception:
    error = ValueError("outer")
    setattr(error, link, KeyError(PASSWORD))
    return error


def endless() -> Exception:
    first, second = ValueError(PASSWORD), KeyError(PASSWORD)
    first.__cause__, second.__context__ = second, first
    return first


def of_a_statement() -> Exception:
    return OperationalError(
        f"SELECT '{TOKEN}'", {"p": PASSWORD, "n": [PASSWORD]}, KeyError(f"no {PASSWORD}")
    )


def with_detail() -> Exception:
    error = StatementError(f"bad {PASSWORD}", "SELECT 1", ({"p": PASSWORD},), ValueError(PASSWORD))
    error.add_detail(f"detail {PASSWORD}")
    return error


EXCEPTIONS: dict[str, Callable[[], BaseException]] = {
    "argument": lambda: ValueError(f"bad {PASSWORD}"),
    "arguments": lambda: ValueError(1, {"a": [PASSWORD]}, PASSWORD.encode(), Lazy()),
    "KeyError": lambda: KeyError(PASSWORD),
    "OSError": lambda: OSError(2, f"no {PASSWORD}", PASSWORD, None, f"2{PASSWORD}"),
    "UnicodeDecodeError": lambda: UnicodeDecodeError("utf-8", PASSWORD.encode(), 0, 1, PASSWORD),
    "UnicodeEncodeError": lambda: UnicodeEncodeError("ascii", PASSWORD, 0, 40, PASSWORD),
    "SyntaxError": lambda: SyntaxError("bad", ("f.py", 1, 1, f"x = '{PASSWORD}'", 1, 9)),
    "SystemExit": lambda: SystemExit(f"bye {PASSWORD}"),
    "ImportError": lambda: ImportError(PASSWORD, name=PASSWORD, path=PASSWORD),
    "AttributeError": lambda: AttributeError("no", name=PASSWORD, obj=PASSWORD),
    "note": with_note,
    "cause": lambda: linked("__cause__"),
    "context": lambda: linked("__context__"),
    "in an argument": lambda: RuntimeError("retries", [KeyError(PASSWORD)], ValueError(PASSWORD)),
    "endless": endless,
    "own text": lambda: RequestError(Request()),
    "slots": lambda: SlotsError(PASSWORD),
    "frozen": lambda: FrozenError(PASSWORD),
    "final": FinalError,
    "statement": of_a_statement,
    "statement with detail": with_detail,
    "validation": validation_error,
}  # fmt: skip

if sys.version_info >= (3, 11):

    def group(message: str, *children: Exception) -> Exception:
        return ExceptionGroup(message, children)  # noqa: F821 (Python 3.11 and newer)

    def without_arguments() -> Exception:
        error = group("two", ValueError(PASSWORD))
        error.args = ()
        return error

    EXCEPTIONS["group"] = lambda: group(
        "two", ValueError(PASSWORD), group("in", KeyError(PASSWORD))
    )
    EXCEPTIONS["group's message"] = lambda: group(f"two {PASSWORD}", ValueError("fine"))
    EXCEPTIONS["group without arguments"] = without_arguments
    EXCEPTIONS["group of validations"] = lambda: group("two", group("in", validation_error()))


FIELDS = ("object", "reason", "filename", "filename2", "text", "code", "token", "name", "obj")


def report(error: BaseException) -> str:
    """All that is shown of an exception by anything that reports it."""
    lines = list(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    waiting, seen = [error], set()
    while waiting:
        current = waiting.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        lines += [str(current), repr(current), repr(current.args), repr(vars(current))]
        lines += [repr(getattr(current, name, None)) for name in FIELDS]
        linked = [current.__cause__, current.__context__, *getattr(current, "exceptions", ())]
        waiting += [item for item in linked if item is not None]
    return "\n".join(lines)


def through_frames(make: Callable[[], BaseException]) -> BaseException:
    def fail(local: str) -> None:
        inner = f"a local {local}"
        assert inner
        raise make()

    try:
        fail(PASSWORD)
    except BaseException as error:  # noqa: BLE001
        return error
    raise AssertionError("fail raises")


@pytest.mark.parametrize("name", EXCEPTIONS)
def test_no_exception_shows_a_secret(name: str) -> None:
    error = through_frames(EXCEPTIONS[name])
    assert shows(report(error)) != []  # the control
    register_secret(PASSWORD)
    clean = redact_exception(error)
    assert shows(report(clean)) == []
    assert MASK in report(clean)
    assert isinstance(clean, RedactedError if name == "final" else type(error))
    assert redact_exception(clean) is clean


REPLACED = {"final", "validation", "group's message", "group of validations"}


@pytest.mark.parametrize("name", sorted(EXCEPTIONS.keys() - REPLACED))
def test_an_exception_is_masked_in_place(name: str) -> None:
    error = EXCEPTIONS[name]()
    register_secret(PASSWORD)
    assert redact_exception(error) is error


def test_a_stand_in_takes_the_place_in_the_chain() -> None:
    register_secret(PASSWORD)
    inner = validation_error()
    vars(inner)["__notes__"] = [f"note {PASSWORD}"]
    try:
        try:
            raise inner
        except ValidationError as caught:
            raise RuntimeError("outer", caught) from caught
    except RuntimeError as error:
        outer = error
    assert redact_exception(outer) is outer
    stand_in = outer.__cause__
    assert isinstance(stand_in, ValidationError)
    assert stand_in is not inner
    assert outer.__context__ is stand_in
    assert outer.args == ("outer", stand_in)
    assert outer.__suppress_context__
    assert stand_in.__traceback__ is inner.__traceback__
    assert vars(stand_in)["__notes__"] == [f"note {MASK}"]
    assert stand_in.error_count() == 1
    assert stand_in.errors()[0]["loc"] == ("number",)
    assert stand_in.errors()[0]["input"] == MASK


def test_what_is_not_suppressed_stays_so() -> None:
    register_secret(PASSWORD)
    error = linked("__context__")
    assert not redact_exception(error).__suppress_context__
    hidden = linked("__cause__")
    hidden.__suppress_context__ = False
    assert not redact_exception(hidden).__suppress_context__
    replaced = ValueError("outer")
    replaced.__cause__ = validation_error()
    replaced.__suppress_context__ = False
    assert redact_exception(replaced) is replaced
    assert not replaced.__suppress_context__


def test_an_exception_without_a_secret_keeps_its_fields() -> None:
    register_secret(PASSWORD)
    detail, listed = Quiet.__mro__, ["a", {"b": 1}]
    error = ValueError("fine", detail, listed)
    error.__cause__ = cause = KeyError("also fine")
    assert redact_exception(error) is error
    assert error.args[1] is detail
    assert error.args[2] is listed
    assert error.__cause__ is cause


def test_a_chain_of_ten_thousand_ends() -> None:
    register_secret(PASSWORD)
    first = error = ValueError(PASSWORD)
    for _ in range(10_000):
        error.__context__ = ValueError(PASSWORD)
        error = error.__context__
    redact_exception(first)
    assert str(error) == MASK


def test_a_coroutine_that_waits_for_the_report_of_its_error_goes_on() -> None:
    # Clearing the frame of one that is suspended would end it without a word before Python 3.13.
    register_secret(PASSWORD)
    done: list[str] = []

    async def report_later(error: BaseException) -> None:
        await asyncio.sleep(0)
        redact_exception(error)

    async def work() -> None:
        try:
            fail_with(PASSWORD)
        except RuntimeError as error:
            await asyncio.create_task(report_later(error))
        done.append("went on")

    asyncio.run(work())
    assert done == ["went on"]


# --- Secret ---------------------------------------------------------------------------------------


class Settings(BaseModel):
    token: Secret


def test_a_secret_shows_itself_as_a_mask() -> None:
    settings = Settings.model_validate({"token": PASSWORD})
    assert type(settings.token) is Secret
    assert settings.token.get_secret_value() == PASSWORD
    shown = [
        str(settings),
        repr(settings),
        str(settings.token),
        repr(settings.token),
        f"{settings.token}",
        repr(settings.model_dump()),
        str(settings.model_dump(mode="json")),
        settings.model_dump_json(),
    ]
    assert shows("\n".join(shown)) == []
    assert all("**********" in text for text in shown)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_secret_is_not_pickled(protocol: int) -> None:
    settings = Settings.model_validate({"token": PASSWORD})
    for value in (settings.token, settings, [settings.token]):
        with pytest.raises(TypeError, match="Secret cannot be pickled"):
            pickle.dumps(value, protocol)


def test_a_copy_of_a_secret_is_itself() -> None:
    settings = Settings.model_validate({"token": PASSWORD})
    assert copy.copy(settings.token) is settings.token
    assert copy.deepcopy(settings).token is settings.token
    assert settings.model_copy(deep=True).token is settings.token
    assert settings.token == Secret(PASSWORD)


# --- what is tried at all -------------------------------------------------------------------------


def test_no_shape_is_passed_over() -> None:
    """What says that a text has nothing to look for knows of every hint that a shape has."""
    for shape in shapes._shapes(MASK):
        for hint in shape.hints:
            assert any(shapes.may_hold_one(hint + sign) for sign in ("", "=", "'", '"', "%3d"))
            assert all(shapes.may_hold_one(f"{hint}{sign}") for sign in ("=", "'", '"', "%3d"))


@settings(max_examples=some(400, few=25))
@given(
    st.lists(st.text(st.characters(codec="utf-8"), min_size=8, max_size=40), min_size=1),
    st.text(max_size=200),
    st.text(max_size=200),
    st.data(),
)
def test_no_secret_is_passed_over(
    secrets: list[str], before: str, after: str, data: st.DataObject
) -> None:
    """What says that no secret can be in a text never says so of one that has one."""
    values = ExactValues()
    for secret in secrets:
        values.add(secret)
    secret = data.draw(st.sampled_from(secrets)).strip()
    spelled = data.draw(st.sampled_from([secret, quote(secret, safe=""), repr(secret)[1:-1]]))
    text = f"{before}{spelled}{after}"
    if values.mask(text, MASK) != text:
        assert values.may_be_in(text)


def test_a_log_line_costs_the_same_with_one_secret_and_with_many() -> None:
    """Counted in calls, which depend on no machine."""
    counts = []
    line = "committed 17 rows of the table events in 0.123 s (unit 17)"
    for number in range(25):
        register_secret(f"dapi{number:032x}"[:36])
        if number in (0, 24):
            counts.append(calls_of(lambda: redact(line)))
    assert counts[0] == counts[1] <= 8


def calls_of(work: Callable[[], object]) -> int:
    """How many functions of Python are called."""
    count = 0

    def profile(_: types.FrameType, event: str, __: object) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count
