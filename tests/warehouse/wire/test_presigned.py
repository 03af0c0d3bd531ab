"""Presigned URLs: what was signed is permitted until it expires, and nothing else."""

from __future__ import annotations

import urllib.parse

import pytest

from vinci_code.warehouse.wire.presigned import EXPIRES, SIGNATURE, LinkError, check, sign

KEY = bytes(range(32))
PATH = "/result-files/a/b/1"


def pairs(query: str) -> list[tuple[str, str]]:
    return urllib.parse.parse_qsl(query, keep_blank_values=True)


def test_what_was_signed_is_permitted_until_it_expires() -> None:
    query = pairs(sign(KEY, "GET", PATH, 1000))
    check(KEY, "GET", PATH, query, 999.9)
    check(KEY, "GET", PATH, query[::-1], 0)
    with pytest.raises(LinkError, match="expired"):
        check(KEY, "GET", PATH, query, 1000)


@pytest.mark.parametrize(
    ("key", "method", "path"),
    [
        (bytes(32), "GET", PATH),
        (KEY, "PUT", PATH),
        (KEY, "GET", PATH + "0"),
        (KEY, "GET", "/result-files/a/b/2"),
        (KEY, "GET", "/result-files/a/\udcff/1"),
    ],
)
def test_another_request_is_not_permitted(key: bytes, method: str, path: str) -> None:
    with pytest.raises(LinkError, match="does not match"):
        check(key, method, path, pairs(sign(KEY, "GET", PATH, 1000)), 0)


@pytest.mark.parametrize(
    "change",
    [
        lambda query: [],
        lambda query: query[:1],
        lambda query: query[1:],
        lambda query: [*query, query[1]],
        lambda query: [*query, ("more", "")],
        lambda query: [(EXPIRES, "9999999999999"), query[1]],
        lambda query: [(EXPIRES, "no number"), query[1]],
        lambda query: [query[0], (SIGNATURE, query[1][1][:-1])],
        lambda query: [query[0], (SIGNATURE, query[1][1].upper())],
        lambda query: [query[0], (SIGNATURE, "é")],
        lambda query: [query[0], (SIGNATURE, "")],
        lambda query: [(EXPIRES.lower(), query[0][1]), query[1]],
    ],
)
def test_a_changed_query_string_is_not_permitted(change: object) -> None:
    query = pairs(sign(KEY, "GET", PATH, 1000))
    assert callable(change)
    with pytest.raises(LinkError) as caught:
        check(KEY, "GET", PATH, change(query), 0)
    assert query[1][1] not in str(caught.value)
