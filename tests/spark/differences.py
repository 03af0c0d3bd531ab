"""Where Databricks answers otherwise than open-source Spark: each step, with its reason and source.

A step is listed as ``subject::case#n``, the n-th statement of its case; what follows it in the case
is not compared. A listed step that agrees after all fails the test until its line is taken out.
"""

from __future__ import annotations

from dataclasses import dataclass

_MANUAL = "https://docs.databricks.com/aws/en/sql/language-manual/"


@dataclass(frozen=True)
class Difference:
    """One difference that is meant.

    Attributes:
        reason: What differs, in a sentence.
        source: Where Databricks says so, or what open-source Spark says.
    """

    reason: str
    source: str


_FUNCTION = Difference(
    "a function that only Databricks has: `iff`, `charindex`",
    f"{_MANUAL}functions/iff, {_MANUAL}functions/charindex",
)
_STRING_PATH = Difference(
    "`:` takes a path out of JSON in a STRING; open-source Spark takes VARIANT alone",
    f"{_MANUAL}functions/colonsign",
)
_KEY = Difference(
    "keys are kept, and may refer only to tables that exist; open-source Delta keeps none",
    f"{_MANUAL}sql-ref-syntax-ddl-create-table-constraint",
)
_NOT_NULL = Difference(
    "an existing column can be made NOT NULL",
    f"{_MANUAL}sql-ref-syntax-ddl-alter-table-manage-column",
)
_CATALOG = Difference(
    "catalogs can be created, and hold schemas",
    f"{_MANUAL}sql-ref-syntax-ddl-create-catalog",
)
_CATALOG_MANAGED = Difference(
    "tables whose commits the catalog coordinates have rules of their own",
    "https://docs.databricks.com/aws/en/delta/catalog-managed-commits",
)
_GENERATORS = Difference(
    "a SELECT list has one generator at most; open-source Spark 4.2 takes several",
    f"{_MANUAL}functions/explode",
)
_AT_VERSION = Difference(
    "`table@v1` is the table at a version; open-source Spark has VERSION AS OF alone",
    "https://docs.databricks.com/aws/en/delta/history",
)
_LENGTHS = Difference(
    "DESCRIBE says CHAR(n) and VARCHAR(n); open-source Delta keeps the length beside a STRING",
    f"{_MANUAL}data-types/string-type",
)
_VIEW = Difference(
    "a view is no table: DROP TABLE and DELETE refuse it; open-source Spark drops it, and fails "
    "with an internal error in Delta",
    f"{_MANUAL}sql-ref-syntax-ddl-drop-table",
)

_BASE64 = Difference(
    "malformed Base64 has an error class; open-source Spark throws Java's own exception",
    "https://docs.databricks.com/aws/en/error-messages/conversion-invalid-input-error-class",
)
_CEILING = Difference(
    "a DOUBLE beyond BIGINT is an overflow for ceil and floor, as in Spark 4.3; Spark 4.2 cuts it",
    f"{_MANUAL}functions/ceil",
)

DIFFERENCES: dict[str, Difference] = {
    "binary::base64_padding#2": _BASE64,
    "numbers::ceiling_of_infinity_overflows#1": _CEILING,
    "alter::set_and_drop_not_null#4": _NOT_NULL,
    "conditionals::if_and_iff#1": _FUNCTION,
    "constraints::foreign_key_to_missing_table#1": _KEY,
    "constraints::primary_key_by_alter#3": _KEY,
    "ddl_schemas::create_and_drop_catalog#2": _CATALOG,
    "ddl_tables::type_synonyms#2": _LENGTHS,
    "ddl_tables::drop_table_on_a_view#2": _VIEW,
    "generators::two_generators_in_one_select#1": _GENERATORS,
    "json::path_operator#1": _STRING_PATH,
    "json::path_operator_star_and_missing#1": _STRING_PATH,
    "json::path_operator_with_cast#1": _STRING_PATH,
    "strings::locate_instr_position#1": _FUNCTION,
    "time_travel::at_sign_version#4": _AT_VERSION,
    "transactions::replace_cannot_switch_catalog_commits_on#2": _CATALOG_MANAGED,
    "update_delete::delete_from_a_view#2": _VIEW,
}
