"""Recognise values that were never filled in, without ever rejecting a real one.

A pasted example such as ``your-token`` must not travel to the network and come back minutes later
as an authentication failure. The rules below only fire on what a workspace cannot have produced; a
value in the documented shape of a real one is accepted before any of them is asked.
"""

from __future__ import annotations

import re
from typing import Literal

Kind = Literal["secret", "host", "id", "name"]

_UNFILLED = "a placeholder that was not filled in"
_TEMPLATE = "a template that was not filled in"
_MASKED = "masked: its characters were replaced by a filler"
_RESERVED = "a name that is reserved for documentation"
_SHORT = "too few for a secret, and for the mask that keeps secrets out of logs"
_URL = "a URL"
PLACE = "the name of a place where a secret is kept, and not the secret"

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

# <token>, ${TOKEN}, {{ token }} and {% token %} anywhere; $TOKEN, {token}, %TOKEN%, [token] and
# __TOKEN__ as the whole value.
_TEMPLATE_INSIDE = re.compile(r"<[^<>]+>|\$\{[^{}]*\}|\{\{[^{}]*\}\}|\{%[^{}]*%\}")
_TEMPLATE_WHOLE = re.compile(r"\$[A-Za-z_]\w*|\{[^{}]*\}|%\w+%|\[[^\[\]]*\]|__\w+__", re.ASCII)

_TOKEN_PREFIX = re.compile(r"(?:dapi|dose|dkea|dsapi)[-_]?")
_FILLER_CHARACTERS = frozenset("*•.…#?xX_- ")
_STARS = re.compile(r"\*{2,}|•{2,}|…")
# Client secrets of Entra ID may have dots in a row; they have 40 characters.
_DOTS = re.compile(r"(?=.{,24}$).*\.{3,}")
# The mask looks for no shorter one.
_SHORTEST_SECRET = 8
_ONE_CHARACTER = re.compile(r"(?:dapi|dose|dkea|dsapi)?[-_]?(.)\1+(?:-\d+)?")
# No secret is so short and has digits alone.
_FEW_DIGITS = re.compile(r"[0-9]{1,15}")
_IS_URL = re.compile(r"(?i:https?|jdbc|ftp|s3|gs|abfss?|dbfs)://|(?i:jdbc|dbfs):")
# What tools and platforms call the place of a secret: 1Password, Vault, SOPS and jasypt, Docker and
# Kubernetes, notebooks of Databricks, the secret stores of AWS, Google and Azure.
_IS_PLACE = re.compile(
    r"""
    (?:op|vault|file|keyring|secret|secrets|ssm|gcpsm|awssm|akv|keyvault|doppler|infisical|ref\+\w+)
        ://
    | vault:  | secretref: | keyring:  | file:  | ENC\[  | ENC\(
    | dbutils\.secrets\. | \$\(  | !secret\s | @Microsoft\.KeyVault\(
    | arn:aws[a-z-]*:(?:secretsmanager|ssm):  | projects/[^/]+/secrets/
    | /(?:run|var|etc|mnt|home|tmp|opt|root|secrets|vault|Users|dbfs|Volumes)/  | ~/  | [A-Za-z]:\\
    """,
    re.VERBOSE,
)

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
    dummy fake mock mocked undefined redacted masked hidden
    """.split()
)
# What stands where a name should, and not one.
_ITSELF = frozenset({"workspace", "host", "hostname", "instance", "server", "url", "deployment"})
# A host of theirs, in whatever words.
_YOURS = (
    r"(?:your|my)-?(?:company|org|organization|workspace|databricks|instance|host|domain|account)+"
)
# A value made of nothing but these is a placeholder, too.
_GENERIC = frozenset(
    """
    account address company deployment domain enter goes here host hostname http id instance key me
    my name org organization path paste server some string that the this url uri value values
    variable warehouse warehouses workspace workspaces
    """.split()
)
_GENERIC_SECRET = _GENERIC | frozenset(
    """
    access an and api app bar bearer baz change client credential credentials dapi databricks foo in
    none null oauth of pass password pat personal put real sample secret secrets set sql test
    testing text to token tokens user with
    """.split()
)

_WORD = re.compile(r"[a-z]+|[0-9]+")
_CAMEL_CASE = re.compile(r"(?<=[a-z])(?=[A-Z])")
_PLAIN_TEXT = re.compile(r"[\w\s.:/@'\"!-]+", re.ASCII)
# "yourtoken", "mysecrettoken": words run together. Two-letter words other than "my" are left out,
# since random letters are easily made of them.
_RUN_TOGETHER = re.compile(
    "(?:my|"
    + "|".join(sorted((w for w in _TELLING | _GENERIC_SECRET if len(w) > 2), key=len, reverse=True))
    + ")+"
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
    if kind == "secret" and (found := _reason_for_secret(value)) is not None:
        return found
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
        if len(value) < _SHORTEST_SECRET:
            return _SHORT
        body = _TOKEN_PREFIX.sub("", value, count=1) or value
        body = body[1:-1] if body[0] == "(" and body[-1] == ")" else body
        return _UNFILLED if _is_made_of_words(body, _GENERIC_SECRET) else None
    return _UNFILLED if _is_made_of_words(value, _GENERIC) else None


def _reason_for_secret(value: str) -> str | None:
    """What no secret is, however real its shape."""
    if _IS_PLACE.match(value):
        return PLACE
    if _IS_URL.match(value):
        return _URL
    if _ONE_CHARACTER.fullmatch(value):
        return _MASKED
    return _UNFILLED if _FEW_DIGITS.fullmatch(value) else None


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
    if re.fullmatch(_YOURS, first_label):
        return _UNFILLED
    # A workspace may well be called "here", "key" or "my": one ordinary word says nothing.
    if not _is_made_of_words(first_label, _generic_for_host(host)):
        return None
    words = _WORD.findall(first_label)
    letters = [word for word in words if not word.isdigit()]
    unfilled = len(letters) > 1 or (words == letters and words[0] in _TELLING | _ITSELF)
    return _UNFILLED if unfilled else None


def _generic_for_host(host: str) -> frozenset[str]:
    if "." not in host:
        return _GENERIC_SECRET
    # databricks.acme.com may well be an address of the acme company; a workspace that Databricks
    # itself named "workspace" is not.
    return _GENERIC if host.endswith(_DATABRICKS_DOMAINS) else frozenset()


def _is_masked(value: str) -> bool:
    body = _TOKEN_PREFIX.sub("", value, count=1)
    if _STARS.search(body) or _DOTS.match(value):
        return True
    filler = sum(character in _FILLER_CHARACTERS for character in body)
    return len(set(body) & set("*•.…#?xX_-")) > 0 and filler == len(body)


def _is_made_of_words(value: str, generic: frozenset[str]) -> bool:
    """Whether the value reads like words that stand for something else.

    A random string may hold ``mock`` by chance; a placeholder holds words and little else.
    """
    if not _PLAIN_TEXT.fullmatch(value):
        return False
    words = _WORD.findall(_CAMEL_CASE.sub(" ", value).lower())
    letters = [word for word in words if not word.isdigit()]
    known = [word for word in letters if _is_known(word, generic)]
    if not known:
        return False
    if len(known) == len(letters):
        return True
    telling = any(word in _TELLING for word in known)
    return telling and 2 * sum(map(len, known)) >= sum(map(len, words))


def _is_known(word: str, generic: frozenset[str]) -> bool:
    if word in _TELLING or word in generic:
        return True
    return generic is _GENERIC_SECRET and len(word) > 4 and bool(_RUN_TOGETHER.fullmatch(word))
