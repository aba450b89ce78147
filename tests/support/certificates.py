"""Certificates for tests: an authority and what it signs, made by openssl."""

from __future__ import annotations

import ipaddress
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.support.machines import need_program


@dataclass(frozen=True)
class Issued:
    """A certificate and its key, as PEM files."""

    certificate: Path
    key: Path

    def server(self, clients: Path | None = None) -> ssl.SSLContext:
        """Return what a server that shows it needs; with an authority, clients must show one."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        if clients:
            context.load_verify_locations(clients)
            context.verify_mode = ssl.CERT_REQUIRED
        return context


class Authority:
    """A certificate authority.

    Attributes:
        certificate: what those who trust it need.
    """

    def __init__(self, folder: Path, name: str = "authority") -> None:
        need_program("openssl", "openssl")
        self._folder = folder
        self.certificate, self._key = folder / f"{name}.pem", folder / f"{name}.key"
        _openssl(
            *("req", "-x509", *_new_key(self._key), "-subj", f"/CN={name}", "-days", "2"),
            *("-addext", "keyUsage=critical,keyCertSign,cRLSign", "-out", str(self.certificate)),
        )

    def issue(self, *names: str) -> Issued:
        """Sign a certificate for hosts' names and addresses; it serves clients as well."""
        path = self._folder / f"{names[0]}.pem"
        issued = Issued(path, path.with_suffix(".key"))
        signer = ("-CA", str(self.certificate), "-CAkey", str(self._key))
        _openssl(
            *("req", "-x509", *_new_key(issued.key), *signer, "-subj", f"/CN={names[0]}"),
            *("-days", "2", "-addext", f"subjectAltName={','.join(map(_alternative, names))}"),
            *("-addext", "basicConstraints=critical,CA:FALSE", "-out", str(path)),
        )
        return issued


def _alternative(name: str) -> str:
    try:
        return f"IP:{ipaddress.ip_address(name)}"
    except ValueError:
        return f"DNS:{name}"


def _new_key(path: Path) -> tuple[str, ...]:
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")
    return (*curve, "-noenc", "-keyout", str(path))


def _openssl(*arguments: str) -> None:
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
