"""An application that is not ours, with an Alembic project, in a folder."""

from __future__ import annotations

import sys
from pathlib import Path

INI = """\
[alembic]
script_location = %(here)s/theirs
prepend_sys_path = %(here)s
path_separator = os
"""
MODELS = """\
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(primary_key=True)
    customer: Mapped[str]
"""
ENV = """\
from vinci_code.database.alembic import run_migrations

from their_models import Base

run_migrations(Base.metadata)
"""
REVISION = '''\
"""{message}"""

import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = {below!r}


def upgrade():
    {upgrade}


def downgrade():
    {downgrade}
'''
ORDERS = (
    'op.create_table("orders", sa.Column("id", sa.Integer, primary_key=True), '
    'sa.Column("customer", sa.String, nullable=False))'
)
"""What makes the table of ``Order``."""


class Theirs:
    """Their application: models in ``their_models``, an ``alembic.ini``, and one revision."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ini = folder / "alembic.ini"
        self.scripts = folder / "theirs"
        (self.scripts / "versions").mkdir(parents=True)
        self.ini.write_text(INI)
        (folder / "their_models.py").write_text(MODELS)
        self.env(ENV)
        self.revision("a1", None, "orders", ORDERS, 'op.drop_table("orders")')

    def env(self, text: str) -> None:
        """Write the ``env.py``."""
        (self.scripts / "env.py").write_text(text)

    def revision(
        self,
        name: str,
        below: str | tuple[str, ...] | None,
        message: str,
        upgrade: str = "pass",
        downgrade: str = "pass",
    ) -> Path:
        """Write a revision."""
        path = self.scripts / "versions" / f"{name}_.py"
        path.write_text(
            REVISION.format(
                revision=name, below=below, message=message, upgrade=upgrade, downgrade=downgrade
            )
        )
        return path

    def forget(self) -> None:
        """Take what was imported, and the folder, out of this process again."""
        sys.modules.pop("their_models", None)
        sys.path[:] = [each for each in sys.path if each != str(self.folder)]
