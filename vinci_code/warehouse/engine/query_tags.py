r"""Query tags as text: ``team:marketing,experiment,path:a\:b``.

So they travel in a session's ``QUERY_TAGS`` and in a statement's ``query_tags``
(``serialize_query_tags`` in ``databricks/sql/utils.py``): pairs with commas between, a key without
a value has no colon, and a backslash stands before a colon, comma or backslash of a value and
before a backslash of a key.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

QueryTags = dict[str, str | None]


def parse(text: str) -> QueryTags:
    """Return the tags of a text.

    Blanks around keys and values do not count, and an empty value is none, as
    https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-syntax-aux-conf-mgmt-set-query-tags
    says of tags that a statement sets.
    """
    tags: QueryTags = {}
    for pair in _split(text, ","):
        key, *rest = _split(pair, ":")
        name = _plain(key).strip()
        if name:
            tags[name] = _plain(":".join(rest)).strip() or None
    return tags


def serialize(tags: Mapping[str, str | None]) -> str:
    """Return the text of tags."""
    return ",".join(_pair(key, value) for key, value in tags.items())


def _pair(key: str, value: str | None) -> str:
    name = key.replace("\\", "\\\\")
    if value is None:
        return name
    for special in "\\:,":
        value = value.replace(special, f"\\{special}")
    return f"{name}:{value}"


def _split(text: str, separator: str) -> Iterator[str]:
    """The parts of a text between separators that no backslash stands before."""
    begin = at = 0
    while at < len(text):
        if text[at] == "\\":
            at += 2
            continue
        if text[at] == separator:
            yield text[begin:at]
            begin = at + 1
        at += 1
    yield text[begin:]


def _plain(text: str) -> str:
    made, letters = "", iter(text)
    for letter in letters:
        made += next(letters, "") if letter == "\\" else letter
    return made
