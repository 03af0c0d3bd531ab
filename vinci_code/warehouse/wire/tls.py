"""The warehouse's own certificate authority and its certificate for the loopback host.

Every warehouse makes a new authority. Its private key is never written to disk, and the server's
own key is removed as soon as it is loaded, so what stays in the private directory is the public
certificate that a client needs.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import shutil
import ssl
import tempfile
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

HOST_NAMES = ("localhost",)
HOST_ADDRESSES = ("127.0.0.1",)

_LIFETIME = dt.timedelta(days=365)
_CLOCK_SKEW = dt.timedelta(hours=1)


class LoopbackCertificate:
    """A certificate for the loopback host, signed by an authority that exists for it alone.

    Attributes:
        ca_file: The authority's certificate as PEM: what a client has to trust.
        context: The server's TLS context, ready to use.
    """

    def __init__(self) -> None:
        # mkdtemp makes the directory readable by its owner alone.
        self._directory = Path(tempfile.mkdtemp(prefix="vinci-warehouse-"))
        try:
            self.ca_file = self._directory / "ca.pem"
            self.context = self._issue()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Remove the files; connections that are already open go on."""
        shutil.rmtree(self._directory, ignore_errors=True)

    def _issue(self) -> ssl.SSLContext:
        ca_key = ec.generate_private_key(ec.SECP256R1())
        ca_certificate = _authority(ca_key)
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _leaf(key, ca_key, ca_certificate)

        _write_private(self.ca_file, _pem(ca_certificate))
        certificate_file = self._directory / "server.pem"
        key_pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        _write_private(certificate_file, _pem(certificate) + key_pem)
        try:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            context.load_cert_chain(certificate_file)
        finally:
            certificate_file.unlink()
        return context


def _authority(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = _name("vinci local warehouse CA")
    usage = _key_usage(key_cert_sign=True, crl_sign=True)
    return (
        _builder(name, name, key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _leaf(
    key: ec.EllipticCurvePrivateKey,
    ca_key: ec.EllipticCurvePrivateKey,
    ca_certificate: x509.Certificate,
) -> x509.Certificate:
    # Python 3.13 verifies with VERIFY_X509_STRICT, which wants the authority key identifier too.
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    names: list[x509.GeneralName] = [x509.DNSName(name) for name in HOST_NAMES]
    names += [x509.IPAddress(ipaddress.ip_address(address)) for address in HOST_ADDRESSES]
    return (
        _builder(_name("localhost"), ca_certificate.subject, key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(authority, critical=False)
        .sign(ca_key, hashes.SHA256())
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.timezone.utc)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + _LIFETIME)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _key_usage(
    *, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _write_private(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)
