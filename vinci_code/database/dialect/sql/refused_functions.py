"""Functions and operators of SQLite for which Databricks has none that gives the same.

Some it lacks; some it has by the same name, and they give something else without a word. What
Databricks has is called by its full name there, ``func.system.builtin.soundex(x)``, which no
function of SQLite has.
"""

from __future__ import annotations

from sqlalchemy.exc import CompileError

from vinci_code.database.dialect.sql.refusals import FUNCTION_OF_SQLITE, OPERATOR_OF_SQLITE

_COLUMN = (
    "Declare the column as JSON, or write type_coerce(x, JSON), and take the part by its keys: "
    "column['a']['b'].as_string(), .as_integer(), .as_float() or .as_boolean()."
)
_IN_PYTHON = "Read the document as a column of the type JSON, and look at it in Python."
_CHANGED = "Read the document as a column of the type JSON, change it in Python, and write it back."
_MADE = (
    "Make the document in Python, and bind it as a value of the type JSON; Databricks' own is "
    "func.to_json(func.named_struct('a', x))."
)
_GATHERED = (
    "Select the rows, and make the document in Python; Databricks' own is "
    "func.to_json(func.array_agg(x))."
)
_ROWS = (
    "Read the document as a column of the type JSON, and go through it in Python; Databricks' own "
    "is func.explode(), of func.from_json(x, schema)."
)
_BINARY = "Databricks keeps no JSON as a BLOB. Use a column of the type JSON."
_OF_SQLITE = "It tells of SQLite itself; ask connection.dialect.name which database it is."
_FORMATTED = (
    "Join texts, cast(x, String) and func.round(x, 2) with +, or format the value in Python; "
    "Databricks' own is func.format_string('%d', x)."
)
_ROWCOUNT = "How many rows a statement has changed is result.rowcount."

ALTERNATIVES = {
    "changes": _ROWCOUNT,
    "total_changes": _ROWCOUNT,
    "last_insert_rowid": "The key of a row that was inserted is in result.inserted_primary_key.",
    "load_extension": _OF_SQLITE,
    "sqlite_compileoption_get": _OF_SQLITE,
    "sqlite_compileoption_used": _OF_SQLITE,
    "sqlite_log": _OF_SQLITE,
    "sqlite_offset": _OF_SQLITE,
    "sqlite_source_id": _OF_SQLITE,
    "sqlite_version": _OF_SQLITE,
    "subtype": _OF_SQLITE,
    "format": _FORMATTED,
    "printf": _FORMATTED,
    "glob": "Write column.regexp_match(pattern), which tells small letters from capitals.",
    "quote": "Bind the value as a parameter: then there is nothing to quote.",
    "unistr": "Write the characters themselves.",
    "unistr_quote": "Bind the value as a parameter: then there is nothing to quote.",
    "randomblob": "Give os.urandom(n) as a value.",
    "soundex": "Compute it in Python; Databricks' own is func.system.builtin.soundex(x).",
    "timediff": "Write func.julianday(a) - func.julianday(b), which gives days.",
    "json": _COLUMN,
    "json_array": _MADE,
    "json_array_insert": _CHANGED,
    "json_error_position": _IN_PYTHON,
    "json_extract": _COLUMN,
    "json_group_array": _GATHERED,
    "json_group_object": _GATHERED,
    "json_insert": _CHANGED,
    "json_object": _MADE,
    "json_patch": _CHANGED,
    "json_pretty": _IN_PYTHON,
    "json_quote": _MADE,
    "json_remove": _CHANGED,
    "json_replace": _CHANGED,
    "json_set": _CHANGED,
    "json_type": _IN_PYTHON,
    "json_valid": (
        "A column of the type JSON holds nothing else; Databricks' own is "
        "func.try_parse_json(x).is_not(None)."
    ),
    "json_each": _ROWS,
    "json_tree": _ROWS,
    "jsonb": _BINARY,
    "jsonb_array": _BINARY,
    "jsonb_array_insert": _BINARY,
    "jsonb_each": _BINARY,
    "jsonb_extract": _BINARY,
    "jsonb_group_array": _BINARY,
    "jsonb_group_object": _BINARY,
    "jsonb_insert": _BINARY,
    "jsonb_object": _BINARY,
    "jsonb_patch": _BINARY,
    "jsonb_remove": _BINARY,
    "jsonb_replace": _BINARY,
    "jsonb_set": _BINARY,
    "jsonb_tree": _BINARY,
}
"""What to write in the place of a function, by its name."""

_OPERATORS = {"->": _COLUMN, "->>": _COLUMN, "GLOB": ALTERNATIVES["glob"]}


def refuse_function(name: str) -> None:
    """Refuse a function that would fail, or give something else than on SQLite.

    Raises:
        CompileError: It is one.
    """
    if name in ALTERNATIVES:
        raise CompileError(FUNCTION_OF_SQLITE.format(name, ALTERNATIVES[name]))


def refuse_operator(text: str) -> None:
    """Refuse an operator of the application's own that only SQLite has.

    Raises:
        CompileError: It is one.
    """
    sign = text.strip().upper()
    if sign in _OPERATORS:
        raise CompileError(OPERATOR_OF_SQLITE.format(sign, _OPERATORS[sign]))
