"""The mask for secrets: no secret leaves by a log, a warning, an exception or a traceback.

Two kinds of text are masked. *Exact values* are the secrets in use, made known with
`register_secret` where they are read; they are found raw and as URLs, JSON, ``repr``, HTML, base64
and hexadecimal spell them. *Known shapes* are texts that look like a credential whoever it belongs
to: Databricks tokens, JSON web tokens, ``Authorization`` headers, presigned URLs, passwords in
URLs, and ``password=…`` and its like in query strings, ``repr`` and JSON.

The first registered secret puts the mask in front of every way out: what the handlers of `logging`
write, or take apart, warnings, what `traceback` prints, and the hooks for uncaught exceptions
(`sys`, `threading`, unraisable ones, IPython).

What the mask cannot see, it cannot cover: a secret that was cut short or into pieces; text written
with ``print`` or ``sys.exit``, which has to pass through `redact`; the locals of a function that is
still running; and hooks that are set later without calling the one before them.
"""

from __future__ import annotations

from vinci_code.core.redaction.documents import masked_document, masked_member
from vinci_code.core.redaction.exceptions import RedactedError, redact_exception
from vinci_code.core.redaction.headers import register_credentials
from vinci_code.core.redaction.registry import (
    forget_secrets,
    hold_secret,
    register_secret,
    release_secret,
)
from vinci_code.core.redaction.secret import HoldsSecret, Secret
from vinci_code.core.redaction.text import MASK, redact

__all__ = [
    "MASK",
    "HoldsSecret",
    "RedactedError",
    "Secret",
    "forget_secrets",
    "hold_secret",
    "masked_document",
    "masked_member",
    "redact",
    "redact_exception",
    "register_credentials",
    "register_secret",
    "release_secret",
]
