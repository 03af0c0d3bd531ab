"""Recognise values that were never filled in, without ever rejecting a real one.

A pasted example such as ``your-token`` must not travel to the network and come back minutes later
as an authentication failure. The rules below only fire on what a workspace cannot have produced; a
value in the documented shape of a real one is accepted before any other of them is asked. What
cannot be told apart is accepted. ``tests/core/config/placeholders.txt`` has the examples that these
rules were made from.
"""

from __future__ import annotations

import itertools
import re
from typing import Literal

from vinci_code.core.config.references import reference_in

Kind = Literal["secret", "host", "id", "name"]

_UNFILLED = "a placeholder that was not filled in"
_TEMPLATE = "a template that was not filled in"
_MASKED = "masked: its characters were replaced by a filler"
_REPEATED = "one character again and again"
_SEQUENCE = "such as people type in a row"
_TOO_FEW = "too few for a secret, and for the mask that keeps secrets out of logs"
_CUT_SHORT = (
    "too short for a token of Databricks: after the four or five letters come 32 characters"
)
_RESERVED = "a name that is reserved for documentation"

# Shapes that only a real value has: a warehouse id, a token of each prefix that Databricks issues
# (https://docs.databricks.com/en/dev-tools/auth/pat.html, and the prefixes that public secret
# scanners look for), a UUID and a JSON web token.
_REAL = re.compile(
    r"""
    [0-9a-f]{16}
    | (?:dapi|dose|dkea|dsapi)[a-h0-9]{32}(?:-\d+)?
    | [0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}
    | eyJ[\w-]+\.[\w-]+\.[\w-]+
    """,
    re.VERBOSE | re.ASCII,
)
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)
_TOKEN = re.compile(r"(?:dapi|dose|dkea|dsapi)[a-h0-9]{16}|eyJ[\w-]{8,}\.[\w-]+\.", re.ASCII)
# The mask looks for no shorter one (core/redaction).
_SHORTEST_MASKED = 8

# No secret is so short and has digits alone.
_FEW_DIGITS = re.compile(r"[0-9]{1,15}")

# No provider issues a secret that is shorter. What a longer one may hold by chance (one of 8,000
# client secrets of Entra has three dots in a row) tells something in a shorter text alone.
_SHORTEST_ISSUED = 32

# <token>, ${TOKEN}, $(command), {{ token }} and {% token %} anywhere; $TOKEN, {token}, %TOKEN%,
# [token] and __TOKEN__ as the whole value.
_TEMPLATE_INSIDE = re.compile(r"<[^<>]+>|\$\{[^{}]*\}|\$\([^()]|\{\{[^{}]*\}\}|\{%[^{}]*%\}")
_TEMPLATE_WHOLE = re.compile(
    r"\$[A-Za-z_]\w*|\{[^{}\"':]*\}|%\w+%|\[[A-Za-z_\s./-]*\]|__\w+__", re.ASCII
)

_TOKEN_PREFIX = re.compile(r"(?:dapi|dose|dkea|dsapi)[-_]?")
_FILLER = "*•.…#?xX_- "
_FILLED = re.compile(rf"(?=.*[{re.escape(_FILLER.strip())}])[{re.escape(_FILLER)}]+")
_LONG_FILLER = re.compile(r"[•…]|\*{5}|x{6}|X{6}|#{6}|\.{6}|_{6}|-{6}")
_SHORT_FILLER = re.compile(r"\*{2}|\.{3}|(?<![^\W_])[xX]{3,}(?![^\W_])")

_DATABRICKS_DOMAINS = (
    ".databricks.com",
    ".databricks.us",
    ".azuredatabricks.net",
    ".databricks.azure.us",
    ".databricks.azure.cn",
)
# RFC 2606 and RFC 6761 reserve these names: no workspace can ever answer there.
_RESERVED_DOMAINS = ("example", "invalid", "example.com", "example.net", "example.org")

# One of these, among other words, makes a placeholder.
_TELLING = frozenset(
    """
    your yours changeme changeit placeholder replaceme fillme fixme todo tbd insert replace example
    dummy fake mock mocked undefined redacted masked hidden please paste enter generate
    """.split()
)
# A value made of nothing but these is a placeholder, too.
_GENERIC = frozenset(
    """
    account address company deployment domain enter goes here host hostname http id instance key me
    my name org organization path paste server some string that the this url uri value values
    variable warehouse warehouses workspace workspaces
    """.split()
)
# "seu-workspace" and its like stand in other languages' manuals.
_GENERIC_HOST = _GENERIC | frozenset(
    "databricks dein deine ihr mein mon seu sua su tu votre".split()
)
# One of these makes a placeholder of a host; hidden-brains may well be a company.
_TELLING_HOST = frozenset("your yours changeme placeholder replaceme fillme".split())
# Of one word, these alone say that a host is none: here.cloud.databricks.com, and any other word,
# may be the address that a company has chosen.
_NO_HOST = _TELLING_HOST | frozenset(
    """
    deployment dummy example host hostname instance redacted server undefined url workspace
    """.split()
)
# What a secret is called; a text of words with one of these in it names a secret.
_CALLED = frozenset(
    """
    apikey credential credentials jwt key keys pass passwd passwort password pat pwd secret secrets
    string token tokens value
    """.split()
)
_GENERIC_SECRET = (
    _GENERIC
    | _CALLED
    | frozenset(
        """
        access admin an and api app auth bar bearer baz bot change char characters chars client
        dapi databricks dev development foo from github in long min minimum none null oauth of
        personal postgres private prod production provided public put qwerty random real refresh
        root sample secure set sk sql strong super test testing text to user with
        """.split()
    )
)

_WORD = re.compile(r"[a-z]+|[0-9]+")
_CAMEL_CASE = re.compile(r"(?<=[a-z])(?=[A-Z])")
_PLAIN_TEXT = re.compile(r"[\w\s.:/@'\"!()-]+", re.ASCII)
# "yourtoken", "mysecrettoken": words run together. Two-letter words other than "my" are left out,
# since random letters are easily made of them.
_LONG_WORDS = sorted((w for w in _TELLING | _GENERIC_SECRET if len(w) > 2), key=len, reverse=True)
_RUN_TOGETHER = re.compile(f"(?:my|{'|'.join(_LONG_WORDS)})+")
# What people write between two separators; random letters change their case, and have digits amid.
_SEPARATOR = re.compile(r"[\W_]+", re.ASCII)
_WRITTEN = re.compile(r"(?:[a-z]+|[A-Z]+|[A-Z]?[a-z]+(?:[A-Z]{1,2}[a-z]+)*[A-Z]*)?\d*|\d+[a-z]*")
# "somegithubclientsecret": letters of one case that begin or end as such texts do.
_ONE_CASE = re.compile(
    r"(?:some|any|insert|enter|my|your)[a-z]{4,}\d{0,4}"
    r"|[a-z]{3,}(?:token|secret|password|key|here)\d{0,4}"
)


def placeholder_reason(value: str, kind: Kind) -> str | None:
    """Say why ``value`` is a placeholder, or ``None`` if it may be real.

    Args:
        value: What was found, already free of surrounding spaces and quotes.
        kind: ``"secret"`` for tokens and client secrets, ``"host"`` for a host name, ``"id"`` for a
            warehouse or client id, ``"name"`` for what people name themselves (a profile, catalog
            or schema), where any ordinary word may be meant and only templates are refused.

    Returns:
        A phrase that completes "it is …", with nothing of the value in it.
    """
    reference = reference_in(value) if kind == "secret" else None
    if reference is not None:
        return reference.meaning
    if _is_one_character(value, kind):
        return _REPEATED
    if _REAL.fullmatch(value):
        return None
    if _TEMPLATE_INSIDE.search(value) or _TEMPLATE_WHOLE.fullmatch(value):
        return _TEMPLATE
    if kind == "name":
        return _reason_for_name(value)
    if kind == "host":
        return _reason_for_host(value.lower().rstrip("."))
    if _is_masked(value):
        return _MASKED
    if kind == "secret":
        return _reason_for_secret(value)
    return _UNFILLED if _is_made_of_words(value, _GENERIC, _TELLING) else None


def is_uuid(value: str) -> bool:
    """Whether ``value`` is a UUID, as the application id of a service principal is."""
    return _UUID.fullmatch(value) is not None


def holds_token(value: str) -> bool:
    """Whether a token of Databricks or a JSON web token is somewhere in ``value``."""
    return _TOKEN.search(value) is not None


def _is_one_character(value: str, kind: Kind) -> bool:
    """Whether a token, client secret or UUID is one character repeated, such as zeros; not stars.

    A warehouse id is left alone: 16 equal digits are as likely as any others.
    """
    if kind != "secret" and not is_uuid(value):
        return False
    body = re.sub(r"-\d+$", "", _TOKEN_PREFIX.sub("", value, count=1))
    characters = set(body.replace("-", ""))
    return len(body) > 1 and len(characters) == 1 and characters.pop().isalnum()


def _reason_for_name(value: str) -> str | None:
    words = _WORD.findall(value.lower())
    unfilled = bool(words) and words[0] in {"your", "changeme", "placeholder"}
    return _UNFILLED if unfilled else None


def _reason_for_host(host: str) -> str | None:
    if any(host == name or host.endswith("." + name) for name in _RESERVED_DOMAINS):
        return _RESERVED
    first_label = host.partition(".")[0]
    if any(re.fullmatch(r"x{3,}", part) for part in first_label.split("-")) or "*" in first_label:
        return _MASKED
    return _UNFILLED if _names_no_host(host, first_label) else None


def _names_no_host(host: str, first_label: str) -> bool:
    if "." not in host:
        return _is_made_of_words(host, _GENERIC_SECRET, _TELLING)
    words = _WORD.findall(first_label)
    if len([word for word in words if not word.isdigit()]) == 1:
        # "yourcompany", and not yourmechanic.cloud.databricks.com.
        owned = re.sub("^(?:your|my)", "", first_label)
        return first_label in _NO_HOST or (owned != first_label and owned in _GENERIC_HOST)
    # databricks.acme.com may well be an address of the acme company; a workspace that Databricks
    # itself named "my-workspace" is not.
    generic = _GENERIC_HOST if host.endswith(_DATABRICKS_DOMAINS) else frozenset()
    return _is_made_of_words(first_label, generic, _TELLING_HOST)


def _is_masked(value: str) -> bool:
    body = _TOKEN_PREFIX.sub("", value, count=1)
    if _LONG_FILLER.search(body) or _FILLED.fullmatch(body):
        return True
    return len(value) < _SHORTEST_ISSUED and _SHORT_FILLER.search(body) is not None


def _reason_for_secret(value: str) -> str | None:
    if len(value) < _SHORTEST_MASKED:
        return _TOO_FEW
    body = _TOKEN_PREFIX.sub("", value, count=1) or value
    if _is_made_of_words(body, _GENERIC_SECRET, _TELLING) or _names_a_secret(body):
        return _UNFILLED
    if _is_cut_short(value, body):
        return _CUT_SHORT
    return _SEQUENCE if _is_sequence(body) or _FEW_DIGITS.fullmatch(body) else None


def _is_cut_short(value: str, body: str) -> bool:
    if body == value or not re.fullmatch(r"[\w-]+", body, re.ASCII):
        return False
    return len(value) < _SHORTEST_ISSUED or bool(re.fullmatch(r"[0-9a-f]{1,31}", body))


def _is_sequence(value: str) -> bool:
    """Whether the value consists of runs such as ``1234``, ``abc`` and ``000``."""
    characters = value.lower().replace("-", "").replace("_", "")
    runs, last_step = [1], 0
    for before, after in itertools.pairwise(characters):
        step = 1 if (before, after) == ("9", "0") else ord(after) - ord(before)
        if abs(step) <= 1 and (runs[-1] == 1 or step == last_step):
            runs[-1] += 1
        else:
            runs.append(1)
        last_step = step
    return len(characters) > 5 and min(runs) > 2


def _is_made_of_words(value: str, generic: frozenset[str], telling: frozenset[str]) -> bool:
    """Whether the value reads like words that stand for something else.

    A random string may hold ``mock`` by chance; a placeholder holds words and little else.
    """
    words = _words_of(value)
    letters = [word for word in words if not word.isdigit()]
    known = [word for word in letters if _is_known(word, generic)]
    if not known:
        return False
    if len(known) == len(letters):
        return True
    told = any(word in telling for word in known)
    return told and 2 * sum(map(len, known)) >= sum(map(len, words))


def _names_a_secret(value: str) -> bool:
    """Whether the value is text about a secret: ``isi_token_bot_di_sini``, ``WorkOrderSecret``."""
    if value in (value.lower(), value.upper(), value.capitalize()) and _ONE_CASE.fullmatch(
        value.lower()
    ):
        return True
    if not all(_WRITTEN.fullmatch(part) for part in _SEPARATOR.split(value)):
        return False
    words = _words_of(value)
    letters = [word for word in words if not word.isdigit()]
    if not any(word in _CALLED or word in _TELLING for word in letters):
        return False
    few_digits = 2 * sum(map(len, letters)) >= sum(map(len, words))
    return few_digits and sum(not _is_wordlike(word) for word in letters) <= len(letters) // 4


def _is_wordlike(word: str) -> bool:
    if word == "x" or _is_known(word, _GENERIC_SECRET):
        return True
    return len(word) > 1 and re.search("[aeiouy]", word) is not None


def _words_of(value: str) -> list[str]:
    if not _PLAIN_TEXT.fullmatch(value):
        return []
    return _WORD.findall(_CAMEL_CASE.sub(" ", value).lower())


def _is_known(word: str, generic: frozenset[str]) -> bool:
    if word in _TELLING or word in generic:
        return True
    return generic is _GENERIC_SECRET and len(word) > 4 and bool(_RUN_TOGETHER.fullmatch(word))
