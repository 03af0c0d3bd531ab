"""``vinci warehouse``: a Databricks SQL warehouse on this machine, for development and tests."""

from __future__ import annotations

import sys
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from vinci_code.cli.group import AsJson
from vinci_code.cli.help import examples

app = typer.Typer(
    no_args_is_help=True,
    help="Run a local warehouse, for development and tests.",
    epilog=examples(
        "vinci warehouse serve        prints the variables to export",
        "vinci warehouse run -- pytest",
        'vinci warehouse sql "SELECT 1"',
    ),
)

Data = Annotated[
    Path | None,
    typer.Option("--data", metavar="FILE", help="Keep the tables in this file; else in memory."),
]
Init = Annotated[
    Path | None,
    typer.Option("--init", metavar="FILE", help="Run the SQL statements of this file first."),
]
Port = Annotated[
    int, typer.Option("--port", min=0, max=65535, help="The port on 127.0.0.1; 0 takes a free one.")
]
Transactions = Annotated[
    bool,
    typer.Option(
        "--transactions/--no-transactions",
        help="Whether multi-statement transactions are enabled.",
    ),
]


class Client(str, Enum):
    """What ``--show`` can show; the names of ``vinci_code.warehouse.clients``."""

    jdbc = "jdbc"
    dbt = "dbt"
    node = "node"
    python = "python"
    env = "env"


@app.command(
    "serve",
    epilog=examples(
        "vinci warehouse serve                        prints the variables to export",
        "vinci warehouse serve --port 8443 --data dev.warehouse",
        "vinci warehouse serve --show dbt             prints a profile for dbt",
        "vinci warehouse serve --init tables.sql",
        "vinci warehouse serve --no-transactions --latency 100",
        "vinci warehouse serve --faults faults.json --json",
    ),
)
def serve(
    port: Port = 0,
    data: Data = None,
    transactions: Transactions = True,
    latency: Annotated[
        float, typer.Option(metavar="MS", min=0, help="Milliseconds that every request waits.")
    ] = 0.0,
    faults: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A JSON file with the faults to inject."),
    ] = None,
    init: Init = None,
    show: Annotated[
        Client | None,
        typer.Option(help="Print how this client is pointed at it, instead of the variables."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Serve a Databricks SQL warehouse on this machine until Ctrl-C or SIGTERM.

    It prints the environment that points an application at it, a new token included, which is good
    for this run alone; with --json one object: host, port, http_path, token, ca_file, env. Needs
    the extra 'warehouse'; where that is missing, an error says how to install it.
    """
    # The first import says which extra is missing, where it is.
    from vinci_code.warehouse import LocalWarehouse  # noqa: F401
    from vinci_code.warehouse.serve import serve as run_warehouse

    if show is not None and as_json:
        raise typer.BadParameter(
            "it cannot be used with --json, which has it all", param_hint="--show"
        )
    run_warehouse(
        port=port,
        data=data,
        transactions=transactions,
        latency_ms=latency,
        faults=faults,
        init=init,
        show=None if show is None else show.value,
        as_json=as_json,
    )


@app.command(
    "run",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    epilog=examples(
        "vinci warehouse run -- pytest",
        "vinci warehouse run --init tables.sql -- dbt build",
        "vinci warehouse run --data dev.warehouse -- python report.py",
    ),
)
def run(
    command: Annotated[
        list[str], typer.Argument(metavar="COMMAND...", help="The command and its arguments.")
    ],
    port: Port = 0,
    data: Data = None,
    transactions: Transactions = True,
    init: Init = None,
) -> None:
    """Run a command with a local warehouse of its own, and end as the command does.

    The warehouse is started, the environment that points clients at it is set, and when the command
    ends the warehouse is stopped. The exit code is the command's; signals are passed on to it.
    """
    from vinci_code.warehouse import LocalWarehouse
    from vinci_code.warehouse.running import run_command
    from vinci_code.warehouse.scripts import run_script

    with LocalWarehouse(data, port=port, transactions=transactions, record_limit=0) as warehouse:
        if init is not None:
            run_script(warehouse, init)
        code = run_command(warehouse, command)
    raise typer.Exit(code)


@app.command(
    "sql",
    epilog=examples(
        'vinci warehouse sql "SELECT current_date()"',
        "vinci warehouse sql --data dev.warehouse     a prompt",
        "vinci warehouse sql --json < statements.sql",
    ),
)
def sql(
    statements: Annotated[
        list[str] | None,
        typer.Argument(metavar="[STATEMENT]...", help="What to run; without any, a prompt."),
    ] = None,
    data: Data = None,
    init: Init = None,
    most: Annotated[
        int, typer.Option("--max-rows", min=1, help="How many rows of a result are shown.")
    ] = 1000,
    history: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Keep what is typed at the prompt in this file."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run SQL in a local warehouse of its own: what is given, what is piped in, or at a prompt.

    The tables of --data are there, and stay; without it everything ends with the command. A file of
    tables is used by one process at a time: end 'vinci warehouse serve' first.
    """
    from vinci_code.cli.sql import prompt, run_all
    from vinci_code.warehouse import LocalWarehouse
    from vinci_code.warehouse.scripts import run_script
    from vinci_code.warehouse.statements import connected

    piped = not statements and not sys.stdin.isatty()
    texts = _split([sys.stdin.read()] if piped else statements or [])
    with LocalWarehouse(data, record_limit=0) as warehouse:
        if init is not None:
            run_script(warehouse, init)
        with connected(warehouse, most) as session:
            if statements or piped:
                run_all(session, texts, as_json=as_json)
            else:
                prompt(session, history)


def _split(texts: list[str]) -> list[str]:
    from vinci_code.warehouse.scripts import statements
    from vinci_code.warehouse.sql.errors import SqlError
    from vinci_code.warehouse.statements import StatementFailedError

    try:
        return [statement for text in texts for _, statement in statements(text)]
    except SqlError as error:
        raise StatementFailedError(str(error)) from error
