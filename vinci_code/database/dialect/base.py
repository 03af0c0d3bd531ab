"""The dialect ``databricks+vinci``: Databricks SQL for SQLAlchemy, over the vendor's driver.

Connecting::

    create_engine(
        "databricks+vinci://HOST?http_path=/sql/1.0/warehouses/ID&catalog=main&schema=default",
        connect_args={"access_token": …},  # and whatever else databricks.sql.connect() takes
    )

Arguments of ``create_engine``:

``transactions``
    Whether tables are made with catalog commits, which let transactions write to them: ``"auto"``
    (the default) where the workspace takes it, ``"on"``, ``"off"``.
``case_sensitive_like``
    Whether ``like()``, ``contains()`` and ``startswith()`` tell ``a`` from ``A``. SQLite does not,
    unless a pragma of this name is set, so neither does this dialect; ``ilike()`` never does.
``json_serializer``, ``json_deserializer``
    As in SQLAlchemy's other dialects; ``json.dumps`` and ``json.loads`` by default.

Arguments of ``Table``:

``databricks_cluster_by=["column", …]``, or ``"auto"``
    Liquid clustering.
``databricks_partition_by=["column", …]``
    Partitions.
``databricks_tblproperties={"name": "value"}``
    Table properties. Those that a table needs, for defaults and for names with spaces, are added.

Keys: a row of a table whose primary key SQLite would give out gets a key of 63 bits that is made in
the client, and is known after the flush; ``Identity()`` has the warehouse number the rows.

Types: ``Integer`` and its kin have 64 bits, ``Float`` is a DOUBLE, ``Numeric`` without a precision
DECIMAL(38, 18), ``String`` of any length STRING, ``DateTime`` a TIMESTAMP_NTZ and with
``timezone=True`` a TIMESTAMP; JSON, ``Uuid``, ``Time`` and ``Enum`` are kept as text.

What Databricks lacks, RETURNING, FOR UPDATE, CREATE INDEX, ON CONFLICT, sequences, is refused when
a statement is compiled, with a message that names the alternative.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from sqlalchemy import exc, schema
from sqlalchemy.engine import URL, default

from vinci_code.database.dialect import connecting, schema_changes, urls
from vinci_code.database.dialect.compiler import VinciCompiler
from vinci_code.database.dialect.context import VinciExecutionContext
from vinci_code.database.dialect.dberrors import ConnectionLostError
from vinci_code.database.dialect.ddl import VinciDDLCompiler
from vinci_code.database.dialect.identifiers import VinciIdentifierPreparer
from vinci_code.database.dialect.pooling import SessionPool
from vinci_code.database.dialect.reflection import ReflectionMixin
from vinci_code.database.dialect.typecompiler import VinciTypeCompiler
from vinci_code.database.dialect.types import COLSPECS

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Engine
    from sqlalchemy.engine.interfaces import ConnectArgsType, DBAPIConnection, DBAPICursor
    from sqlalchemy.pool import Pool

_TRANSACTIONS = ("auto", "on", "off")
_LEVELS = ("AUTOCOMMIT",)


class VinciDialect(ReflectionMixin, default.DefaultDialect):  # type: ignore[misc]
    """Databricks SQL, over the vendor's driver."""

    name = "databricks"
    driver = "vinci"
    default_paramstyle = "qmark"
    supports_statement_cache = True
    max_identifier_length = 255

    statement_compiler = VinciCompiler
    ddl_compiler = VinciDDLCompiler
    type_compiler_cls = VinciTypeCompiler
    preparer = VinciIdentifierPreparer  # type: ignore[assignment]
    execution_ctx_cls = VinciExecutionContext
    colspecs = COLSPECS
    construct_arguments = [  # noqa: RUF012 - declared by SQLAlchemy
        (schema.Table, {"cluster_by": None, "partition_by": None, "tblproperties": None})
    ]

    # What the warehouse has.
    supports_alter = True
    supports_schemas = True
    supports_views = True
    supports_comments = True
    inline_comments = True
    supports_identity_columns = True
    supports_native_boolean = True
    supports_native_decimal = True
    supports_multivalues_insert = True
    supports_is_distinct_from = True
    # The types of VALUES are brought together column by column, those of a list of pairs are not.
    tuple_in_values = True
    cte_follows_insert = True
    # Rendered by the compiler as a row of DEFAULT.
    supports_default_values = True

    # What it lacks.
    supports_native_enum = False
    supports_native_uuid = False
    supports_sequences = False
    supports_empty_insert = False
    supports_for_update_of = False
    insert_returning = False
    update_returning = False
    delete_returning = False
    postfetch_lastrowid = False
    use_insertmanyvalues = False
    supports_server_side_cursors = False

    # The driver tells how many rows an UPDATE or DELETE matched.
    supports_sane_rowcount = True
    supports_sane_multi_rowcount = True

    # 7 / 2 is 3.5 there; ``//`` and ``%`` are rendered by the compiler.
    div_is_floordiv = False

    def __init__(
        self,
        transactions: str = "auto",
        case_sensitive_like: bool = False,
        json_serializer: Any = None,
        json_deserializer: Any = None,
        **kwargs: Any,
    ) -> None:
        if transactions not in _TRANSACTIONS:
            raise exc.ArgumentError(
                f"transactions={transactions!r}: it is one of {', '.join(map(repr, _TRANSACTIONS))}"
            )
        super().__init__(**kwargs)
        self.transactions = transactions
        self.case_sensitive_like = case_sensitive_like
        self._json_serializer = json_serializer
        self._json_deserializer = json_deserializer
        # Whether the workspace takes the property; taken for granted until it refuses.
        self.catalog_commits = transactions != "off"
        # The indexes that the CREATE TABLE of their tables has dealt with.
        self.settled_indexes: WeakSet[schema.Index] = WeakSet()

    @classmethod
    def import_dbapi(cls) -> ModuleType:
        """Import the DB-API module over the driver."""
        from vinci_code.database.dialect import dbapi

        return dbapi

    @classmethod
    def get_pool_class(cls, url: URL) -> type[Pool]:  # noqa: ARG003 - asked by SQLAlchemy
        """Use a pool that gives idle sessions back, and shows no connect arguments."""
        return SessionPool

    @classmethod
    def engine_created(cls, engine: Engine) -> None:
        """Take a token that was given in the URL out of it; the connect arguments have it."""
        engine.url = urls.without_credentials(engine.url)

    def create_connect_args(self, url: URL) -> ConnectArgsType:
        """Take the driver's arguments out of a URL."""
        arguments = urls.create_connect_args(url)
        self.default_schema_name = connecting.initial_schema(arguments)
        return [], arguments

    def initialize(self, connection: Connection) -> None:
        """Ask the warehouse nothing: what it was connected with tells all that is needed."""
        self.default_isolation_level = _LEVELS[0]  # type: ignore[assignment]
        opened: Any = connection.connection.dbapi_connection
        self.default_schema_name = opened.initial_schema

    # --- connections ----------------------------------------------------------------------------

    def is_disconnect(self, e: Exception, connection: Any, cursor: Any) -> bool:
        """Whether an error says that the session is gone."""
        return isinstance(e, ConnectionLostError)

    def do_ping(self, dbapi_connection: DBAPIConnection) -> bool:
        """Send nothing: a session that is gone is found out, and replaced, when it is used."""
        return True

    def get_isolation_level_values(self, dbapi_conn: DBAPIConnection) -> Sequence[Any]:
        """The levels that can be asked for."""
        return list(_LEVELS)

    def get_isolation_level(self, dbapi_connection: DBAPIConnection) -> Any:
        """The level of a connection: each statement is a transaction of its own."""
        return _LEVELS[0]

    def get_default_isolation_level(self, dbapi_conn: DBAPIConnection) -> Any:
        """The level of a new connection."""
        return _LEVELS[0]

    def set_isolation_level(self, dbapi_connection: DBAPIConnection, level: Any) -> None:
        """Take the one level that there is, which needs no statement."""

    # --- statements -----------------------------------------------------------------------------

    def do_execute(
        self, cursor: DBAPICursor, statement: str, parameters: Any, context: Any = None
    ) -> None:
        """Run a statement; of DDL each of the statements that it was rendered as."""
        if context is not None and context.isddl:
            schema_changes.run(self, cursor, statement)
        else:
            cursor.execute(statement, parameters)

    def do_executemany(
        self, cursor: DBAPICursor, statement: str, parameters: Any, context: Any = None
    ) -> None:
        """Run a statement for each set of parameters."""
        cursor.executemany(statement, parameters)

    def wants_catalog_commits(self, table: schema.Table) -> bool:
        """Whether a table is to be made so that transactions can write to it.

        Identity columns rule that out: Delta numbers rows one transaction at a time.
        """
        return self.catalog_commits and not any(
            column.identity is not None for column in table.columns
        )
