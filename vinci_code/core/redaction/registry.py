"""The secrets in use, and the masks that stand in front of every way out."""

from __future__ import annotations

from vinci_code.core.redaction import hooks
from vinci_code.core.redaction.text import exact_values


def register_secret(value: str, *, rotates: bool = False) -> None:
    """Mask an exact value everywhere from now on, in every spelling.

    Args:
        value: The secret.
        rotates: Whether another one takes its place some day, as of a token that was handed out for
            an hour. Of those the last 24 are kept, by when each was made known last.

    The first call puts the masks in front of logs, warnings and the exception hooks. A value of
    fewer than 8 characters is ignored: it would mask ordinary words.
    """
    exact_values.add(value, rotates=rotates)
    hooks.install()


def hold_secret(value: str) -> None:
    """Mask an exact value everywhere until it is released, as a token of a user who may leave.

    Each holder releases it once; the last one has it forgotten, unless ``register_secret`` was
    called for it, too. There is no limit to how many are held.
    """
    exact_values.hold(value)
    hooks.install()


def release_secret(value: str) -> None:
    """Hold a value no longer; see ``hold_secret``."""
    exact_values.release(value)


def forget_secrets() -> None:
    """Forget every value and take the masks out; for tests."""
    exact_values.clear()
    hooks.uninstall()
