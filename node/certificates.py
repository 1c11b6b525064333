"""The certificate authority of a home, and the certificates that it signs.

ECDSA over P-256, made by the `cryptography` package. The authority's key and the admin's key stay
in the home with mode 0600; a node gets its own key only.
"""

import datetime as dt
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from node.file import write_file

ORGANIZATION = "Indelible"
# RFC 4514 order, as the security plugin compares them.
ADMIN_NAME = f"CN=admin,OU=lifecycle,O={ORGANIZATION}"
NODE_NAMES = f"CN=*,OU=node,O={ORGANIZATION}"
_VALID = dt.timedelta(days=3650)
_CLOCK_SKEW = dt.timedelta(days=1)
_LOOPBACK = (
    x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
    x509.IPAddress(ipaddress.ip_address("::1")),
    x509.DNSName("localhost"),
)


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority with its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def _pem_key(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        # The security plugin reads PKCS#8 only.
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _name(unit: str, common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, ORGANIZATION),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _builder(subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + _VALID)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def make_authority() -> Authority:
    """Return a new self-signed authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("authority", "Indelible CA")
    certificate = (
        _builder(name, key)
        .issuer_name(name)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    return Authority(certificate, key)


def _issue(
    authority: Authority, subject: x509.Name, extensions: list[x509.ExtensionType]
) -> tuple[bytes, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        _builder(subject, key)
        .issuer_name(authority.certificate.subject)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()),
            critical=False,
        )
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    certificate = builder.sign(authority.key, hashes.SHA256())
    return certificate.public_bytes(serialization.Encoding.PEM), _pem_key(key)


def issue_node(authority: Authority, node_name: str) -> tuple[bytes, bytes]:
    """Return certificate and key (PEM) of a node: server and client, for loopback addresses."""
    usage = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    return _issue(
        authority,
        _name("node", node_name),
        [x509.SubjectAlternativeName(_LOOPBACK), x509.ExtendedKeyUsage(usage)],
    )


def issue_admin(authority: Authority) -> tuple[bytes, bytes]:
    """Return certificate and key (PEM) of the administrator, `ADMIN_NAME`."""
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
    return _issue(authority, _name("lifecycle", "admin"), [usage])


def have_authority(directory: Path) -> Authority:
    """Return the authority of `directory`, made with the admin's certificate where it is missing.

    Files: `ca.pem`, `ca.key`, `admin.pem`, `admin.key`. The last one written is `ca.pem`, so that
    a start that was killed half-way makes all of them anew.
    """
    if (directory / "ca.pem").exists():
        return _load_authority(directory)
    directory.mkdir(parents=True, exist_ok=True)
    authority = make_authority()
    certificate, key = issue_admin(authority)
    write_file(directory / "admin.key", key, mode=0o600)
    write_file(directory / "admin.pem", certificate, mode=0o644)
    write_file(directory / "ca.key", _pem_key(authority.key), mode=0o600)
    pem = authority.certificate.public_bytes(serialization.Encoding.PEM)
    write_file(directory / "ca.pem", pem, mode=0o644)
    return authority


def _load_authority(directory: Path) -> Authority:
    certificate = x509.load_pem_x509_certificate((directory / "ca.pem").read_bytes())
    key = serialization.load_pem_private_key((directory / "ca.key").read_bytes(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError(f"{directory / 'ca.key'} is not an elliptic curve key")
    return Authority(certificate, key)
