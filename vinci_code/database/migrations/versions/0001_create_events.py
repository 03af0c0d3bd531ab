"""Create the table of events.

Revision: 0001, the first one.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from vinci_code.database.models.types import INTEGER_KEY, JSON_VALUE, UtcDateTime

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Apply this revision."""
    op.create_table(
        "events",
        sa.Column("id", INTEGER_KEY, primary_key=True, nullable=False),
        sa.Column("event_key", sa.String, nullable=True),
        sa.Column("event_type", sa.String, nullable=False),
        sa.Column("source", sa.String, nullable=False),
        sa.Column("description", sa.String, nullable=True),
        sa.Column("payload", JSON_VALUE, nullable=True),
        sa.Column("occurred_at", UtcDateTime, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_events"),
        sa.UniqueConstraint("event_key", name="uq_events_event_key"),
    )


def downgrade() -> None:
    """Take this revision back: the events are gone with their table."""
    op.drop_table("events")
