"""What was called an article is called a product, and every order has its total."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from vinci_code.database.models.types import StrictText

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Rename the column, and ask for what the revision before has filled."""
    with op.batch_alter_table("order_lines") as lines:
        lines.alter_column("article", new_column_name="product")
    _require(nullable=False)


def downgrade() -> None:
    """Take it back."""
    _require(nullable=True)
    with op.batch_alter_table("order_lines") as lines:
        lines.alter_column("product", new_column_name="article")


def _require(*, nullable: bool) -> None:
    with op.batch_alter_table("orders") as orders:
        orders.alter_column("total", existing_type=sa.Numeric(12, 2), nullable=nullable)
        orders.alter_column("search_text", existing_type=StrictText(), nullable=nullable)
