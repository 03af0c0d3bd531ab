"""``vinci queries``: what the warehouse ran, and what kept it awake."""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vinci_code.cli.group import AsJson
from vinci_code.cli.help import examples

if TYPE_CHECKING:
    from vinci_code.database.databricks_connector import DatabricksConnector
    from vinci_code.diagnostics.query_history import HistoryQuestion
    from vinci_code.diagnostics.ran import RanStatement

EXAMPLES = examples(
    "vinci queries",
    "vinci queries --failed --since 2h",
    "vinci queries --slower-than 30 --since 7d --everyone",
    "vinci queries --unit 0c7e2a91          what a unit of work sent, by its tag vinci_unit",
    "vinci queries --tag team=grid --json | jq '.statements[].page'",
    "vinci queries --awake --since 7d       what kept the warehouse awake, and for how long",
    "vinci queries --awake --auto-stop 5    and if it stopped after 5 minutes?",
)

SLOW_S = 10.0
"""Seconds that a statement takes at least which ``--slow`` shows."""

_LIMIT, _MOST = 50, 10_000
_SINCE = "24h"
_AGO = re.compile(r"(\d{1,6}) ?([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def queries(
    slow: Annotated[
        bool,
        typer.Option(
            "--slow",
            help="Only what took as long as DATABRICKS_SLOW_STATEMENT says, or "
            f"{SLOW_S:g} seconds, or more.",
        ),
    ] = False,
    slower_than: Annotated[
        float | None,
        typer.Option(
            "--slower-than", min=0.0, metavar="SECONDS", help="Only what took so long or longer."
        ),
    ] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Only what failed.")] = False,
    unit: Annotated[
        str | None,
        typer.Option(
            "--unit",
            metavar="ID",
            help="Only what a unit of work sent: the value of its tag vinci_unit, or how it "
            "begins.",
        ),
    ] = None,
    tag: Annotated[
        str | None,
        typer.Option("--tag", metavar="NAME=VALUE", help="Only what has this query tag."),
    ] = None,
    awake: Annotated[
        bool,
        typer.Option(
            "--awake",
            help="Tell what kept the warehouse awake instead: by hour, unit, tag, user, client.",
        ),
    ] = False,
    auto_stop: Annotated[
        float | None,
        typer.Option(
            "--auto-stop",
            min=0.1,
            metavar="MINUTES",
            help="With --awake: compute for this auto-stop instead of the warehouse's own.",
        ),
    ] = None,
    since: Annotated[
        str,
        typer.Option(
            "--since",
            metavar="TIME",
            help="How far: 30m, 24h, 7d, or a time such as 2026-11-30T08:00Z; at most 30 days.",
        ),
    ] = _SINCE,
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit", "-n", min=1, max=_MOST, help=f"At most so many. [default: {_LIMIT}]"
        ),
    ] = None,
    everyone: Annotated[
        bool,
        typer.Option(
            "--everyone",
            help="Also what others ran, as far as it may be seen. --awake always looks at that.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List what the warehouse of the settings ran, newest first, from its query history.

    Only REST is asked: a warehouse that is stopped stays so. Values in statements are not shown,
    nor are secrets; the message of an error may hold values.
    """
    now = dt.datetime.now(dt.timezone.utc)
    begin = _moment(since, now)
    filters = {
        "--slow": slow,
        "--slower-than": slower_than is not None,
        "--failed": failed,
        "--unit": unit is not None,
        "--tag": tag is not None,
    }
    wanted_tag = _tag(tag)
    if awake:
        unfit = [name for name, given in {**filters, "--limit": limit is not None}.items() if given]
        if unfit:
            raise typer.BadParameter(
                f"{unfit[0]} does not go with --awake, which needs all that ran"
            )
    elif auto_stop is not None:
        raise typer.BadParameter("--auto-stop goes with --awake alone")
    from vinci_code.core.config import get_settings
    from vinci_code.database.databricks_connector import DatabricksConnector

    with DatabricksConnector() as connector:
        if awake:
            from vinci_code.cli.costs import show_awake

            minutes = None if auto_stop is None else dt.timedelta(minutes=auto_stop)
            show_awake(connector, begin, now, minutes, as_json=as_json)
            return
        configured = get_settings().database.databricks_slow_statement or SLOW_S
        seconds = slower_than if slower_than is not None else configured if slow else None
        keep = _Filter(now, seconds, unit, wanted_tag)
        question = _question(connector, begin, limit or _LIMIT, keep, failed, everyone)
        from vinci_code.cli.ran import show_statements

        show_statements(connector, question, as_json=as_json)


class _Filter:
    """What the history cannot be asked for, and is looked at here."""

    def __init__(
        self,
        now: dt.datetime,
        seconds: float | None,
        unit: str | None,
        tag: tuple[str, str | None] | None,
    ) -> None:
        self._now = now
        self._seconds = seconds
        self._unit = unit
        self._tag = tag

    def __call__(self, ran: RanStatement) -> bool:
        if self._seconds is not None and self._took_ms(ran) < self._seconds * 1000:
            return False
        if self._unit is not None and not (ran.unit or "").startswith(self._unit):
            return False
        if self._tag is None:
            return True
        name, value = self._tag
        return name in ran.tags and (value is None or (ran.tags[name] or "") == value)

    def _took_ms(self, ran: RanStatement) -> float:
        """How long it took; of one that still runs, how long so far."""
        if ran.duration_ms is not None or ran.is_final or ran.started is None:
            return ran.duration_ms or 0
        return (self._now - ran.started).total_seconds() * 1000


def _question(
    connector: DatabricksConnector,
    since: dt.datetime,
    limit: int,
    keep: _Filter,
    failed: bool,
    everyone: bool,
) -> HistoryQuestion:
    from vinci_code.diagnostics.query_history import HistoryQuestion, own_user_id
    from vinci_code.diagnostics.ran import FAILED

    return HistoryQuestion(
        since,
        limit=limit,
        user_id=None if everyone else own_user_id(connector),
        statuses=(FAILED,) if failed else (),
        keep=keep,
    )


def _tag(text: str | None) -> tuple[str, str | None] | None:
    if text is None:
        return None
    name, equals, value = text.partition("=")
    if not name:
        raise typer.BadParameter("--tag takes NAME=VALUE, or NAME for any value of it")
    return name, value if equals else None


def _moment(text: str, now: dt.datetime) -> dt.datetime:
    """The time that --since means.

    Raises:
        typer.BadParameter: It means none, or one that the history cannot be asked for.
    """
    from vinci_code.diagnostics.query_history import LONGEST

    ago = _AGO.fullmatch(text.strip())
    if ago is not None:
        span: dict[str, Any] = {_UNITS[ago.group(2)]: int(ago.group(1))}
        moment = now - min(dt.timedelta(**span), 2 * LONGEST)
    else:
        moment = _written_out(text.strip())
    if moment > now:
        raise typer.BadParameter(f"--since {text} lies in the future")
    if now - moment > LONGEST:
        raise typer.BadParameter(
            f"--since {text} is too long ago: the query history is asked for {LONGEST.days} days"
        )
    return moment


def _written_out(text: str) -> dt.datetime:
    # Python 3.10 reads no Z.
    try:
        moment = dt.datetime.fromisoformat(re.sub(r"[zZ]$", "+00:00", text))
    except ValueError:
        raise typer.BadParameter(
            "--since takes 30m, 24h, 7d and the like, or a time such as 2026-11-30T08:00Z"
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=dt.timezone.utc)
    return moment.astimezone(dt.timezone.utc)
