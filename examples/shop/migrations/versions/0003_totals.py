"""An order knows its total, and what a search finds it by."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from decimal import Decimal
from itertools import groupby
from operator import attrgetter

import sqlalchemy as sa
from alembic import op

from vinci_code.database.models.types import INTEGER_KEY, StrictText

_ORDERS = sa.table(
    "orders",
    sa.column("id", INTEGER_KEY),
    sa.column("note", StrictText()),
    sa.column("total", sa.Numeric(12, 2)),
    sa.column("search_text", StrictText()),
)
_LINES = sa.table(
    "order_lines",
    sa.column("order_id", INTEGER_KEY),
    sa.column("position", sa.Integer()),
    sa.column("article", StrictText()),
    sa.column("quantity", sa.Integer()),
    sa.column("unit_price", sa.Numeric(12, 2)),
)

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns, and fill them for the orders that are there."""
    with op.batch_alter_table("orders") as orders:
        orders.add_column(sa.Column("total", sa.Numeric(12, 2), nullable=True))
        orders.add_column(sa.Column("search_text", StrictText(), nullable=True))
    _fill(op.get_bind())


def downgrade() -> None:
    """Drop the columns: the lines tell the same."""
    with op.batch_alter_table("orders") as orders:
        orders.drop_column("search_text")
        orders.drop_column("total")


def _fill(connection: sa.Connection) -> None:
    lines = connection.execute(sa.select(_LINES).order_by(_LINES.c.order_id, _LINES.c.position))
    of_order = {key: list(group) for key, group in groupby(lines, attrgetter("order_id"))}
    rows = []
    for order in connection.execute(sa.select(_ORDERS.c.id, _ORDERS.c.note)):
        its_lines = of_order.get(order.id, [])
        rows.append(
            {
                "key": order.id,
                "sum": sum((line.quantity * line.unit_price for line in its_lines), Decimal(0)),
                "text": _folded([order.note, *(line.article for line in its_lines)]),
            }
        )
    if rows:
        connection.execute(
            sa.update(_ORDERS)
            .where(_ORDERS.c.id == sa.bindparam("key"))
            .values(total=sa.bindparam("sum"), search_text=sa.bindparam("text")),
            rows,
        )


def _folded(texts: Iterable[str | None]) -> str:
    # As the application did it at this revision.
    folded = unicodedata.normalize("NFKC", "\n".join(text for text in texts if text)).casefold()
    return unicodedata.normalize("NFKC", folded)
