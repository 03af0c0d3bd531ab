"""The ends of the help texts."""

from __future__ import annotations


def examples(*lines: str) -> str:
    """Make the list of examples at the end of a help text, each on a line of its own."""
    # The mark in front keeps the lines from being filled up to a paragraph:
    # https://click.palletsprojects.com/en/stable/documentation/#preventing-rewrapping
    return "\n".join(["\b", "Examples:", *(f"  {line}" for line in lines)])
