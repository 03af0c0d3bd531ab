"""What an engine has sent: counted, and reported while it goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields

from vinci_code.database.dialect.forking import renew_lock_in_child


@dataclass(frozen=True)
class Statistics:
    """What an engine of this dialect has sent, and what was done for it.

    Attributes:
        units: Units of work that were committed with something to write.
        statements: Statements that wrote, BEGIN, COMMIT and ROLLBACK among them.
        rows: Rows that were sent.
        bytes: Bytes of the statements that wrote, and of their parameters.
        retries: Statements that were sent again: after a refusal, a lost session, or a lost answer.
        parked: Units that were kept while the warehouse was away, and could not arrive.
        reads: Queries and looks at definitions.
        sent: All statements that were sent, each as often as it was.
        failed: Statements that have ended with an error.
        bytes_out: Bytes of all statements and their parameters, and of files sent to volumes.
        bytes_in: Bytes of answers as they came over the network, files of results among them.
        waits: Pauses for a warehouse that starts or is busy.
        waited: Seconds of these.
        sessions: Sessions that were opened.
        replaced: Sessions that were opened in the place of lost ones.
    """

    units: int = 0
    statements: int = 0
    rows: int = 0
    bytes: int = 0
    retries: int = 0
    parked: int = 0
    reads: int = 0
    sent: int = 0
    failed: int = 0
    bytes_out: int = 0
    bytes_in: int = 0
    waits: int = 0
    waited: float = 0.0
    sessions: int = 0
    replaced: int = 0

    def as_dict(self) -> dict[str, float]:
        """The counts by their names."""
        return asdict(self)

    def as_prometheus(self, **labels: str) -> str:
        """The counts in the text format that Prometheus reads.

        https://github.com/prometheus/docs/blob/main/docs/instrumenting/exposition_formats.md

        Args:
            **labels: Labels of each of them, such as ``engine="orders"``.
        """
        named = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())
        marked = f"{{{named}}}" if named else ""
        lines: list[str] = []
        for name, value in self.as_dict().items():
            metric = f"vinci_{_METRICS.get(name, name)}_total"
            lines += [f"# TYPE {metric} counter", f"{metric}{marked} {value}"]
        return "".join(f"{line}\n" for line in lines)


@dataclass(frozen=True)
class Progress:
    """How far the sending of a unit of work has come.

    Attributes:
        statements: Statements that were sent and executed.
        rows: Rows that they held.
        rows_in_all: Rows that the unit holds.
        bytes: Bytes that were sent.
    """

    statements: int
    rows: int
    rows_in_all: int
    bytes: int


OnProgress = Callable[[Progress], None]

_NAMES = tuple(each.name for each in fields(Statistics))
# By the conventions for names of metrics, a unit is part of it.
_METRICS = {
    "bytes": "written_bytes",
    "bytes_in": "received_bytes",
    "bytes_out": "sent_bytes",
    "waited": "waited_seconds",
}


class Counter:
    """Counts what an engine sends; used by several threads at once."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        renew_lock_in_child(self)
        self._counted: dict[str, float] = dict.fromkeys(_NAMES, 0)

    def add(self, **counted: float) -> None:
        """Count something, by the names of ``Statistics``."""
        with self._lock:
            # Nothing is called meanwhile, so that a finaliser in this thread comes before or after.
            for name, number in counted.items():
                self._counted[name] += number

    def read(self) -> Statistics:
        """What was counted so far."""
        with self._lock:
            return Statistics(**self._counted)  # type: ignore[arg-type]


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
