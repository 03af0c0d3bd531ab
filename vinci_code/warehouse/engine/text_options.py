"""What the readers of CSV and JSON have in common: options, modes, and rows that do not fit.

https://docs.databricks.com/aws/en/ingestion/cloud-object-storage/auto-loader/options has the
options, https://docs.databricks.com/aws/en/sql/language-manual/functions/read_files those of
``read_files``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from vinci_code.warehouse.engine.text_files import excerpt, unreadable
from vinci_code.warehouse.sql.errors import SqlError, unsupported
from vinci_code.warehouse.sql.types import Column

PERMISSIVE, FAILFAST, DROPMALFORMED = _MODES = ("PERMISSIVE", "FAILFAST", "DROPMALFORMED")


@dataclass(frozen=True)
class TextReading:
    """How files of text are read, whatever their format.

    Attributes:
        zone: The session's time zone, of times that name none.
        schema: The columns that the files are to have; ``None`` where they say so themselves.
        hints: Columns whose types are given while the others are inferred.
        infers: Whether types are inferred; all of CSV is STRING otherwise.
        rescues: Whether what fits in no column would go to one of its own.
        all_columns: Whether every column is read, whichever a query needs.
        by_position: Whether values are for the columns of a table, one by one.
        check_interrupt: Called now and then; raises where the statement was cancelled.
    """

    zone: str = "UTC"
    schema: tuple[Column, ...] | None = None
    hints: tuple[Column, ...] = ()
    infers: bool = False
    rescues: bool = False
    all_columns: bool = False
    by_position: bool = False
    check_interrupt: Callable[[], None] = lambda: None


@dataclass
class TextOptions:
    """The options that were given; each is taken once, and what is left over is refused.

    Attributes:
        format: The name of the format.
        given: Values by their names in small letters.
    """

    format: str
    given: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, name: str, options: Mapping[str, str]) -> TextOptions:
        """Begin with all that were given."""
        return cls(name, dict(options))

    def text(self, *names: str, default: str) -> str:
        """Take an option that has one of these names.

        Raises:
            SqlError: It has two of them.
        """
        found = [name for name in names if name in self.given]
        if len(found) > 1:
            raise unsupported(f"the options '{found[0]}' and '{found[1]}' together")
        return self.given.pop(found[0]) if found else default

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Take an option that is true or false."""
        value = self.given.pop(name, str(default)).lower()
        if value not in ("true", "false"):
            raise unsupported(f"'{name}' = '{value}': it is 'true' or 'false'")
        return value == "true"

    def only(self, name: str, *values: str) -> None:
        """Take an option that says here what it says anyway."""
        value = self.given.get(name)
        if value is not None and value.lower() in values:
            del self.given[name]

    def mode(self) -> str:
        """Take the mode of parsing."""
        value = self.given.pop("mode", PERMISSIVE).upper()
        if value not in _MODES:
            raise unsupported(f"'mode' = '{value}': it is one of {', '.join(_MODES)}")
        return value

    def encoding(self) -> None:
        """Take the encoding.

        Raises:
            SqlError: It is another than UTF-8.
        """
        value = self.text("encoding", "charset", default="UTF-8")
        if value.upper() not in ("UTF-8", "UTF8"):
            raise unsupported(f"the encoding '{value}' of a {self.format} file")

    def end(self) -> None:
        """Refuse what nobody has taken."""
        for name, value in self.given.items():
            raise unsupported(f"the option '{name}' = '{value}' of the format {self.format}")


def check_names(reading: TextReading) -> None:
    """Refuse the column that Spark fills with what is malformed."""
    for column in (*(reading.schema or ()), *reading.hints):
        if column.name.lower() == _CORRUPT:
            raise unsupported(f"a column {column.name} in the schema of files")


_CORRUPT = "_corrupt_record"


def drops(mode: str, reading: TextReading, record: str, path: str) -> bool:
    """Say what becomes of a record that does not fit its columns: whether it is dropped.

    Otherwise it is kept, with NULL for each value that does not fit. Only where every column is
    read it is known which records Spark finds malformed: it does not look at the others.

    Raises:
        SqlError: In the mode FAILFAST, or where it is not known what becomes of the record.
    """
    shown = excerpt(record)
    if reading.by_position:
        raise unsupported(f"COPY INTO by position of a record that does not fit: {shown}")
    if reading.rescues:
        raise unsupported(
            f"a record for a column of rescued data: {shown} in {path} does not fit its columns"
        )
    if mode == FAILFAST:
        raise failed(record, path)
    if mode == DROPMALFORMED and not reading.all_columns:
        raise unsupported(
            f"a malformed record in the mode {mode} of a query, which drops it or not by the "
            f"columns that it needs: {shown} in {path}"
        )
    return mode == DROPMALFORMED


def failed(record: str, path: str) -> SqlError:
    """Return the error of a malformed record in the mode FAILFAST."""
    return unreadable(
        path,
        "[MALFORMED_RECORD_IN_PARSING.WITHOUT_SUGGESTION] Malformed records are detected in record "
        f"parsing: {excerpt(record)}. Parse Mode: {FAILFAST}. To process malformed records as null "
        "result, try setting the option 'mode' as 'PERMISSIVE'.",
    )


def hinted(columns: list[Column], hints: tuple[Column, ...]) -> list[Column]:
    """Return columns with the types that hints give them.

    Raises:
        SqlError: A hint names a column that is not there.
    """
    types = {item.name: item.type for item in hints}
    missing = set(types) - {item.name for item in columns}
    if missing:
        raise unsupported(f"schemaHints for what is no column of the files: {min(missing)}")
    return [Column(item.name, types.get(item.name, item.type)) for item in columns]
