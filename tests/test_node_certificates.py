"""The authority and what it signs."""

import ipaddress
import stat
from pathlib import Path

from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store

from node.certificates import (
    ADMIN_NAME,
    have_authority,
    issue_admin,
    issue_node,
    make_authority,
)


def test_a_node_proves_the_loopback_addresses_and_its_name() -> None:
    authority = make_authority()
    pem, _ = issue_node(authority, "node-7")
    certificate = x509.load_pem_x509_certificate(pem)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert names.get_values_for_type(x509.IPAddress) == [
        ipaddress.ip_address("127.0.0.1"),
        ipaddress.ip_address("::1"),
    ]
    assert certificate.subject.rfc4514_string() == "CN=node-7,OU=node,O=Indelible"
    verifier = PolicyBuilder().store(Store([authority.certificate]))
    verifier.build_server_verifier(x509.DNSName("localhost")).verify(certificate, [])


def test_the_admin_has_the_name_that_the_node_is_told() -> None:
    pem, key = issue_admin(make_authority())
    assert x509.load_pem_x509_certificate(pem).subject.rfc4514_string() == ADMIN_NAME
    assert key.startswith(b"-----BEGIN PRIVATE KEY-----")


def test_keys_are_their_owners_alone(tmp_path: Path) -> None:
    have_authority(tmp_path / "authority")
    modes = {
        path.name: stat.S_IMODE(path.stat().st_mode)
        for path in tmp_path.joinpath("authority").iterdir()
    }
    assert modes == {"ca.pem": 0o644, "ca.key": 0o600, "admin.pem": 0o644, "admin.key": 0o600}


def test_the_authority_of_a_home_is_made_once(tmp_path: Path) -> None:
    first = have_authority(tmp_path)
    assert have_authority(tmp_path).certificate == first.certificate


def test_a_start_that_was_killed_half_way_makes_a_whole_authority(tmp_path: Path) -> None:
    have_authority(tmp_path)
    (tmp_path / "ca.pem").unlink()
    made = have_authority(tmp_path)
    admin = x509.load_pem_x509_certificate((tmp_path / "admin.pem").read_bytes())
    admin.verify_directly_issued_by(made.certificate)
