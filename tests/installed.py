"""Ends pytest with one line where a package is missing that every test needs.

`tests/conftest.py` imports this first: what it imports itself would end in a traceback.
"""

from __future__ import annotations

import sys

from vinci_code.core.errors import MissingExtraError

_USAGE_ERROR = 4  # pytest.ExitCode.USAGE_ERROR

try:
    import hypothesis  # noqa: F401

    import tests.certificates
    import tests.fakes.certificates
    import tests.fakes.workspace  # noqa: F401
    import vinci_code.database.session  # noqa: F401
except ModuleNotFoundError as error:
    missing = (error.name or "").partition(".")[0]
    if missing in ("", "tests", "vinci_code"):
        raise
    print(MissingExtraError("dev", "pytest", [missing]), file=sys.stderr)
    # pytest shows any other exception with a traceback, its own for this purpose included.
    raise SystemExit(_USAGE_ERROR) from None
