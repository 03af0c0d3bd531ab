"""JSON files: their columns and their rows, as Spark reads them.

https://docs.databricks.com/aws/en/sql/language-manual/functions/read_files and Spark's
``JSONOptions``. Without ``multiLine`` each line is a record, else a file is one; an array stands
for the records in it. Columns that no schema names are inferred (``JsonInferSchema``), by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import BinaryIO

import pyarrow as pa

from vinci_code.warehouse.engine.csv_values import FORMAT_OPTIONS
from vinci_code.warehouse.engine.file_reading import refuse_repeated
from vinci_code.warehouse.engine.text_files import BLANK, blocks_of_lines, excerpt, whole_text
from vinci_code.warehouse.engine.text_options import (
    FAILFAST,
    TextOptions,
    TextReading,
    check_names,
    drops,
    failed,
    hinted,
)
from vinci_code.warehouse.sql.casts import decode_json
from vinci_code.warehouse.sql.documents import BadRecordError
from vinci_code.warehouse.sql.errors import SqlError, unsupported
from vinci_code.warehouse.sql.json_records import RecordReader, TooDeepError, records_of
from vinci_code.warehouse.sql.json_schemas import merged_rows, row_type, usable_row
from vinci_code.warehouse.sql.types import Column, SqlType, struct
from vinci_code.warehouse.sql.values import quote

_PLAIN_OPTIONS = (
    "primitivesasstring",
    "prefersdecimal",
    "dropfieldifallnull",
    "infertimestamp",
    "allowcomments",
    "allowunquotedfieldnames",
    "allownumericleadingzeros",
    "allowbackslashescapinganycharacter",
    "allowunquotedcontrolchars",
)


class JsonFormat:
    """Reads JSON.

    Args:
        options: The options that were given, by their names in small letters.
        reading: What else decides.

    Raises:
        SqlError: An option that is not there.
    """

    name = "JSON"

    def __init__(self, options: Mapping[str, str], reading: TextReading) -> None:
        given = TextOptions.of(self.name, options)
        self._reading = reading
        self._multi_line = given.flag("multiline")
        self._mode = given.mode()
        given.encoding()
        self._formats = {
            name: given.given.pop(name) for name in FORMAT_OPTIONS.values() if name in given.given
        }
        for name in _PLAIN_OPTIONS:
            given.only(name, "false")
        given.end()
        check_names(reading)
        if reading.rescues and reading.schema is not None:
            raise unsupported("rescuedDataColumn of JSON with a schema")

    def columns(self, stream: BinaryIO, path: str) -> list[Column]:
        """Return the columns of a file; none if it has no record.

        Raises:
            SqlError: It cannot be read, or a record of it is no JSON.
        """
        if self._reading.schema is not None:
            return list(self._reading.schema)
        kinds: set[SqlType] = set()
        for text in self._texts(stream, path):
            try:
                found = {row_type(value) for value in records_of(text, whole=self._multi_line)}
            except BadRecordError:
                if self._mode == FAILFAST:
                    raise failed(text, path) from None
                raise unsupported(
                    f"the columns of JSON with a record that is none: {excerpt(text)} in {path}"
                ) from None
            except TooDeepError as error:
                raise _too_deep(path) from error
            for kind in found - kinds:
                self._check_names([Column(item.name, item.type) for item in kind.fields])
            kinds |= found
        columns = _columns(kinds)
        self._check_names(columns)
        return columns

    def combined(self, listed: Sequence[Sequence[Column]], *, merge: bool) -> list[Column]:
        """Return the columns of all files together.

        Raises:
            SqlError: There are none.
        """
        del merge  # Spark infers from all files in any case
        if self._reading.schema is not None:
            return list(self._reading.schema)
        kinds = {struct(*((item.name, item.type) for item in columns)) for columns in listed}
        found = [Column(item.name, item.type) for item in usable_row(merged_rows(kinds)).fields]
        if not found:
            raise unsupported("reading JSON files without a single field")
        self._check_names(found)
        return hinted(found, self._reading.hints)

    def carried(self, columns: Sequence[Column]) -> pa.Schema:
        """Return the form in which rows are staged: JSON that was checked against the columns."""
        del columns
        return pa.schema([("r", pa.string())])

    def relation(self, staged: str, columns: Sequence[Column]) -> str:
        """Return staged rows as columns ``c0``, ``c1`` and so on."""
        kind = struct(*((item.name, item.type) for item in columns))
        fields = ", ".join(
            f"_x.r.{quote(item.name)} AS c{place}" for place, item in enumerate(columns)
        )
        decoded = decode_json("r", kind)
        return f"(SELECT {fields} FROM (SELECT {decoded} AS r FROM {staged}) AS _x)"  # noqa: S608

    def batches(
        self, stream: BinaryIO, path: str, columns: Sequence[Column]
    ) -> Iterator[pa.RecordBatch]:
        """Return a file's rows in the form of ``carried``.

        Raises:
            SqlError: A record cannot be read, or is malformed and may not be.
        """
        schema = self.carried(columns)
        kind = struct(*((item.name, item.type) for item in columns))
        reader = RecordReader(kind, self._formats, self._reading.zone, whole=self._multi_line)
        for block in self._blocks(stream, path):
            rows = [row for text in block for row in self._rows(reader, text, path)]
            yield pa.RecordBatch.from_arrays([pa.array(rows, pa.string())], schema=schema)

    def _check_names(self, columns: Sequence[Column]) -> None:
        """Refuse names that differ by their case at most.

        Raises:
            SqlError: ``COLUMN_ALREADY_EXISTS``; where there is a column of rescued data it is not
                known what becomes of them.
        """
        try:
            refuse_repeated(columns)
        except SqlError as error:
            if self._reading.rescues:
                raise unsupported(f"read_files of JSON with names alike: {error.message}") from None
            raise

    def _rows(self, reader: RecordReader, text: str, path: str) -> list[str]:
        try:
            return reader.read(text)
        except TooDeepError as error:
            raise _too_deep(path) from error
        except BadRecordError:
            if drops(self._mode, self._reading, text, path):
                return []
            return reader.read_leniently(text)

    def _texts(self, stream: BinaryIO, path: str) -> Iterator[str]:
        for block in self._blocks(stream, path):
            yield from block

    def _blocks(self, stream: BinaryIO, path: str) -> Iterator[list[str]]:
        if self._multi_line:
            text = whole_text(stream, path)
            if text.strip(BLANK):
                yield [text]
            return
        for lines in blocks_of_lines(stream, path):
            self._reading.check_interrupt()
            yield [line for line in lines if line.strip(BLANK)]


def _columns(kinds: Iterable[SqlType]) -> list[Column]:
    """Return the columns that records of several types have together."""
    return [Column(item.name, item.type) for item in merged_rows(kinds).fields]


def _too_deep(path: str) -> SqlError:
    return unsupported(f"JSON that is nested so deeply, in {path}")
