"""What is used of SQLAlchemy and Alembic that they do not show to their users: one list.

A release may change any of it without a word. What is gone must be an error when an engine is made,
and not one in the middle of a commit, or a guard that is not there. So ``selfcheck`` looks for all
of it, once in a process; ``driver.adapter`` does the same for the vendor's driver.
"""

from __future__ import annotations

import dis
import importlib
from collections.abc import Iterator, Mapping
from typing import Any

Used = Mapping[tuple[str, str], tuple[str, ...]]
"""Names by the module and the class that has them; no class stands for the module itself."""

_COMPILER = "sqlalchemy.sql.compiler"
_DML = "sqlalchemy.sql.dml"
_ELEMENTS = "sqlalchemy.sql.elements"
_POOL = "sqlalchemy.pool.base"
_SCHEMA = "sqlalchemy.sql.schema"
_SELECTABLE = "sqlalchemy.sql.selectable"
_TYPES = "sqlalchemy.sql.type_api"

SQLALCHEMY: Used = {
    ("sqlalchemy.engine.base", "Connection"): (
        "_exec_single_context",
        "_execution_options",
        "_handle_dbapi_exception",
        "_has_events",
    ),
    ("sqlalchemy.engine.base", "Engine"): ("_connection_cls", "_has_events", "_option_cls"),
    ("sqlalchemy.engine.base", ""): ("ExceptionContextImpl", "OptionEngine"),
    ("sqlalchemy.event", "Events"): ("_accept_with",),
    ("sqlalchemy.pool", ""): ("_AdhocProxiedConnection",),
    ("sqlalchemy.engine.default", "DefaultDialect"): (
        "_assert_and_set_isolation_level",
        "_on_connect_isolation_level",
    ),
    ("sqlalchemy.engine.default", "DefaultExecutionContext"): (
        "_dbapi_connection",
        "_init_compiled",
    ),
    ("sqlalchemy.engine.row", "Row"): ("_asdict",),
    ("sqlalchemy.event.attr", "_ListenerCollection"): ("_exec_once_mutex", "_is_asyncio"),
    ("sqlalchemy.orm.mapper", "Mapper"): (
        "_columntoproperty",
        "_equivalent_columns",
        "_pks_by_table",
    ),
    ("sqlalchemy.orm.session", "Session"): ("_flushing",),
    ("sqlalchemy.orm.session", "SessionTransaction"): ("_connections",),
    (_POOL, "Pool"): (
        "_create_connection",
        "_creator",
        "_orig_logging_name",
        "_pre_ping",
        "_recycle",
        "_reset_on_return",
        "_should_wrap_creator",
    ),
    ("sqlalchemy.pool.impl", "QueuePool"): (
        "_dec_overflow",
        "_do_get",
        "_do_return_conn",
        "_max_overflow",
        "_overflow",
        "_pool",
        "_queue_class",
    ),
    ("sqlalchemy.sql.annotation", "SupportsAnnotations"): ("_annotations", "_deannotate"),
    ("sqlalchemy.sql.base", "Executable"): ("_execution_options",),
    ("sqlalchemy.sql.base", "Generative"): ("_generate",),
    ("sqlalchemy.sql.base", "HasCompileState"): ("_compile_state_factory",),
    (_COMPILER, "DDLCompiler"): ("_verify_index_table",),
    (_COMPILER, "IdentifierPreparer"): (
        "_render_schema_translates",
        "_requires_quotes_illegal_chars",
    ),
    (_COMPILER, "SQLCompiler"): (
        "_bind_processors",
        "_compose_select_body",
        "_dispatch_independent_ctes",
        "_generate_delimited_and_list",
        "_generate_generic_binary",
        "_literal_execute_expanding_parameter",
        "_literal_execute_expanding_parameter_literal_binds",
        "_process_parameters_for_postcompile",
        "_render_cte_clause",
        "_result_columns",
    ),
    ("sqlalchemy.orm.loading", ""): ("_new_runid",),
    ("sqlalchemy.sql.base", ""): ("_select_iterables",),
    ("sqlalchemy.sql.crud", ""): ("_get_crud_params",),
    (_DML, "DMLWhereBase"): ("_where_criteria",),
    (_DML, "InsertDMLState"): ("_dict_parameters", "_has_multi_parameters"),
    (_DML, "UpdateDMLState"): ("_extra_froms",),
    (_DML, "DMLState"): ("_supports_implicit_returning",),
    (_DML, "UpdateBase"): ("_returning", "_supplemental_returning"),
    (_DML, "ValuesBase"): ("_multi_values", "_post_values_clause", "_select_names", "_values"),
    (_ELEMENTS, "BindParameter"): ("_is_crud",),
    (_ELEMENTS, "ClauseElement"): ("_clone", "_compiler_dispatch", "_execute_on_connection"),
    (_ELEMENTS, "ColumnElement"): ("_label",),
    ("sqlalchemy.sql.functions", "FunctionElement"): ("_with_ordinality",),
    (_SCHEMA, "Constraint"): ("_should_create_for_compiler",),
    (_SCHEMA, "Table"): ("_autoincrement_column", "_sorted_constraints"),
    (_SELECTABLE, "GenerativeSelect"): (
        "_fetch_clause",
        "_fetch_clause_options",
        "_for_update_arg",
        "_group_by_clauses",
        "_has_row_limiting_clause",
        "_limit_clause",
        "_offset_clause",
        "_simple_int_clause",
    ),
    (_SELECTABLE, "HasCTE"): ("_independent_ctes",),
    (_SELECTABLE, "Select"): ("_distinct", "_having_criteria", "_raw_columns"),
    (_SELECTABLE, "TableValuedAlias"): ("_tableval_type",),
    ("sqlalchemy.sql.sqltypes", "Enum"): ("_object_lookup",),
    (_TYPES, "TypeEngine"): (
        "_cached_bind_processor",
        "_has_bind_expression",
        "_has_column_expression",
        "_is_tuple_type",
        "_isnull",
        "_static_cache_key",
        "_type_affinity",
        "_variant_mapping",
    ),
}

SINCE_2_1: Used = {
    # Releases before read what a dialect of ours sets on itself, and declare nothing.
    ("sqlalchemy.engine.default", "DefaultDialect"): ("_json_deserializer", "_json_serializer"),
    # Before, statements carry no parameters of their own.
    (_COMPILER, "SQLCompiler"): ("_add_to_params", "_collect_params"),
}
"""What is used of SQLAlchemy 2.1 and later, where an earlier release needs nothing in its place."""

ALEMBIC: Used = {
    ("alembic.autogenerate.render", ""): ("_repr_type",),
    ("alembic.ddl.impl", "DefaultImpl"): ("_compare_identity_default", "_exec"),
}


def of_sqlalchemy(version: str) -> list[Used]:
    """What is used of a release of SQLAlchemy."""
    major, minor, *_ = version.split(".")
    return [SQLALCHEMY, SINCE_2_1] if (int(major), int(minor)) >= (2, 1) else [SQLALCHEMY]


def missing(*lists: Used) -> list[str]:
    """What is used, and is not there."""
    return [
        f"{name or module}.{each}"
        for used in lists
        for (module, name), wanted in used.items()
        for each in _not_in(module, name, wanted)
    ]


def _not_in(module: str, name: str, wanted: tuple[str, ...]) -> Iterator[str]:
    found: Any = importlib.import_module(module)
    if name:
        found = getattr(found, name, None)
    lacks = [each for each in wanted if not hasattr(found, each)]
    if lacks and isinstance(found, type):
        known = _set_on_objects(found, set(lacks))
        lacks = [each for each in lacks if each not in known]
    yield from lacks


def _set_on_objects(found: type, wanted: set[str]) -> set[str]:
    """Which names a class declares for its objects, or its methods set on them."""
    names: set[str] = set()
    for base in found.__mro__:
        names |= wanted & set(getattr(base, "__annotations__", {}))
        for member in list(vars(base).values()):
            code = getattr(getattr(member, "__wrapped__", member), "__code__", None)
            # A name that is only read, says nothing: what has read it may be out of date.
            if code is not None and not wanted.isdisjoint(code.co_names):
                names |= {
                    str(each.argval)
                    for each in dis.get_instructions(code)
                    if each.opname == "STORE_ATTR"
                }
    return names
