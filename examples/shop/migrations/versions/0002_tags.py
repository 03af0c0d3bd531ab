"""Tags, of which an order has many, and which many orders have."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from vinci_code.database.models.types import INTEGER_KEY, StrictText

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "tags",
        sa.Column("id", INTEGER_KEY, nullable=False),
        sa.Column("name", StrictText(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tags")),
        sa.UniqueConstraint("name", name=op.f("uq_tags_name")),
    )
    op.create_table(
        "order_tags",
        sa.Column("order_id", INTEGER_KEY, nullable=False),
        sa.Column("tag_id", INTEGER_KEY, nullable=False),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_order_tags_order_id")),
        sa.ForeignKeyConstraint(["tag_id"], ["tags.id"], name=op.f("fk_order_tags_tag_id")),
        sa.PrimaryKeyConstraint("order_id", "tag_id", name=op.f("pk_order_tags")),
    )


def downgrade() -> None:
    """Drop the tables."""
    op.drop_table("order_tags")
    op.drop_table("tags")
