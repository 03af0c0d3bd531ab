"""SQLMesh: a project with a seed and models that are full, incremental by time and by key."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import tempfile
from decimal import Decimal
from pathlib import Path

from sqlmesh import Context

from tests.clients.checks import Checks, rows_of

checks = Checks()
project = Path(tempfile.mkdtemp(prefix="sqlmesh-")) / "project"
shutil.copytree(Path(__file__).parent / "project", project)
os.chdir(project)
context = checks.step("the project loads", lambda: Context(paths=str(project)))
options = {"no_prompts": True, "auto_apply": True}
checks.step("plan makes the environment", lambda: context.plan(**options))
TOTALS = [("Ada", Decimal("19.75")), ("Grace", Decimal("100.00"))]
checks.equal("a full model", lambda: rows_of("SELECT * FROM shop.totals ORDER BY customer"), TOTALS)
checks.equal(
    "a model by time",
    lambda: rows_of("SELECT day, n FROM shop.daily ORDER BY day"),
    [(dt.date(2024, 5, 1), 1), (dt.date(2024, 5, 2), 2)],
)
checks.equal(
    "a model by key", lambda: rows_of("SELECT id FROM shop.latest ORDER BY id"), [(1,), (2,), (3,)]
)
seed = project / "seeds" / "orders.csv"
seed.write_text(seed.read_text() + "4,Linus,5.00,2024-05-03\n")
context = Context(paths=str(project))
checks.step("a changed seed in another environment", lambda: context.plan("dev", **options))
checks.equal(
    "that environment alone has it",
    lambda: (
        rows_of("SELECT count(*) FROM shop__dev.totals"),
        rows_of("SELECT count(*) FROM shop.totals"),
    ),
    ([(3,)], [(2,)]),
)
checks.step("it becomes the first one", lambda: context.plan(**options))
checks.equal("which has it now", lambda: rows_of("SELECT count(*) FROM shop.totals"), [(3,)])
checks.step("audits", lambda: context.audit(start="2024-05-01", end="2024-05-04") or True)
checks.equal(
    "fetchdf",
    lambda: context.fetchdf("SELECT sum(total) AS t FROM shop.totals")["t"].tolist(),
    [Decimal("124.75")],
)
checks.step("run finds nothing to do", lambda: context.run())
checks.end()
