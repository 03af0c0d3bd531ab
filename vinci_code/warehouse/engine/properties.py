"""Table properties: which there are, which values they take, and what they switch on.

The names are those of Delta's ``DeltaConfigs`` and table features
(https://docs.databricks.com/aws/en/delta/table-properties,
https://docs.databricks.com/aws/en/delta/feature-compatibility).
"""

from __future__ import annotations

from collections.abc import Mapping

from vinci_code.warehouse.engine.conflicts import ISOLATION_LEVEL
from vinci_code.warehouse.engine.model import COLUMN_MAPPING, TableSchema
from vinci_code.warehouse.sql.errors import SqlError

FEATURE = "delta.feature."
_FEATURES = frozenset(
    name.lower()
    for name in [
        "allowColumnDefaults",
        "appendOnly",
        "catalogManaged",
        "catalogOwned-preview",
        "changeDataFeed",
        "checkConstraints",
        "checkpointProtection",
        "clustering",
        "collations-preview",
        "columnMapping",
        "coordinatedCommits-preview",
        "deletionVectors",
        "domainMetadata",
        "generatedColumns",
        "icebergCompatV1",
        "icebergCompatV2",
        "icebergWriterCompatV1",
        "identityColumns",
        "inCommitTimestamp",
        "invariants",
        "rowTracking",
        "timestampNtz",
        "typeWidening",
        "typeWidening-preview",
        "v2Checkpoint",
        "vacuumProtocolCheck",
        "variantType",
        "variantType-preview",
        "variantShredding-preview",
    ]
)
_CONFIGURATIONS = frozenset(
    f"delta.{name}".lower()
    for name in [
        "appendOnly",
        "autoOptimize.autoCompact",
        "autoOptimize.optimizeWrite",
        "checkpoint.writeStatsAsJson",
        "checkpoint.writeStatsAsStruct",
        "checkpointInterval",
        "checkpointPolicy",
        "columnMapping.mode",
        "columnMapping.maxColumnId",
        "compatibility.symlinkFormatManifest.enabled",
        "dataSkippingNumIndexedCols",
        "dataSkippingStatsColumns",
        "deletedFileRetentionDuration",
        "enableChangeDataFeed",
        "enableDeletionVectors",
        "enableExpiredLogCleanup",
        "enableFullRetentionRollback",
        "enableIcebergCompatV1",
        "enableIcebergCompatV2",
        "enableInCommitTimestamps",
        "enableRowTracking",
        "enableTypeWidening",
        "enableVariantShredding",
        "isolationLevel",
        "logRetentionDuration",
        "minReaderVersion",
        "minWriterVersion",
        "parquet.compression.codec",
        "randomizeFilePrefixes",
        "randomPrefixLength",
        "setTransactionRetentionDuration",
        "targetFileSize",
        "tuneFileSizesForRewrites",
        "universalFormat.enabledFormats",
        "workloadBasedColumns.columns",
    ]
)
# What every new table of a warehouse has.
_ALWAYS = {
    "delta.enableDeletionVectors": "true",
    "delta.feature.appendOnly": "supported",
    "delta.feature.deletionVectors": "supported",
    "delta.feature.invariants": "supported",
    "delta.minReaderVersion": "3",
    "delta.minWriterVersion": "7",
}


# Before the name of a CHECK constraint.
CHECK = "delta.constraints."


def checked(properties: Mapping[str, str]) -> dict[str, str]:
    """Return properties as they are kept.

    Raises:
        SqlError: ``DELTA_UNKNOWN_CONFIGURATION``, ``DELTA_UNSUPPORTED_FEATURES_IN_CONFIG``,
            ``DELTA_UNSUPPORTED_FEATURE_STATUS``, ``DELTA_INVALID_ISOLATION_LEVEL`` and others.
    """
    kept = {}
    for key, value in properties.items():
        lowered = key.lower()
        if lowered.startswith(FEATURE):
            kept[key] = _feature(key, value)
        elif lowered.startswith("delta."):
            kept[key] = _configuration(key, value)
        else:
            _check_reserved(lowered)
            kept[key] = value
    return kept


def shown(schema: TableSchema) -> dict[str, str]:
    """Return all of a table's properties, as SHOW TBLPROPERTIES lists them.

    Delta keeps CHECK constraints among them
    (https://docs.delta.io/latest/delta-constraints.html#check-constraint).
    """
    checks = {f"{CHECK}{one.name.lower()}": one.condition for one in schema.checks}
    return dict(sorted({**_ALWAYS, **schema.properties, **checks}.items()))


def changes_protocol(before: Mapping[str, str], after: Mapping[str, str]) -> bool:
    """Return whether a change of properties changes the table's features."""
    return any(
        before.get(key) != value for key, value in after.items() if key.lower().startswith(FEATURE)
    )


def _feature(key: str, value: str) -> str:
    if key.lower()[len(FEATURE) :] not in _FEATURES:
        raise SqlError(
            "DELTA_UNSUPPORTED_FEATURES_IN_CONFIG",
            "56038",
            "Table features configured in the following Spark configs or Delta table properties "
            f"are not recognized by this version of Delta Lake: {key}.",
        )
    if value.lower() not in ("supported", "enabled"):
        raise SqlError(
            "DELTA_UNSUPPORTED_FEATURE_STATUS",
            "0AKDE",
            f'Expecting the status for table feature {key[len(FEATURE) :]} to be "supported", but '
            f'got "{value}".',
        )
    return "supported"


def _configuration(key: str, value: str) -> str:
    if key.lower().startswith("delta.constraints."):
        raise SqlError(
            "DELTA_ADD_CONSTRAINTS",
            "0A000",
            "Please use ALTER TABLE ADD CONSTRAINT to add CHECK constraints.",
        )
    if key.lower() not in _CONFIGURATIONS:
        raise SqlError(
            "DELTA_UNKNOWN_CONFIGURATION",
            "F0000",
            f"Unknown configuration was specified: {key}. To disable this check, set "
            "spark.databricks.delta.allowArbitraryProperties.enabled=true in the Spark session "
            "configuration.",
        )
    if key == ISOLATION_LEVEL and value not in ("Serializable", "WriteSerializable"):
        raise SqlError(
            "DELTA_INVALID_ISOLATION_LEVEL", "25000", f"invalid isolation level '{value}'"
        )
    if key == COLUMN_MAPPING and value not in ("none", "name", "id"):
        raise SqlError(
            "DELTA_MODE_NOT_SUPPORTED",
            "0AKDC",
            f"Specified mode '{value}' is not supported. Supported modes are: none, id, name",
        )
    return value


def _check_reserved(key: str) -> None:
    if key == "provider":
        raise SqlError(
            "DELTA_CANNOT_CHANGE_PROVIDER",
            "42939",
            "'provider' is a reserved table property, and cannot be altered.",
        )
    if key == "location":
        raise SqlError(
            "DELTA_CANNOT_CHANGE_LOCATION",
            "42601",
            "Cannot change the 'location' of the Delta table using SET TBLPROPERTIES. Please use "
            "ALTER TABLE SET LOCATION instead.",
        )
