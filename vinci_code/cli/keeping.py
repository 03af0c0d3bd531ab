"""What the commands of ``vinci fallback`` do with the journal, and how they tell about it."""

from __future__ import annotations

import io
import json
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from vinci_code.cli.output import listing, masked
from vinci_code.cli.progress import Meter, meter
from vinci_code.core.errors import (
    ConfigurationError,
    ConfigurationProblem,
    DatabaseFileError,
    FallbackFileError,
    JournalError,
)
from vinci_code.core.replacing import written_whole

if TYPE_CHECKING:
    from vinci_code.core.config import DatabaseSettings
    from vinci_code.database.fallback import Fallback
    from vinci_code.database.fallback.journal import Journal
    from vinci_code.database.fallback.records import Entry

_Document = dict[str, Any]


# --- looking --------------------------------------------------------------------------------------


def status_document() -> _Document:
    """Where units go, what has not arrived, and which tables are mirrored."""
    settings = _settings()
    document: _Document = {
        "fallback": settings.databricks_fallback if settings.use_databricks else "off",
        "file": None,
    }
    with _journal(settings) as journal:
        if journal is None:
            return {**document, **_state_without_file(settings), "missing": [], "mirrors": []}
        from vinci_code.database.fallback.states import state_of

        counts = journal.counts()
        document["file"] = str(journal.path)
        document |= _as_json(asdict(state_of(journal)))
        document["missing"] = [list(run) for run in counts.missing]
        document["mirrors"] = [asdict(mirror) for mirror in journal.mirrored().values()]
    if document["fallback"] == "off":
        document["goes_to"] = "databricks" if settings.use_databricks else "sqlite"
        document["state"] = "online"
    return document


def status_lines(document: _Document) -> list[str]:
    """The same for people."""
    lines = [_fallback_line(document)]
    if document["file"] is None:
        return [*lines, "Nothing waits: there is no file yet."]
    since = f" since {_time(document['since'])}" if document["since"] else ""
    reason = f": {document['reason']}" if document["reason"] else ""
    lines.append(f"State:     {document['state']}{since}{reason}")
    oldest = f"; the oldest of {_time(document['oldest'])}" if document["oldest"] else ""
    words = ("waiting", "in_doubt", "parked", "damaged")
    counts = ", ".join(f"{document[word]:,} {word.replace('_', ' ')}" for word in words)
    lines.append(f"Units:     {counts}{oldest}")
    if document["missing"]:
        runs = ", ".join(f"{a}-{b}" if a != b else str(a) for a, b in document["missing"])
        lines.append(f"Missing:   units {runs} should be there, and are gone")
    if document["next_try"] and document["state"] != "online":
        lines.append(f"Next try:  by the first unit of work after {_time(document['next_try'])}")
    named = [
        f"{mirror['table']} ({mirror['rows']:,} rows as of {_time(mirror['as_of'])})"
        for mirror in document["mirrors"]
    ]
    lines.append(f"Mirrored:  {', '.join(named) or 'no table (vinci fallback refresh)'}")
    if document["parked"] or document["damaged"]:
        lines.append("Decide about what cannot arrive: vinci fallback list, show, retry, discard")
    return lines


def listed(state: str | None, limit: int) -> tuple[list[_Document], int]:
    """Units that have not arrived, and how many more there are."""
    units: list[_Document] = []
    more = 0
    with _journal(_settings()) as journal:
        if journal is None:
            return [], 0
        for entry in journal.entries():
            if state is not None and entry.state.value != state:
                continue
            if len(units) < limit:
                units.append(_head(entry))
            else:
                more += 1
    return units, more


def one(number: int) -> _Document:
    """A unit and what it would write.

    Raises:
        JournalError: It is not there.
    """
    from vinci_code.database.fallback.telling import described

    with _journal_with_units(number) as journal:
        return described(journal.entry(number))


def unit_lines(unit: _Document, most_rows: int) -> Iterator[str]:
    """A unit for people; of each write so many rows."""
    yield f"Unit {unit['unit']}, committed {_time(unit['committed_at'])}: {unit['state']}"
    if unit["reason"]:
        yield f"Reason: {unit['reason']}"
    if "error" in unit:
        yield f"It cannot be shown: {unit['error']}"
    for write in unit.get("writes", ()):
        table = write["table"] or "(unknown)"
        if write["kind"] == "STATEMENT":
            yield f"STATEMENT on {table}: {write['statement']}"
            yield f"  {_line(write['parameters'])}"
            continue
        yield f"{write['kind']} {table}, {_count(len(write['rows']), 'row')}"
        for row in write["rows"][:most_rows]:
            yield f"  {_line(row)}"
        if len(write["rows"]) > most_rows:
            yield f"  and {len(write['rows']) - most_rows:,} more (--json)"


# --- deciding -------------------------------------------------------------------------------------


def retried(numbers: Sequence[int], *, not_written: bool) -> _Document:
    """Have parked units wait again, and send what waits if that can be done now.

    Raises:
        JournalError: One of them is not there, or not parked, or may be on the warehouse already
            and nobody has said that it is not; nothing was changed.
        Exception: What keeps the warehouse from being used, unless it is away.
    """
    settings = _settings()
    with _journal_with_units(numbers[0]) as journal:
        journal.retry(numbers, not_written=not_written)
    note = _bring_back(settings)
    with _journal_with_units(numbers[0]) as journal:
        return {"units": [_outcome(journal, number) for number in numbers], "note": note}


def sent() -> _Document:
    """Send what waits; how many arrived, and what is left.

    Raises:
        ConfigurationError: The fallback is off.
        Exception: What keeps the warehouse from being used, unless it is away.
    """
    settings = _settings()
    _require_on(settings)
    _require_ours(settings)
    with _journal(settings) as journal:
        before = 0 if journal is None else journal.counts().done
    note = None if journal is None else _bring_back(settings)
    with _journal(settings) as journal:
        if journal is None:
            none = dict.fromkeys(("arrived", "waiting", "in_doubt", "parked", "damaged"), 0)
            return {**none, "note": None}
        counts = journal.counts()
    return {
        "arrived": counts.done - before,
        "waiting": counts.waiting,
        "in_doubt": counts.in_doubt,
        "parked": counts.parked,
        "damaged": counts.damaged,
        "note": note,
    }


def salvaged(file: str | None) -> _Document:
    """Take what is whole out of a damaged file, which is that of the settings where none is given.

    Raises:
        FallbackFileError: It is in use, is not there, or is not damaged; it was left as it is.
    """
    from vinci_code.database.fallback.salvage import salvage

    path = _settings().databricks_fallback_file if file is None else Path(file)
    outcome = asdict(salvage(path))
    return {name: str(v) if isinstance(v, Path) else v for name, v in outcome.items()}


def to_be_discarded(numbers: Sequence[int]) -> int:
    """How many rows some units have.

    Raises:
        JournalError: One of them is not there, or is in doubt.
    """
    from vinci_code.database.fallback.records import State

    with _journal_with_units(numbers[0]) as journal:
        entries = [_entry(journal, number) for number in numbers]
    for number, entry in zip(numbers, entries, strict=True):
        if entry is not None and entry.state is State.IN_DOUBT:
            raise JournalError(
                f"Unit {number} is in doubt: it may be on the warehouse. To fix it: have the "
                "warehouse reached, which finds it out; then decide."
            )
    return sum(entry.rows for entry in entries if entry is not None)


def discarded(numbers: Sequence[int], file: str | None) -> _Document:
    """Export units, and take them out of the journal."""
    with _journal_with_units(numbers[0]) as journal:
        name = file or _new_name(journal.path)
        entries = (entry for n in numbers if (entry := _entry(journal, n)) is not None)
        count, hidden = _export(journal, entries, name)
        journal.discard(numbers)
    return {"discarded": list(numbers), "file": name, "exported": count, "masked": hidden}


def exported(file: str) -> _Document:
    """Write what has not arrived to a file."""
    with _journal(_settings()) as journal:
        entries = () if journal is None else journal.entries()
        count, hidden = _export(journal, entries, file)
    return {"file": file, "units": count, "masked": hidden}


def refreshed(tables: Sequence[str] | None) -> list[_Document]:
    """Copy tables from the warehouse, with a bar for each."""
    settings = _settings()
    _require_on(settings)
    _require_ours(settings)
    from vinci_code.database.fallback.mirror import refresh

    with _fallback(settings) as fallback, _Bars() as bars:
        return [asdict(mirror) for mirror in refresh(fallback, tables, bars.moved)]


# --- how ------------------------------------------------------------------------------------------


def waiting_in(settings: DatabaseSettings) -> int:
    """How many units wait for the warehouse, or are in doubt."""
    with _journal(settings) as journal:
        if journal is None:
            return 0
        counts = journal.counts()
        return counts.waiting + counts.in_doubt


def refuse_the_fallback(path: Path, file: str) -> None:
    """Refuse to put an export in the place of a file of the fallback.

    Raises:
        DatabaseFileError: It is one.
    """
    if file == "-" or not Path(file).exists():
        return
    for ending in ("", "-wal", "-shm", ".lock", ".mark"):
        part = Path(os.path.realpath(path) + ending)
        if part.exists() and part.samefile(file):
            raise DatabaseFileError(
                f"{file} is a file of the fallback; exporting onto it would destroy it. "
                "Name another file."
            )


def _settings() -> DatabaseSettings:
    from vinci_code.core.config import get_settings

    return get_settings().database


@contextmanager
def _journal(settings: DatabaseSettings) -> Iterator[Journal | None]:
    """The journal, whether or not the fallback is on; ``None`` where there is no file."""
    from vinci_code.database.fallback.states import opened

    if not settings.databricks_fallback_file.exists():
        yield None
        return
    with opened(settings.databricks_fallback_file) as journal:
        yield journal


@contextmanager
def _journal_with_units(number: int) -> Iterator[Journal]:
    settings = _settings()
    with _journal(settings) as journal:
        if journal is None:
            raise JournalError(
                f"There is no unit {number}: the file {settings.databricks_fallback_file} is not "
                "there. To fix it: see DATABRICKS_FALLBACK_FILE in 'vinci config show'."
            )
        yield journal


@contextmanager
def _fallback(settings: DatabaseSettings) -> Iterator[Fallback]:
    from vinci_code.database.session import create_configured_engine, create_configured_fallback

    engine = create_configured_engine(settings)
    try:
        fallback = create_configured_fallback(engine, settings)
        try:
            yield fallback
        finally:
            fallback.dispose()
    finally:
        engine.dispose()


def _require_on(settings: DatabaseSettings) -> None:
    name = "USE_DATABRICKS" if not settings.use_databricks else "DATABRICKS_FALLBACK"
    if settings.use_databricks and settings.databricks_fallback != "off":
        return
    accepted = "true" if name == "USE_DATABRICKS" else "sqlite"
    found = "SQLite" if name == "USE_DATABRICKS" else "the fallback switched off"
    problem = ConfigurationProblem(name, found, accepted, f"set {name}={accepted}")
    raise ConfigurationError([problem])


_BY_APPLICATION = (
    "It sends what waits with its next unit of work, or by the fallback's bring_back() "
    "(Session.fallback); vinci fallback status, list, show, export, retry and discard work here."
)


def _require_ours(settings: DatabaseSettings) -> None:
    """Refuse what needs the tables themselves, in a file of an application that has its own.

    Raises:
        FallbackFileError: It is one.
    """
    if strange := _strange_tables(settings):
        raise FallbackFileError(
            f"The file of the fallback {settings.databricks_fallback_file} is that of an "
            f"application with tables that are not known to vinci: {listing(strange)}. Nothing was "
            f"sent or read. To fix it: have the application do it. {_BY_APPLICATION} Tables are "
            "copied by vinci_code.database.fallback.mirror.refresh(Session.fallback)."
        )


def _strange_tables(settings: DatabaseSettings) -> list[str]:
    """The tables of the file that are not this package's: to send their units, they would be."""
    from vinci_code.database.fallback.belonging import tables_of
    from vinci_code.database.models import Base

    with _journal(settings) as journal:
        return [] if journal is None else sorted(tables_of(journal) - set(Base.metadata.tables))


def _bring_back(settings: DatabaseSettings) -> str | None:
    """Send what waits; why it was not done, where it was not."""
    if not settings.use_databricks or settings.databricks_fallback == "off":
        return "The fallback is off: they wait until it is on (DATABRICKS_FALLBACK=sqlite)."
    from vinci_code.database.fallback.away import is_away

    if strange := _strange_tables(settings):
        return f"They wait for the application of the tables {listing(strange)}. {_BY_APPLICATION}"
    with _fallback(settings) as fallback:
        done = fallback.bring_back()
    if done is None:
        return "Another process sends what waits: look again with vinci fallback status."
    if done.error is None:
        return None
    if not is_away(done.error):
        raise done.error
    return "The warehouse is away: they wait until it is back."


def _outcome(journal: Journal, number: int) -> _Document:
    try:
        entry = journal.entry(number)
    except JournalError:
        return {"unit": number, "state": "arrived", "reason": None}
    return {"unit": number, "state": entry.state.value, "reason": entry.reason}


def _entry(journal: Journal, number: int) -> Entry | None:
    """A unit; ``None`` where it is missing, of which there is nothing to export."""
    try:
        return journal.entry(number)
    except JournalError:
        if any(first <= number <= last for first, last in journal.counts().missing):
            return None
        raise


def _export(journal: Journal | None, entries: Iterable[Entry], file: str) -> tuple[int, int]:
    """Write units to a file; how many, and in how many something was masked."""
    from vinci_code.database.fallback.telling import described

    if journal is not None:
        refuse_the_fallback(journal.path, file)
    count = hidden = 0
    with _destination(file) as stream:
        for entry in entries:
            unit = described(entry)
            clean = masked(unit)
            hidden += clean != unit
            count += 1
            stream.write(f"{_line(clean)}\n")
    return count, hidden


@contextmanager
def _destination(file: str) -> Iterator[IO[str]]:
    """Where lines go; a file is put in its place when it is complete, and is private."""
    if file == "-":
        yield sys.stdout
        return
    # What is discarded next must be there: it is on the disk when its name is.
    with written_whole(file, private=True) as raw:
        stream = io.TextIOWrapper(raw, encoding="utf-8", write_through=True)
        yield stream
        stream.detach()


def _new_name(path: Path) -> str:
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    name = path.with_name(f"{path.name}.discarded-{moment}.jsonl")
    number = 1
    while name.exists():
        number += 1
        name = path.with_name(f"{path.name}.discarded-{moment}-{number}.jsonl")
    return str(name)


class _Bars:
    """A bar for each table, one after the other."""

    def __init__(self) -> None:
        self._table: str | None = None
        self._context: Any = None
        self._bar: Meter | None = None

    def __enter__(self) -> _Bars:
        return self

    def __exit__(self, *error: object) -> None:
        self._end(*error)

    def moved(self, table: str, rows: int, total: int | None) -> None:
        """Show how many rows of a table there are."""
        if table != self._table:
            self._end(None, None, None)
            self._table, self._context = table, meter(table, total)
            self._bar = self._context.__enter__()
        if self._bar is not None:
            self._bar.moved(rows, rows)

    def _end(self, *error: object) -> None:
        context, self._context = self._context, None
        if context is not None:
            context.__exit__(*error)


def _state_without_file(settings: DatabaseSettings) -> _Document:
    from vinci_code.database.fallback.states import DatabaseState

    state = DatabaseState("databricks" if settings.use_databricks else "sqlite")
    return _as_json(asdict(state))


def _fallback_line(document: _Document) -> str:
    where = "" if document["file"] is None else f", {document['file']}"
    if document["fallback"] == "off":
        kept = sum(document[word] for word in ("waiting", "in_doubt", "parked", "damaged"))
        hint = "; DATABRICKS_FALLBACK=sqlite sends what waits" if kept else ""
        return f"Fallback:  off{where}{hint}"
    return f"Fallback:  on{where}"


def _head(entry: Entry) -> _Document:
    return {
        "unit": entry.seq,
        "committed_at": entry.committed_at,
        "rows": entry.rows,
        "state": entry.state.value,
        "reason": entry.reason,
        "may_be_there": entry.may_be_there,
    }


def _as_json(values: _Document) -> _Document:
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in values.items()
    }


def _time(text: str) -> str:
    """A time as people read it."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    if moment.tzinfo is not None:
        moment = moment.astimezone(timezone.utc)
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def _line(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
