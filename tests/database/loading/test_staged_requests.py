"""How many requests a load through a volume takes, whatever its size; and how much memory."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pytest
import sqlalchemy as sa

from tests.database.loading.staging import Staging, items, stored
from tests.dialect.held import engine_on
from tests.full import full
from vinci_code.database.loading.staged import load_staged
from vinci_code.database.loading.volumes import volume_for
from vinci_code.warehouse.faults import STAGING_PUT
from vinci_code.warehouse.pytest_plugin import TestWarehouse


def many(rows: int, begin: int = 0) -> Iterator[pa.RecordBatch]:
    for start in range(begin, begin + rows, 50_000):
        ids = pa.array(range(start, min(start + 50_000, begin + rows)), pa.int64())
        names = pa.array([f"name {n}" for n in ids.to_pylist()])
        amounts = pa.array(["1.25"] * len(ids))
        yield pa.record_batch([ids, names, amounts], names=["a", "b", "c"])


@pytest.mark.parametrize(
    ("rows", "mode", "most"),
    [
        (100_000, "upsert", 6),
        pytest.param(1_000_000, "append", 12, marks=full),
    ],
)
def test_the_requests_of_a_load_beside_the_files_own(
    local_warehouse: TestWarehouse, rows: int, mode: str, most: int
) -> None:
    staging = Staging(local_warehouse)
    table = items(sa.MetaData())
    engine = engine_on(local_warehouse.warehouse, local_warehouse.schema)
    table.create(engine)
    local_warehouse.warehouse.clear_requests()
    with engine.begin() as connection:
        chosen = volume_for(connection, None)
        assert chosen.volume == staging.volume
        keys = ("id",) if mode == "upsert" else ()
        load_staged(
            connection,
            table,
            stored(table),
            many(rows),
            mode=mode,
            keys=keys,
            update=("name", "amount") if keys else (),
            volume=chosen.volume,
        )
    sent = [(r.operation, r.statement or "") for r in local_warehouse.requests]
    own = [one for one in sent if one[0] == STAGING_PUT or one[1].startswith("PUT ")]
    assert len(own) % 2 == 0
    assert len(sent) - len(own) <= most, [(one, text[:40]) for one, text in sent]
    with engine.connect() as connection:
        counted = sa.select(sa.func.count(), sa.func.min(table.c.id), sa.func.max(table.c.id))
        assert connection.execute(counted).one() == (rows, 0, rows - 1)
    engine.dispose()
    assert staging.files() == []
