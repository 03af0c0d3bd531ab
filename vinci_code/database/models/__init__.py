"""The tables of the application, and the column types that mean the same on both databases.

Other rooms import from it:

- ``types``: column types that mean the same on both databases
"""

from vinci_code.database.models.base import Base
from vinci_code.database.models.event import Event

__all__ = ["Base", "Event"]
