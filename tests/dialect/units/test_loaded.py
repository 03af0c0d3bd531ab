"""What is kept of the rows that a unit has written: who wrote a column last, and no more than that.

Here it is asked for by the classes themselves, since what they keep is seen in no answer.
"""

from __future__ import annotations

import random

import pytest

from vinci_code.database.dialect.units.loaded import _last_write, _without, _Write

COLUMNS = "abcde"


@pytest.mark.parametrize("seed", range(20))
def test_the_last_write_of_each_column_is_kept_and_no_more_than_the_columns(seed: int) -> None:
    """As a dict of the last writer of each column would say, in as many records as columns."""
    random_ = random.Random(seed)
    print(f"seed {seed}")
    write: _Write | None = None
    last: dict[str, int] = {}
    for moment in range(200):
        names = tuple(random_.sample(COLUMNS, random_.randint(1, 4)))
        write = _Write(names, f"object {moment}", moment, _without(write, names))
        last.update(dict.fromkeys(names, moment))
        for name in COLUMNS:
            found = _last_write(write, name)
            assert (None if found is None else found.at) == last.get(name)
        assert _length(write) <= len(COLUMNS)


def _length(write: _Write | None) -> int:
    length = 0
    while write is not None:
        length, write = length + 1, write.earlier
    return length
