"""What a request can be answered with instead of what it asked for."""

from __future__ import annotations


class ShopError(Exception):
    """The shop does not do what was asked; the text is for whoever asked."""


class NotFoundError(ShopError):
    """What was named is not there, or is deleted."""


class ConflictError(ShopError):
    """What is stored does not allow it, or has changed meanwhile."""


class InvalidError(ShopError):
    """What was sent means nothing."""
