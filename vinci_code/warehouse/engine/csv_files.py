"""CSV files: their columns and their rows, as Spark reads them.

https://docs.databricks.com/aws/en/sql/language-manual/functions/read_files and Spark's
``CSVOptions``. Without ``multiLine`` each line is a record, and a line of blanks is none. Columns
have the names of the first record where that is a header, else ``_c0``, ``_c1`` and so on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import BinaryIO

import pyarrow as pa

from vinci_code.warehouse.engine.csv_inference import ColumnInference, as_columns, together
from vinci_code.warehouse.engine.csv_records import CsvDialect
from vinci_code.warehouse.engine.csv_values import (
    FORMAT_OPTIONS,
    ValueRules,
    check_types,
    values_of,
)
from vinci_code.warehouse.engine.text_files import BLANK, blocks_of_lines, whole_text
from vinci_code.warehouse.engine.text_options import (
    TextOptions,
    TextReading,
    check_names,
    drops,
    hinted,
)
from vinci_code.warehouse.sql.errors import SqlError, unsupported
from vinci_code.warehouse.sql.types import STRING, Column

_BLOCK = 16 * 1024
_ESCAPES = {"\\t": "\t"}


class CsvFormat:
    """Reads CSV.

    Args:
        options: The options that were given, by their names in small letters.
        reading: What else decides.

    Raises:
        SqlError: An option that is not there, or a column that CSV cannot have.
    """

    name = "CSV"

    def __init__(self, options: Mapping[str, str], reading: TextReading) -> None:
        given = TextOptions.of(self.name, options)
        self._reading = reading
        self._no_header_named = "header" not in given.given
        self._header = given.flag("header")
        self._infers = given.flag("inferschema") or reading.infers
        self._multi_line = given.flag("multiline")
        self._mode = given.mode()
        given.encoding()
        separator = given.text("sep", "delimiter", default=",")
        null = given.text("nullvalue", default="")
        self._dialect = CsvDialect(
            _character("sep", _ESCAPES.get(separator, separator)),
            _quote(given.text("quote", default='"')),
            _character("escape", given.text("escape", default="\\")),
            null,
        )
        formats = {
            name: given.given.pop(name) for name in FORMAT_OPTIONS.values() if name in given.given
        }
        for name in ("ignoreleadingwhitespace", "ignoretrailingwhitespace"):
            given.only(name, "false")
        for name in ("comment", "emptyvalue"):
            given.only(name, "")
        given.end()
        check_names(reading)
        if formats and self._infers:
            raise unsupported(f"types of CSV that are inferred with '{min(formats)}'")
        self._rules = ValueRules(null, reading.zone, formats, exact=reading.by_position)
        if reading.schema is not None:
            check_types(reading.schema)
        if reading.by_position and (self._header or self._infers):
            raise unsupported("COPY INTO by position of CSV with header, or with inferSchema")
        check_types(reading.hints)
        if self._dialect.separator in (self._dialect.quote, self._dialect.escape):
            raise unsupported("CSV whose separator is its quote or its escape")

    def columns(self, stream: BinaryIO, path: str) -> list[Column]:
        """Return the columns of a file, VOID where no value says the type; none if it is empty.

        Raises:
            SqlError: It cannot be read, or its header does not have the names of the schema.
        """
        records = self._records(stream, path)
        first = next(records, None)
        if first is None:
            return []
        schema = self._reading.schema
        if schema is not None:
            if self._header:
                self._check_header(first, schema, path)
            return list(schema)
        if self._no_header_named and self._reading.rescues:
            raise unsupported("read_files of CSV without a schema and without header => true|false")
        names = self._names(first, path)
        if not self._infers:
            return [Column(name, STRING) for name in names]
        return self._inferred(names, first, records, path)

    def combined(self, listed: Sequence[Sequence[Column]], *, merge: bool) -> list[Column]:
        """Return the columns of all files together.

        Raises:
            SqlError: They have different names: Spark takes those of any one file.
        """
        del merge  # it would make no difference to files of the same columns
        if self._reading.schema is not None:
            return list(self._reading.schema)
        filled = [columns for columns in listed if columns]
        if not filled:
            raise unsupported("reading empty CSV files, which have no columns")
        names = [item.name for item in filled[0]]
        if any([item.name for item in columns] != names for columns in filled):
            raise unsupported("CSV files of different columns at one path")
        types = [item.type for item in filled[0]]
        for columns in filled[1:]:
            types = [together(kind, own.type) for kind, own in zip(types, columns, strict=True)]
        found = [Column(name, kind) for name, kind in zip(names, as_columns(types), strict=True)]
        return hinted(found, self._reading.hints)

    def carried(self, columns: Sequence[Column]) -> pa.Schema:
        """Return the form in which rows are staged: as they are."""
        return pa.schema([(f"c{place}", item.type.arrow()) for place, item in enumerate(columns)])

    def relation(self, staged: str, columns: Sequence[Column]) -> str:
        """Return staged rows as columns ``c0``, ``c1`` and so on."""
        del columns
        return staged

    def batches(
        self, stream: BinaryIO, path: str, columns: Sequence[Column]
    ) -> Iterator[pa.RecordBatch]:
        """Return a file's rows in the form of ``carried``.

        Raises:
            SqlError: A record cannot be read, or is malformed and may not be.
        """
        schema = self.carried(columns)
        records = self._records(stream, path)
        if self._header:
            next(records, None)
        for block in _blocks(records):
            yield self._batch(block, columns, schema, path)

    def _batch(
        self, records: list[list[str]], columns: Sequence[Column], schema: pa.Schema, path: str
    ) -> pa.RecordBatch:
        width = len(columns)
        malformed = {place for place, record in enumerate(records) if len(record) != width}
        if malformed and self._reading.by_position:
            raise _other_number(len(records[min(malformed)]), width, path)
        rows: list[list[str | None]] = [_padded(record, width) for record in records]
        arrays = []
        for column, texts in zip(columns, zip(*rows, strict=True), strict=True):
            array, wrong = values_of(texts, column.type, self._rules)
            arrays.append(array)
            malformed.update(wrong)
        dropped = {
            place
            for place in sorted(malformed)
            if drops(
                self._mode,
                self._reading,
                self._dialect.separator.join(records[place]),
                path,
            )
        }
        batch = pa.RecordBatch.from_arrays(arrays, schema=schema)
        if not dropped:
            return batch
        return batch.filter(pa.array([place not in dropped for place in range(len(records))]))

    def _records(self, stream: BinaryIO, path: str) -> Iterator[list[str]]:
        if self._multi_line:
            yield from self._dialect.records(whole_text(stream, path))
            return
        for lines in blocks_of_lines(stream, path):
            self._reading.check_interrupt()
            for line in lines:
                if line.strip(BLANK):
                    yield self._dialect.fields(line)

    def _names(self, first: list[str], path: str) -> list[str]:
        if not self._header:
            return [f"_c{place}" for place in range(len(first))]
        lowered = [name.lower() for name in first]
        unusual = len(set(lowered)) < len(lowered) or "" in first or self._dialect.null in first
        if unusual and self._reading.rescues:
            raise unsupported(f"read_files of a header with empty or repeated names, in {path}")
        return [
            f"_c{place}"
            if name in ("", self._dialect.null)
            else f"{name}{place}"
            if lowered.count(name.lower()) > 1
            else name
            for place, name in enumerate(first)
        ]

    def _inferred(
        self, names: list[str], first: list[str], records: Iterator[list[str]], path: str
    ) -> list[Column]:
        inference = ColumnInference(names, self._dialect.null)
        given = {item.name for item in self._reading.hints}
        rest = records if self._header else chain([first], records)
        for block in _blocks(rest):
            if self._header and first in block:
                # Spark leaves every line like the header out as it infers, and not as it reads.
                raise unsupported(f"types of a CSV file whose header comes again, {path}")
            rows = [_padded(record, len(names)) for record in block]
            for place, texts in enumerate(zip(*rows, strict=True)):
                if names[place] not in given:
                    inference.add(place, texts)
        kinds = inference.types()
        return [Column(name, kind) for name, kind in zip(names, kinds, strict=True)]

    def _check_header(self, first: list[str], schema: Sequence[Column], path: str) -> None:
        expected = [item.name for item in schema]
        if first != expected:
            raise unsupported(
                f"a CSV file whose header is not the schema's columns, {path}: {first} and not "
                f"{expected}"
            )


def _blocks(records: Iterable[list[str]]) -> Iterator[list[list[str]]]:
    block: list[list[str]] = []
    for record in records:
        block.append(record)
        if len(block) == _BLOCK:
            yield block
            block = []
    if block:
        yield block


def _padded(record: list[str], width: int) -> list[str | None]:
    missing: list[str | None] = [None] * (width - len(record))
    return [*record[:width], *missing]


def _character(name: str, value: str) -> str:
    if len(value) != 1 or value in "\n\r\0":
        raise unsupported(f"'{name}' = '{value}' in CSV: it is one character")
    return value


def _quote(value: str) -> str:
    return value if value == "" else _character("quote", value)


def _other_number(found: int, expected: int, path: str) -> SqlError:
    return unsupported(
        f"COPY INTO by position of {path}: a record has {found} fields for {expected} columns"
    )
