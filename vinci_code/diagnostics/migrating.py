"""What is said about the revision that tables are at, the same on either database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vinci_code.core.errors import SchemaError
from vinci_code.diagnostics.report import Finding, Status, in_one_piece

if TYPE_CHECKING:
    from vinci_code.database.migrations import MigrationStatus


def compared_with_head(status: MigrationStatus, meanwhile: str) -> Finding:
    """The finding for tables at a revision that is known; ``meanwhile``: what holds until then."""
    if status.is_current:
        return Finding(Status.OK, f"at {status.current}, the newest")
    return Finding(
        Status.WARNING,
        f"at {status.current or 'none'}, {len(status.pending)} to be applied",
        cause=f"The tables are behind this release, which works with {status.head}.",
        next_step=f"run '{in_one_piece('vinci db upgrade')}'; {meanwhile}",
    )


def unknown_revision(error: SchemaError, otherwise: str) -> Finding:
    """The finding for tables of another release, or of none of ours."""
    return Finding(
        Status.FAILED,
        cause=str(error),
        next_step=f"install the release that made these tables, or {otherwise}",
    )
