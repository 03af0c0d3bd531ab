"""A sync brings over what is new or has changed, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.database.moving.samples import KINDS, content, execute
from vinci_code.database import copy_database
from vinci_code.warehouse.pytest_plugin import TestWarehouse


@pytest.fixture(params=["sqlite", "warehouse"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> object:
    if request.param == "warehouse":
        return request.getfixturevalue("warehouse")
    return str(tmp_path / "copy.db")


def change(sample: Path) -> None:
    execute(sample, "UPDATE every SET s = 'changed' WHERE id = 5")
    execute(sample, "DELETE FROM every WHERE id = 7")
    execute(sample, "DELETE FROM twice WHERE b < 3")
    execute(sample, "INSERT INTO every (id, f) VALUES (999, 1.5), (1000, NULL)")
    execute(sample, "UPDATE parents SET name = 'other' WHERE id = 3")


def test_new_changed_and_gone_rows(sample: Path, target: sa.Engine | str) -> None:
    assert copy_database(sample, target, kinds=KINDS).is_proved
    change(sample)
    report = copy_database(sample, target, kinds=KINDS, sync=True)
    found = {one.plan.name: (one.copied, one.changed, one.gone) for one in report.tables}
    assert found == {
        "every": (2, 1, 1),
        "keyless": (0, 0, 0),
        "parents": (0, 1, 0),
        "twice": (0, 0, 3),
    }
    assert not report.is_proved, "rows that are gone are still there"
    assert [one.plan.name for one in report.tables if not one.is_proved] == ["twice", "every"]
    assert "--delete deletes rows that are gone" in report.verdict()
    report = copy_database(sample, target, kinds=KINDS, sync=True, delete=True)
    assert report.is_proved, report.lines()
    assert sum(one.deleted for one in report.tables) == 4
    if isinstance(target, str):
        assert content(Path(target)) == content(sample)


def test_a_sync_of_equal_tables_writes_nothing(
    sample: Path, warehouse: sa.Engine, local_warehouse: TestWarehouse
) -> None:
    assert copy_database(sample, warehouse, kinds=KINDS).is_proved
    local_warehouse.warehouse.clear_requests()
    report = copy_database(sample, warehouse, kinds=KINDS, sync=True)
    assert report.is_proved
    sent = [one.split(None, 1)[0] for one in local_warehouse.statements]
    assert set(sent) <= {"SELECT", "DESCRIBE", "SHOW", "CREATE", "DROP"}, sent
    assert not any("every" in one for one in local_warehouse.statements if one[:6] == "CREATE")


def test_a_sync_makes_tables_that_are_not_there(sample: Path, tmp_path: Path) -> None:
    target = str(tmp_path / "copy.db")
    assert copy_database(sample, target, tables=["parents"]).is_proved
    report = copy_database(sample, target, sync=True)
    assert report.is_proved, report.lines()
    assert content(tmp_path / "copy.db") == content(sample)


def test_a_table_without_a_key_is_compared_as_a_whole(sample: Path, tmp_path: Path) -> None:
    target = str(tmp_path / "copy.db")
    assert copy_database(sample, target, tables=["keyless"]).is_proved
    execute(sample, "INSERT INTO keyless VALUES (77, 'x')")
    report = copy_database(sample, target, tables=["keyless"], sync=True)
    assert not report.is_proved
    assert report.tables[0].problem == "it has no key, so that only the whole can be compared"
    assert report.tables[0].problem in "\n".join(report.lines())
