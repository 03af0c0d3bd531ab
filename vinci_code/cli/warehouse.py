"""``vinci warehouse``: a Databricks SQL warehouse on this machine, for development and tests."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vinci_code.cli.group import AsJson
from vinci_code.cli.help import examples

app = typer.Typer(
    no_args_is_help=True,
    help="Run a local warehouse, for development and tests.",
    epilog=examples("vinci warehouse serve        prints the variables to export"),
)


@app.command(
    "serve",
    epilog=examples(
        "vinci warehouse serve                        prints the variables to export",
        "vinci warehouse serve --port 8443 --data dev.warehouse",
        "vinci warehouse serve --no-transactions --latency 100",
        "vinci warehouse serve --faults faults.json --json",
    ),
)
def serve(
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="The port on 127.0.0.1; 0 takes a free one.")
    ] = 0,
    data: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Keep the tables in this file; else in memory."),
    ] = None,
    transactions: Annotated[
        bool,
        typer.Option(
            "--transactions/--no-transactions",
            help="Whether multi-statement transactions are enabled.",
        ),
    ] = True,
    latency: Annotated[
        float, typer.Option(metavar="MS", min=0, help="Milliseconds that every request waits.")
    ] = 0.0,
    faults: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A JSON file with the faults to inject."),
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

    run_warehouse(
        port=port,
        data=data,
        transactions=transactions,
        latency_ms=latency,
        faults=faults,
        as_json=as_json,
    )
