"""A certificate authority of our own, for servers on this machine."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

import trustme


@dataclass(frozen=True)
class ServerCertificate:
    """The PEM file with key and certificate that a server shows."""

    file: Path


class Authority:
    """Signs certificates; ``file`` is what a client has to trust."""

    def __init__(self, folder: Path, name: str = "Fake workspace CA") -> None:
        self._folder = folder
        self._authority = trustme.CA(organization_name=name, organization_unit_name=name)
        self.file = folder / f"{name.replace(' ', '-')}.pem"
        self._authority.cert_pem.write_to_path(self.file)

    def issue(self, host: str = "localhost", *, days: int = 30) -> ServerCertificate:
        """A certificate for ``host``; with negative ``days`` it has expired."""
        now = dt.datetime.now(dt.timezone.utc)
        names = (host, "127.0.0.1") if host == "localhost" else (host,)
        issued = self._authority.issue_cert(
            *names,
            common_name=host,
            not_before=now - dt.timedelta(days=10),
            not_after=now + dt.timedelta(days=days),
        )
        file = self._folder / f"{host}-{days}.pem"
        issued.private_key_and_cert_chain_pem.write_to_path(file)
        return ServerCertificate(file)
