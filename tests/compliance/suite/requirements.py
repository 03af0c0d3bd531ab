"""What a Databricks SQL warehouse can do, in the words of SQLAlchemy's suite.

Only where the truth differs from what the suite assumes of a database it knows nothing about.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy.testing import exclusions, requirements

_open: Any = exclusions.open
_closed: Any = exclusions.closed

CAN = """
    array_type comment_reflection comment_reflection_full_unicode create_or_replace_view
    create_table_as delete_returning insert_executemany_returning insert_returning
    sane_rowcount_w_returning savepoints update_returning ctes ctes_with_values
    cast_precision_numerics_many_significant_digits cross_schema_fk_reflection date_historic
    datetime_historic
    datetime_literals datetime_timezone datetime_timezone_historic except_
    expression_server_defaults
    float_or_double_precision_behaves_generically foreign_key_constraint_name_reflection
    identity_columns identity_columns_standard implicit_default_schema infinity_floats intersect
    json_type mod_operator_as_percent_sign named_constraints nullsordering
    order_by_label_with_expression parens_in_union_contained_select_w_limit_offset
    precision_numerics_enotation_small precision_numerics_many_significant_digits
    precision_numerics_retains_significant_digits reflect_table_options reflects_pk_names
    regexp_match regexp_replace
    schema_create_delete schemas server_defaults
    supports_bitwise_and supports_bitwise_not supports_bitwise_or
    supports_bitwise_shift supports_bitwise_xor table_ddl_if_exists table_value_constructor
    timestamp_microseconds tuple_in unicode_ddl unique_constraint_reflection views
    window_functions window_range window_range_numeric
""".split()

CANNOT = {
    "autocommit": "each statement is its own transaction; there is no mode to switch to",
    "ctes_with_update_delete": "a CTE cannot stand before UPDATE or DELETE",
    "date_coerces_from_datetime": "the time of day would be lost, so such a value is refused",
    "deferrable_fks": "constraints are informational (PRIMARY KEY, FOREIGN KEY)",
    "delete_from": "there is no DELETE … USING; MERGE does it",
    "duplicate_key_raises_integrity_error": "the commit, or a savepoint's release, raises it",
    "fetch_first": "there is no FETCH FIRST; LIMIT does it",
    "foreign_key_constraint_option_reflection_ondelete": "the only action is NO ACTION",
    "index_reflection": "a Delta table has no indexes",
    "indexes_with_ascdesc": "a Delta table has no indexes",
    "reflect_indexes_with_ascdesc": "a Delta table has no indexes",
    "on_update_cascade": "the only action is NO ACTION",
    "recursive_fk_cascade": "the only action is NO ACTION",
    "sequences": "there are no sequences",
    "sequences_optional": "there are no sequences",
    "temp_table_reflection": "a temporary table is not listed in information_schema",
    "temporary_tables": "needs the preview of temporary tables",
    "two_phase_transactions": "there is no PREPARE TRANSACTION",
    "update_from": "there is no UPDATE … FROM; MERGE does it",
    "uuid_data_type": "there is no UUID type; values are stored as STRING",
}

_answers: dict[str, Any] = {name: property(lambda self: _open()) for name in CAN}
_answers |= {name: property(lambda self: _closed()) for name in CANNOT}

Requirements = type("Requirements", (requirements.SuiteRequirements,), _answers)
