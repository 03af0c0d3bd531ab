"""The command ``vinci``: parse, call one function, print.

Loading this package loads nothing else; each command loads what it needs when it runs, so that
``vinci --version``, ``--help`` and shell completion answer at once.
"""

from __future__ import annotations

__all__ = ["main"]


def main() -> int:
    """Run the command line in ``sys.argv``; return the exit code."""
    try:
        from vinci_code.cli.process import run

        return run()
    except KeyboardInterrupt:
        # Ctrl-C while Python was still loading: there is nothing to tell yet.
        return 130
