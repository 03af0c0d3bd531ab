"""What may be the token of a user, and what is known of it."""

from __future__ import annotations

import copy
import pickle
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from vinci_code.core.errors import UserTokenError
from vinci_code.core.redaction import MASK, redact
from vinci_code.database.dialect.dberrors import AuthenticationFailed
from vinci_code.database.users.tokens import (
    TokenDigests,
    UserCredentials,
    checked_end,
    checked_token,
)

TOKEN = "opaque-token-of-ada-0123456789"
NO_TOKENS: dict[str, tuple[Any, str]] = {
    "empty": ("", "it is empty"),
    "none": (None, "found NoneType"),
    "bytes": (TOKEN.encode(), "found bytes"),
    "with its scheme": (f"Bearer {TOKEN}", "the name of a scheme"),
    "with its scheme in small letters": (f"bearer\t{TOKEN}", "the name of a scheme"),
    "basic": (f"Basic {TOKEN}", "the name of a scheme"),
    "the scheme alone": ("Bearer", "the name of a scheme"),
    "a blank before": (f" {TOKEN}", "has a blank"),
    "a blank after": (f"{TOKEN} ", "has a blank"),
    "a blank within": (f"{TOKEN} {TOKEN}", "has a blank"),
    "the end of a line": (f"{TOKEN}\n", "has a blank"),
    "another header": (f"{TOKEN}\r\nX-User: eve", "has a blank"),
    "a NUL": (f"{TOKEN}\0", "has a blank"),
    "an umlaut": (f"{TOKEN}ä", "another character"),
    "short": ("abc", "fewer than 8 characters"),
    "a mask": ("**********", "nothing but"),
}


@pytest.mark.parametrize(("token", "said"), NO_TOKENS.values(), ids=NO_TOKENS)
def test_what_is_no_token_is_refused_and_not_repeated(token: Any, said: str) -> None:
    with pytest.raises(UserTokenError, match=said) as caught:
        checked_token(token)
    text = str(caught.value)
    assert "nothing was contacted\nTo fix it: " in text
    assert TOKEN not in text
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    "token", [TOKEN, "dapi" + "0" * 32, "eyJhbGciOiJSUzI1NiJ9.eyJ.c2ln", "bearer-of-news"]
)
def test_nothing_in_a_token_is_read(token: str) -> None:
    assert checked_token(token) is token


def test_a_digest_stands_for_one_token_and_one_process() -> None:
    digests = TokenDigests()
    assert digests.digest(TOKEN) == digests.digest(TOKEN)
    others = [TOKEN + "0", TOKEN[:-1], TOKEN.upper(), TOKEN[::-1]]
    assert len({digests.digest(token) for token in (TOKEN, *others)}) == 5
    assert TokenDigests().digest(TOKEN) != digests.digest(TOKEN)
    assert repr(digests) == f"<TokenDigests, {MASK}>"


def test_credentials_show_and_give_away_nothing() -> None:
    credentials = UserCredentials(TOKEN, "1a2b3c4d")
    assert credentials()() == {"Authorization": f"Bearer {TOKEN}"}
    assert repr(credentials) == f"<UserCredentials of user 1a2b3c4d, {MASK}>"
    assert TOKEN not in repr(vars(credentials))
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(credentials)
    assert copy.deepcopy(credentials) is credentials


def test_a_token_is_masked_while_it_is_held() -> None:
    credentials, other = UserCredentials(TOKEN, "a"), UserCredentials(TOKEN, "b")
    assert redact(TOKEN) == TOKEN
    credentials.hold()
    credentials.hold()
    other.hold()
    assert redact(TOKEN) == MASK
    credentials.release()
    credentials.release()
    assert redact(TOKEN) == MASK
    other.release()
    assert redact(TOKEN) == TOKEN
    credentials.hold()
    credentials.forget()
    assert redact(TOKEN) == TOKEN
    with pytest.raises(AuthenticationFailed, match="user a has ended"):
        credentials.headers()
    credentials.hold()
    assert redact(TOKEN) == TOKEN


NOON = datetime(2026, 1, 31, 12, tzinfo=timezone.utc)


def test_the_end_of_a_token_is_a_moment() -> None:
    assert checked_end(None) is None
    assert checked_end(NOON) == NOON.timestamp()
    elsewhere = NOON.astimezone(timezone(timedelta(hours=5)))
    assert checked_end(elsewhere) == NOON.timestamp()


@pytest.mark.parametrize(
    ("end", "found"),
    [
        (NOON.replace(tzinfo=None), "a datetime without one"),
        (NOON.timestamp(), "found float"),
        (3600, "found int"),
        ("2026-01-31", "found str"),
        (NOON.date(), "found date"),
    ],
)
def test_what_is_no_moment_is_refused(end: Any, found: str) -> None:
    with pytest.raises(UserTokenError, match=found):
        checked_end(end)
