"""What kept the warehouse awake, for people and for machines."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from vinci_code.cli.output import print_document, say
from vinci_code.cli.ran import duration, instant
from vinci_code.cli.tables import print_table
from vinci_code.core.errors import DatabricksConnectionError

if TYPE_CHECKING:
    from vinci_code.database.databricks_connector import DatabricksConnector
    from vinci_code.diagnostics.awake import AwakeReport, Kept, Share
    from vinci_code.diagnostics.query_history import Found
    from vinci_code.diagnostics.ran import RanStatement

_LONGEST = 10
_NAMES = 15
# A statement that began before the time that is asked for may still have kept it awake.
_BEFORE = dt.timedelta(hours=1)


def show_awake(
    connector: DatabricksConnector,
    since: dt.datetime,
    until: dt.datetime,
    auto_stop: dt.timedelta | None,
    *,
    as_json: bool,
) -> None:
    """Find out what kept the warehouse awake, and print it.

    Args:
        connector: The warehouse.
        since: The beginning of the time that is looked at.
        until: Its end.
        auto_stop: The auto-stop to compute for; ``None`` for the warehouse's own.
        as_json: Whether to print one JSON document.

    Raises:
        DatabricksConnectionError: It cannot be found out; the message says why.
    """
    from vinci_code.diagnostics.awake import what_kept_awake
    from vinci_code.diagnostics.query_history import LONGEST, HistoryQuestion, list_statements

    own = _auto_stop_of(connector) if auto_stop is None else auto_stop
    early = max(since - own - _BEFORE, until - LONGEST)
    found = list_statements(connector, HistoryQuestion(early))
    if not found.is_whole and found.reached is not None:
        # Nothing is known of the time before: it is not looked at.
        since = max(since, found.reached)
    report = what_kept_awake(found.statements, own, since, until)
    if as_json:
        print_document(_document(connector, report, found))
    else:
        _show(report, found)


def _auto_stop_of(connector: DatabricksConnector) -> dt.timedelta:
    from vinci_code.diagnostics.watching import state_of_warehouse

    told = state_of_warehouse(connector).auto_stop
    if told is None:
        raise DatabricksConnectionError(
            f"{connector.target} does not tell after how many minutes the warehouse stops. To fix "
            "it: name them, as in --auto-stop 10"
        )
    if not told:
        raise DatabricksConnectionError(
            "The warehouse never stops by itself: its auto-stop is off, and nothing that is sent "
            "keeps it awake. To fix it: switch auto-stop on under SQL Warehouses in the workspace; "
            "what it would do is computed with --auto-stop 10"
        )
    return told


def _by_unit(ran: RanStatement) -> Iterable[str]:
    yield ran.unit or "(none)"


def _by_tag(ran: RanStatement) -> Iterable[str]:
    from vinci_code.database.dialect.driver.query_history import OWN_TAGS

    names = [
        name if value is None else f"{name}={value}"
        for name, value in ran.tags.items()
        if name not in OWN_TAGS
    ]
    return names or ["(none)"]


def _by_user(ran: RanStatement) -> Iterable[str]:
    yield ran.user or "(not told)"


def _by_client(ran: RanStatement) -> Iterable[str]:
    yield ran.client or "(not told)"


_GROUPS: dict[str, Callable[[RanStatement], Iterable[str]]] = {
    "unit": _by_unit,
    "tag": _by_tag,
    "user": _by_user,
    "client": _by_client,
}


def _document(connector: DatabricksConnector, report: AwakeReport, found: Found) -> dict[str, Any]:
    from vinci_code.core.config.normalise import warehouse_id_of
    from vinci_code.diagnostics.awake import Effect

    return {
        "warehouse_id": warehouse_id_of(connector.http_path),
        "since": instant(report.since),
        "until": instant(report.until),
        "auto_stop_s": report.auto_stop.total_seconds(),
        "looked_at": found.looked_at,
        "is_whole": found.is_whole,
        "statements": len(report.kept),
        "without_start": report.without_start,
        "running_still": report.running_still,
        "awake_s": _seconds(report.awake),
        "running_s": _seconds(report.running),
        "share": round(report.share, 6),
        "from_before_s": _seconds(report.from_before),
        "wakes": report.count(Effect.WOKE),
        "resets": report.count(Effect.RESET),
        "alongside": report.count(Effect.ALONGSIDE),
        "hours": [
            {
                "begin": instant(hour.begin),
                "statements": hour.statements,
                "awake_s": _seconds(hour.awake),
            }
            for hour in report.hours
        ],
        **{
            f"by_{name}": {group: _share(share) for group, share in report.shares(of).items()}
            for name, of in _GROUPS.items()
        },
        "longest": [
            {
                "statement_id": kept.ran.statement_id,
                "started": instant(kept.ran.started),
                "effect": kept.effect.name.lower(),
                "gap_s": None if kept.gap is None else _seconds(kept.gap),
                "awake_s": _seconds(kept.awake),
                "unit": kept.ran.unit,
                "user": kept.ran.user,
                "text": _text(kept),
            }
            for kept in report.longest(_LONGEST)
        ],
    }


def _share(share: Share) -> dict[str, Any]:
    return {
        "statements": share.statements,
        "running_s": _seconds(share.running),
        "awake_s": _seconds(share.awake),
        "wakes": share.wakes,
        "resets": share.resets,
    }


def _show(report: AwakeReport, found: Found) -> None:
    from vinci_code.diagnostics.awake import Effect

    say(
        f"From {report.since:%Y-%m-%d %H:%M} to {report.until:%Y-%m-%d %H:%M} UTC, with an "
        f"auto-stop of {duration(_ms(report.auto_stop))}:"
    )
    say(
        f"awake {duration(_ms(report.awake))} of {duration(_ms(report.until - report.since))} "
        f"({report.share:.0%}), of which statements ran {duration(_ms(report.running))}."
    )
    say(
        f"{len(report.kept):,} statements: {report.count(Effect.WOKE):,} woke it, "
        f"{report.count(Effect.RESET):,} reset the auto-stop, "
        f"{report.count(Effect.ALONGSIDE):,} ran beside others."
    )
    if report.from_before:
        say(f"Statements from before kept it awake for {duration(_ms(report.from_before))} of it.")
    if report.running_still:
        say(f"{report.running_still:,} had not ended.")
    if report.without_start:
        say(f"{report.without_start:,} are left out: the history does not tell when they started.")
    if not found.is_whole:
        say(
            f"The history has more than the {found.looked_at:,} statements that were looked at: "
            "what was before them is left out."
        )
    if not report.kept:
        return
    busy = [hour for hour in report.hours if hour.statements or hour.awake]
    say("\nBy hour (UTC)")
    print_table(
        ("hour", "statements", "awake"),
        [
            (f"{hour.begin:%Y-%m-%d %H:%M}", f"{hour.statements:,}", duration(_ms(hour.awake)))
            for hour in busy
        ],
    )
    for name, of in _GROUPS.items():
        _show_shares(name, report.shares(of))
    say("\nWhat kept it awake longest")
    print_table(
        ("started (UTC)", "awake", "effect", "gap before", "statement", "text"),
        [
            (
                f"{kept.ran.started:%Y-%m-%d %H:%M:%S}",
                duration(_ms(kept.awake)),
                kept.effect.value,
                "" if kept.gap is None else duration(_ms(kept.gap)),
                kept.ran.statement_id,
                _text(kept),
            )
            for kept in report.longest(_LONGEST)
        ],
    )


def _show_shares(name: str, shares: dict[str, Share]) -> None:
    say(f"\nBy {name}")
    rows = [
        (
            group,
            f"{share.statements:,}",
            duration(_ms(share.awake)),
            duration(_ms(share.running)),
            f"{share.wakes:,}",
            f"{share.resets:,}",
        )
        for group, share in list(shares.items())[:_NAMES]
    ]
    print_table((name, "statements", "awake", "running", "woke it", "reset"), rows)
    rest = list(shares.values())[_NAMES:]
    if rest:
        say(f"and {sum(share.statements for share in rest):,} statements of {len(rest):,} others")


def _text(kept: Kept) -> str:
    from vinci_code.diagnostics.ran import shown_text

    return shown_text(kept.ran.text)


def _seconds(span: dt.timedelta) -> float:
    return round(span.total_seconds(), 3)


def _ms(span: dt.timedelta) -> float:
    return span.total_seconds() * 1000
