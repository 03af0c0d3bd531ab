"""What every other part stands on: errors, redaction, settings.

Other rooms import from it:

- ``errors``: the tree of errors
- ``files``: whether others of the machine can read or change a file
- ``printable``: text with nothing in it that would steer a terminal
- ``replacing``: a file that appears under its name when it is whole

``logging_setup`` is for applications that have no logs of their own yet.
"""

from __future__ import annotations

__all__ = ["logging_setup"]


def logging_setup(*, json: bool = False, level: int | str = "INFO") -> bool:
    """Write the logs of the process to standard error, where nobody has set them up.

    It does for all loggers what ``logging.basicConfig`` does, with lines that are masked: no secret
    is in them, whoever logged it. It may be called again, and then changes form and level of what
    it has set up. Handlers that the application, or a framework, has set are never touched: where
    the root logger or ``vinci_code`` has one, nothing is done.

    Args:
        json: Whether each record is one JSON document on one line: ``time`` (UTC), ``level``,
            ``logger``, ``message``, what was given as ``extra``, and ``exception`` and ``stack`` as
            text where there are such. Without it, a record is a line for people.
        level: The lowest level that is written, as of ``logging``.

    Returns:
        Whether it is set up: ``False`` where there are handlers already.

    Raises:
        ValueError: There is no such level.
    """
    # Not at the top: who imports an error wants no logs.
    from vinci_code.core.logs import set_up

    return set_up(as_json=json, level=level)
