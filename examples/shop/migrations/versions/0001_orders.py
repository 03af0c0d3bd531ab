"""Users, and orders with their lines."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from vinci_code.database.models.types import INTEGER_KEY, JSON_VALUE, StrictText, UtcDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "users",
        sa.Column("id", INTEGER_KEY, nullable=False),
        sa.Column("email", StrictText(), nullable=False),
        sa.Column("name", StrictText(), nullable=False),
        sa.Column("settings", JSON_VALUE, nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("deleted_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("email", name=op.f("uq_users_email")),
    )
    op.create_table(
        "orders",
        sa.Column("id", INTEGER_KEY, nullable=False),
        sa.Column("user_id", INTEGER_KEY, nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                *("CART", "PLACED", "CONFIRMED", "EXPIRED"),
                name="order_state",
                native_enum=False,
                length=20,
            ),
            nullable=False,
        ),
        sa.Column("note", StrictText(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.Column("placed_at", UtcDateTime(), nullable=True),
        sa.Column("deleted_at", UtcDateTime(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_orders_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_orders")),
    )
    op.create_index(op.f("ix_orders_user_id"), "orders", ["user_id"])
    op.create_table(
        "order_lines",
        sa.Column("id", INTEGER_KEY, nullable=False),
        sa.Column("order_id", INTEGER_KEY, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("article", StrictText(), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("unit_price", sa.Numeric(12, 2), nullable=False),
        sa.CheckConstraint("quantity > 0", name=op.f("ck_order_lines_quantity")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_order_lines")),
    )


def downgrade() -> None:
    """Drop the tables."""
    op.drop_table("order_lines")
    op.drop_index(op.f("ix_orders_user_id"), "orders")
    op.drop_table("orders")
    op.drop_table("users")
