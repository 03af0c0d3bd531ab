"""The dialect ``databricks+vinci``."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from sqlalchemy.engine import URL, default
from sqlalchemy.engine.interfaces import ConnectArgsType

from vinci_code.database.dialect import urls
from vinci_code.database.dialect.compiler import VinciCompiler
from vinci_code.database.dialect.ddl import VinciDDLCompiler, VinciTypeCompiler
from vinci_code.database.dialect.identifiers import VinciIdentifierPreparer
from vinci_code.database.dialect.types import COLSPECS


class VinciDialect(default.DefaultDialect):
    """Databricks SQL, over the vendor's driver."""

    name = "databricks"
    driver = "vinci"
    default_paramstyle = "qmark"
    supports_statement_cache = True

    statement_compiler = VinciCompiler
    ddl_compiler = VinciDDLCompiler
    type_compiler_cls = VinciTypeCompiler
    preparer = VinciIdentifierPreparer
    colspecs = COLSPECS  # type: ignore[assignment]

    max_identifier_length = 255
    supports_alter = True
    supports_comments = True
    inline_comments = True
    supports_native_boolean = True
    supports_native_decimal = True
    supports_native_uuid = False
    supports_native_enum = False
    supports_sequences = False
    supports_multivalues_insert = True
    supports_default_values = False
    supports_empty_insert = False
    postfetch_lastrowid = False
    insert_returning = False
    update_returning = False
    delete_returning = False
    use_insertmanyvalues = False
    cte_follows_insert = True
    tuple_in_values = False
    supports_sane_rowcount = True
    supports_sane_multi_rowcount = False

    def __init__(
        self,
        *,
        json_serializer: Any = None,
        json_deserializer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._json_serializer = json_serializer
        self._json_deserializer = json_deserializer

    @classmethod
    def import_dbapi(cls) -> ModuleType:
        """Import the DB-API module over the driver."""
        from vinci_code.database.dialect import dbapi

        return dbapi

    def create_connect_args(self, url: URL) -> ConnectArgsType:
        """Take the driver's arguments out of a URL."""
        return [], urls.create_connect_args(url)

    def initialize(self, connection: Any) -> None:
        """Ask the warehouse nothing."""

    def do_ping(self, dbapi_connection: Any) -> bool:
        """Send nothing: a lost session is found when it is used."""
        return True
