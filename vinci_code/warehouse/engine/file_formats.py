"""The formats that files can be read in, by name, with their options."""

from __future__ import annotations

from collections.abc import Mapping

from vinci_code.warehouse.engine.csv_files import CsvFormat
from vinci_code.warehouse.engine.file_reading import FileFormat
from vinci_code.warehouse.engine.json_files import JsonFormat
from vinci_code.warehouse.engine.parquet_files import ParquetFormat
from vinci_code.warehouse.engine.text_options import TextReading
from vinci_code.warehouse.sql.errors import SqlError, unsupported

_KNOWN = ("CSV", "JSON", "AVRO", "ORC", "PARQUET", "TEXT", "BINARYFILE")
_PARQUET_DEFAULTS = {"ignorecorruptfiles": "false", "ignoremissingfiles": "false"}


def format_of(name: str, options: Mapping[str, str], reading: TextReading) -> FileFormat:
    """Return the format of a name, with the options that were given for it, in small letters.

    ``reading`` is how files of text are read.

    Raises:
        SqlError: ``COPY_INTO_SOURCE_FILE_FORMAT_NOT_SUPPORTED`` for a name that is no format,
            ``UNSUPPORTED_BY_LOCAL_WAREHOUSE`` for a format, or an option, that is not there.
    """
    upper = name.upper()
    if upper not in _KNOWN:
        raise SqlError(
            "COPY_INTO_SOURCE_FILE_FORMAT_NOT_SUPPORTED",
            "0A000",
            f"The format of the source files must be one of {', '.join(_KNOWN)}.",
        )
    if upper == "CSV":
        return CsvFormat(options, reading)
    if upper == "JSON":
        return JsonFormat(options, reading)
    if upper != "PARQUET":
        raise unsupported(f"reading files in the format {upper}")
    for key, value in options.items():
        if _PARQUET_DEFAULTS.get(key) != value.lower():
            raise unsupported(f"the option '{key}' = '{value}' of the format {upper}")
    if reading.schema is not None or reading.hints:
        raise unsupported("a schema, or schemaHints, for Parquet files")
    return ParquetFormat()
