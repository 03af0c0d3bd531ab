"""Events in and out of the database: files in, files out, what is stored.

Other rooms import from it:

- ``importing``: files stored batch by batch
"""

from vinci_code.database.events.exporting import export_events
from vinci_code.database.events.importing import ImportReport, import_events
from vinci_code.database.events.reading import (
    EventRow,
    EventSource,
    checked_event,
    open_source,
    parse_instant,
)
from vinci_code.database.events.statistics import EventStatistics, newest_events, statistics

__all__ = [
    "EventRow",
    "EventSource",
    "EventStatistics",
    "ImportReport",
    "checked_event",
    "export_events",
    "import_events",
    "newest_events",
    "open_source",
    "parse_instant",
    "statistics",
]
