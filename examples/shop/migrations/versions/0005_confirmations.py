"""Mails that confirm orders; lines have one place, and users a version."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from vinci_code.database.models.types import INTEGER_KEY, StrictText, UtcDateTime

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table; add a column, a foreign key, a unique constraint and an index."""
    op.create_table(
        "confirmations",
        sa.Column("id", INTEGER_KEY, nullable=False),
        sa.Column("order_id", INTEGER_KEY, nullable=False),
        sa.Column("claimed_by", StrictText(), nullable=True),
        sa.Column("claimed_until", UtcDateTime(), nullable=True),
        sa.Column("sent_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["order_id"], ["orders.id"], name=op.f("fk_confirmations_order_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_confirmations")),
        sa.UniqueConstraint("order_id", name=op.f("uq_confirmations_order_id")),
    )
    with op.batch_alter_table("order_lines") as lines:
        lines.create_foreign_key(op.f("fk_order_lines_order_id"), "orders", ["order_id"], ["id"])
        lines.create_unique_constraint(op.f("uq_order_lines_order_id"), ["order_id", "position"])
    op.create_index("ix_orders_state_updated_at", "orders", ["state", "updated_at"])
    # The default is for the rows that are there.
    version = sa.Column("version", sa.Integer(), nullable=False, server_default="1")
    op.add_column("users", version)


def downgrade() -> None:
    """Take all of it back."""
    op.drop_column("users", "version")
    op.drop_index("ix_orders_state_updated_at", "orders")
    with op.batch_alter_table("order_lines") as lines:
        lines.drop_constraint(op.f("uq_order_lines_order_id"), type_="unique")
        lines.drop_constraint(op.f("fk_order_lines_order_id"), type_="foreignkey")
    op.drop_table("confirmations")
