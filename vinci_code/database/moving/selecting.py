"""Conditions on the keys of rows, as SQLAlchemy writes them for any database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import and_, or_


def behind(columns: Sequence[Any], after: Sequence[Any]) -> Any:
    """Whether a key comes after another: greater in the first column that differs."""
    return or_(
        *(
            and_(
                *(one == value for one, value in zip(columns[:place], after, strict=False)),
                column > last,
            )
            for place, (column, last) in enumerate(zip(columns, after, strict=True))
        )
    )


def among(columns: Sequence[Any], keys: Sequence[tuple[Any, ...]]) -> Any:
    """Whether a key is one of these."""
    if len(columns) == 1:
        return columns[0].in_([key[0] for key in keys])
    return or_(
        *(
            and_(*(column == value for column, value in zip(columns, key, strict=True)))
            for key in keys
        )
    )
