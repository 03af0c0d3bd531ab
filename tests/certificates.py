"""No test trusts the certificates of the machine; one that wants some names them."""

from __future__ import annotations

import os


def trust_none_of_the_machine() -> None:
    """Let OpenSSL load none, in this process and its children.

    Reading a usual bundle takes some 40 ms of each connection: half of what a run of failing
    sessions takes.
    """
    os.environ["SSL_CERT_FILE"] = os.environ["SSL_CERT_DIR"] = os.devnull
