"""An engine of a few statements, so that the wire is tested without SQL."""

from __future__ import annotations

import datetime as dt
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypedDict, cast

import pyarrow as pa

from vinci_code.warehouse.engine.catalog_view import (
    ColumnInfo,
    TableInfo,
)
from vinci_code.warehouse.engine.model import KeyConstraint
from vinci_code.warehouse.engine.names import TableName
from vinci_code.warehouse.engine.result import Column, Result
from vinci_code.warehouse.local import EngineLike, LocalWarehouse
from vinci_code.warehouse.sql import types
from vinci_code.warehouse.sql.errors import SqlError, syntax_error, unsupported
from vinci_code.warehouse.sql.parameters import Parameter, check_limits
from vinci_code.warehouse.sql.query_context import USER

if TYPE_CHECKING:
    from typing_extensions import Unpack


def _wall(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


EVERY_TYPE: list[tuple[str, types.SqlType, list[Any]]] = [
    ("c_boolean", types.BOOLEAN, [True, None, False]),
    ("c_tinyint", types.TINYINT, [-128, None, 127]),
    ("c_smallint", types.SMALLINT, [-32768, None, 32767]),
    ("c_int", types.INT, [-(2**31), None, 2**31 - 1]),
    ("c_bigint", types.BIGINT, [-(2**63), None, 2**63 - 1]),
    ("c_float", types.FLOAT, [1.5, None, float("inf")]),
    ("c_double", types.DOUBLE, [1.1, None, -0.0]),
    ("c_decimal", types.decimal(10, 2), [Decimal("1.10"), None, Decimal("-99999999.99")]),
    ("c_wide", types.decimal(38, 10), [Decimal("1E-10"), None, Decimal("1234567890.5")]),
    ("c_string", types.STRING, ["", None, "añ𝄞'\"\\\n"]),
    ("c_binary", types.BINARY, [b"", None, b"\x00\xff"]),
    ("c_date", types.DATE, [dt.date(1, 1, 1), None, dt.date(2024, 2, 29)]),
    (
        "c_timestamp",
        types.TIMESTAMP,
        [
            dt.datetime(2021, 6, 15, 12, 34, 56, 789000, dt.timezone.utc),
            None,
            dt.datetime(1969, 12, 31, 23, 59, 59, 999999, dt.timezone.utc),
        ],
    ),
    (
        "c_timestamp_ntz",
        types.TIMESTAMP_NTZ,
        [_wall("2021-06-15 12:34:56"), None, _wall("2021-01-01 00:00:00.000001")],
    ),
    ("c_array", types.array(types.INT), [[1, None, 3], None, []]),
    ("c_map", types.map_of(types.STRING, types.INT), [[("a", 1)], None, []]),
    (
        "c_struct",
        types.struct(("a", types.INT), ("b", types.array(types.STRING))),
        [{"a": 1, "b": ["x"]}, None, {"a": None, "b": None}],
    ),
    ("c_variant", types.VARIANT, ['{"a":1}', None, "[1,2]"]),
    ("c_void", types.VOID, [None, None, None]),
]


class FakeSession:
    """Answers the statements of ``FakeEngine.execute``."""

    def __init__(
        self, engine: FakeEngine, catalog: str, schema: str, configuration: dict[str, str]
    ) -> None:
        self.engine = engine
        self.catalog = catalog
        self.schema = schema
        self.configuration = configuration
        self.user = "fake@warehouse"
        self._interrupted = threading.Event()
        self.closed = False
        self.in_transaction = False
        self.only_reads = False

    def execute(self, text: str, parameters: Sequence[Parameter] = ()) -> Result:
        check_limits(parameters)
        self.engine.executed.append(text)
        for pattern, answer in _ANSWERS:
            match = re.fullmatch(pattern, text, re.IGNORECASE | re.DOTALL)
            if match:
                return answer(self, match, parameters)
        if re.match(r"(PUT|GET|REMOVE) ", text):
            raise unsupported("volumes")
        raise syntax_error(text.split()[0] if text.split() else "", text)

    def interrupt(self) -> None:
        self._interrupted.set()

    def wait(self, seconds: float) -> None:
        self._interrupted.clear()
        if self._interrupted.wait(seconds):
            raise SqlError("OPERATION_CANCELED", "HY008", "Operation has been canceled.")

    def close(self) -> None:
        self.closed = True

    def catalog_view(self) -> FakeView:
        return FakeView()


class FakeView:
    """Two catalogs with three schemas and one table and view."""

    def catalogs(self) -> list[str]:
        return ["main", "other_one"]

    def schemas(self, catalog: str) -> list[str]:
        return ["default", "information_schema"] if catalog == "main" else ["s"]

    def tables(self, catalog: str, schema: str) -> list[TableInfo]:
        if (catalog, schema) != ("main", "default"):
            return []
        return [_entry("orders", "TABLE", "All orders"), _entry("recent", "VIEW", None)]

    def columns(self, catalog: str, schema: str, table: str) -> list[ColumnInfo]:
        owner = _entry(table, "TABLE", None)
        return [
            ColumnInfo(owner, "id", 0, types.BIGINT, False, None, "the key", "ALWAYS"),
            ColumnInfo(owner, "amount", 1, types.decimal(10, 2), True, None, None),
            ColumnInfo(owner, "tags", 2, types.array(types.STRING), True, None, None),
        ]

    def constraints(self, catalog: str, schema: str, table: str) -> list[KeyConstraint]:
        parent = TableName("main", "default", "customers")
        return [
            KeyConstraint("pk", "PRIMARY KEY", ("id",)),
            KeyConstraint("fk", "FOREIGN KEY", ("a", "b"), False, parent, ("x", "y")),
        ]


NOW = dt.datetime.now(dt.timezone.utc)


def _entry(name: str, kind: str, comment: str | None) -> TableInfo:
    return TableInfo("main", "default", name, kind, "", comment, NOW, NOW)


class FakeEngine:
    """Opens fake sessions; ``executed`` lists the statements that reached it."""

    def __init__(self) -> None:
        self.executed: list[str] = []
        self.sessions: list[FakeSession] = []
        self.closed = False
        self.volumes = None  # nobody asks for a file

    def open_session(
        self,
        catalog: str | None = None,
        schema: str | None = None,
        configuration: dict[str, str] | None = None,
        user: str = USER,
    ) -> FakeSession:
        if catalog == "missing":
            raise SqlError("NO_SUCH_CATALOG_EXCEPTION", "42704", "Catalog 'missing' was not found.")
        session = FakeSession(self, catalog or "main", schema or "default", configuration or {})
        session.user = user
        self.sessions.append(session)
        return session

    def close(self) -> None:
        self.closed = True


class Options(TypedDict, total=False):
    """Options of ``LocalWarehouse`` that tests set."""

    latency: float
    port: int
    token_lifetime: float
    record_limit: int | None
    cloud_fetch_bytes: int | None
    link_lifetime: float


class FakeWarehouse(LocalWarehouse):
    """A local warehouse with the fake engine behind the real wire."""

    def __init__(self, **options: Unpack[Options]) -> None:
        super().__init__(**options)
        self.engine = FakeEngine()

    def _make_engine(self) -> EngineLike:
        return cast("EngineLike", self.engine)


Answer = Callable[[FakeSession, "re.Match[str]", Sequence[Parameter]], Result]


def _table(
    columns: list[tuple[str, types.SqlType, list[Any]]],
    kind: str = "SELECT",
    num_modified_rows: int | None = None,
) -> Result:
    arrays = [pa.array(values, sql_type.arrow()) for _, sql_type, values in columns]
    batch = pa.RecordBatch.from_arrays(arrays, names=[name for name, _, _ in columns])
    shown = [Column(name, sql_type) for name, sql_type, _ in columns]
    return Result(shown, iter([batch]), num_modified_rows, kind)


def _one(_session: FakeSession, match: re.Match[str], _parameters: Sequence[Parameter]) -> Result:
    return _table([(match.group(1), types.INT, [int(match.group(1))])])


def _every_type(*_: object) -> Result:
    return _table(EVERY_TYPE)


def _range(_session: FakeSession, match: re.Match[str], _parameters: Sequence[Parameter]) -> Result:
    count, step = int(match.group(1)), 1000

    def batches() -> Iterator[pa.RecordBatch]:
        for start in range(0, count, step):
            numbers = pa.array(range(start, min(count, start + step)), pa.int64())
            yield pa.RecordBatch.from_arrays([numbers], names=["id"])

    return Result([Column("id", types.BIGINT, nullable=False)], batches(), None, "SELECT")


def _late_error(*_: object) -> Result:
    def batches() -> Iterator[pa.RecordBatch]:
        yield pa.RecordBatch.from_arrays([pa.array([1], pa.int32())], names=["x"])
        raise SqlError("DIVIDE_BY_ZERO", "22012", "Division by zero.")

    return Result([Column("x", types.INT)], batches(), None, "SELECT")


def _sleep(session: FakeSession, match: re.Match[str], _parameters: Sequence[Parameter]) -> Result:
    session.wait(float(match.group(1)))
    return _table([("slept", types.STRING, [match.group(1)])])


def _parameters(
    _session: FakeSession, _match: re.Match[str], parameters: Sequence[Parameter]
) -> Result:
    return _table(
        [
            ("name", types.STRING, [item.name for item in parameters]),
            ("type", types.STRING, [item.type for item in parameters]),
            ("value", types.STRING, [item.value for item in parameters]),
            ("arguments", types.STRING, [_shown(item.arguments) for item in parameters]),
        ]
    )


def _shown(arguments: Sequence[Parameter]) -> str:
    return ",".join(
        f"{item.type}:{_shown(item.arguments) if item.arguments else item.value}"
        for item in arguments
    )


def _namespace(session: FakeSession, *_: object) -> Result:
    return _table(
        [
            ("catalog", types.STRING, [session.catalog]),
            ("schema", types.STRING, [session.schema]),
            ("configuration", types.STRING, [str(session.configuration)]),
        ]
    )


def _ddl(*_: object) -> Result:
    return Result([Column("Result", types.STRING)], iter(()), None, "DDL")


def _insert(*_: object) -> Result:
    columns = [("num_affected_rows", types.BIGINT, [3]), ("num_inserted_rows", types.BIGINT, [3])]
    return _table(columns, "INSERT", num_modified_rows=3)


def _set(session: FakeSession, match: re.Match[str], _parameters: Sequence[Parameter]) -> Result:
    session.configuration[match.group(1)] = match.group(2)
    return _table([("key", types.STRING, [match.group(1)])], "SET")


def _defect(*_: object) -> Result:
    raise ZeroDivisionError("a defect")


def _broken_by_stopping(session: FakeSession, *_: object) -> Result:
    try:
        session.wait(60.0)
    except SqlError:
        raise ZeroDivisionError("broken by an interruption") from None
    raise AssertionError("nobody has stopped it")


def _raise(*_: object) -> Result:
    raise SqlError("USER_RAISED_EXCEPTION", "P0001", "scripted")


_ANSWERS: list[tuple[str, Answer]] = [
    (r"SELECT (\d+)", _one),
    (r"SELECT \* FROM every_type", _every_type),
    (r"SELECT \* FROM range\((\d+)\)", _range),
    (r"SELECT 1/0", _late_error),
    (r"SELECT sleep\((.+)\)", _sleep),
    (r"SELECT parameters.*", _parameters),
    (r"SELECT namespace", _namespace),
    (r"SELECT defect", _defect),
    (r"SELECT broken_by_stopping", _broken_by_stopping),
    (r"SELECT raise_error.*", _raise),
    (r"CREATE TABLE .*|COMMIT", _ddl),
    (r"INSERT .*", _insert),
    (r"SET (\w+) = (.*)", _set),
]
