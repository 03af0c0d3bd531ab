"""The formats that files can be read in, by name, with their options."""

from __future__ import annotations

from collections.abc import Mapping

from vinci_code.warehouse.engine.file_reading import FileFormat
from vinci_code.warehouse.engine.parquet_files import ParquetFormat
from vinci_code.warehouse.sql.errors import SqlError, unsupported

_KNOWN = ("CSV", "JSON", "AVRO", "ORC", "PARQUET", "TEXT", "BINARYFILE")
_PARQUET_DEFAULTS = {"ignorecorruptfiles": "false", "ignoremissingfiles": "false"}


def format_of(name: str, options: Mapping[str, str]) -> FileFormat:
    """Return the format of a name, with the options that were given for it, in small letters.

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
    if upper != "PARQUET":
        raise unsupported(f"reading files in the format {upper}")
    for key, value in options.items():
        if _PARQUET_DEFAULTS.get(key) != value.lower():
            raise unsupported(f"the option '{key}' = '{value}' of the format {upper}")
    return ParquetFormat()
