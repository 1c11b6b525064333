"""Signed heads: what they vouch for, and what nobody can make of them."""

import json
import os
from base64 import urlsafe_b64encode
from pathlib import Path

import msgspec
import pytest
from joserfc import jws
from joserfc.jwk import OKPKey

from audit_events.chain import encode_hash
from indexer.errors import HeadError
from indexer.head import (
    Head,
    Share,
    ShareProof,
    Shares,
    ShareTree,
    check,
    head_hash,
    is_proven,
    order,
    prove,
    root_of_shares,
    sign,
)
from indexer.signing_key import describe, make, read_private, read_public

SHARES: Shares = {
    one: Share(number + 1, encode_hash(bytes([number]) * 32))
    for number, one in enumerate(["org_b", "org_a", "ü", "org_c", None])
}
HEAD = Head(
    number=1,
    previous=None,
    partition="audit-events-2026.10",
    index_uuid="u",
    events=15,
    first="2026-10-01T00:00:00.000000Z",
    last="2026-10-31T00:00:00.000000Z",
    sha256="0" * 64,
    organizations=len(SHARES),
    root=root_of_shares(SHARES),
    sealed_at="2026-11-08T00:00:00.000000Z",
    retention_days=365,
)


@pytest.fixture(scope="module")
def key() -> OKPKey:
    return OKPKey.generate_key("Ed25519")


def test_a_head_is_what_was_signed(key: OKPKey) -> None:
    other = OKPKey.generate_key("Ed25519")
    assert check(sign(HEAD, key), [other, key]) == HEAD


def test_a_head_is_refused_that_another_key_signed_or_that_was_altered(key: OKPKey) -> None:
    other = OKPKey.generate_key("Ed25519")
    header, payload, signature = sign(HEAD, key).split(".")
    more = sign(msgspec.structs.replace(HEAD, events=16), key).split(".")[1]
    for signed in (
        sign(HEAD, other),
        f"{header}.{more}.{signature}",
        f"{header}.{payload}.",
        "",
        "é",
        "e30." * 3,
        f"{encode(b'[' * 100_000)}.e30.e30",
        f"{encode(json.dumps({'alg': 'Ed25519', 'crit': 5}).encode())}.e30.e30",
    ):
        with pytest.raises(HeadError):
            check(signed, [key])
    with pytest.raises(HeadError):
        check(sign(HEAD, key), [])


def encode(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")


@pytest.mark.parametrize(
    ("typ", "payload"), [("JWT", msgspec.json.encode(HEAD)), ("audit-head", b"{}")]
)
def test_what_the_key_signed_of_another_kind_is_no_head(
    key: OKPKey, typ: str, payload: bytes
) -> None:
    header = {"alg": "Ed25519", "kid": key.thumbprint(), "typ": typ}
    with pytest.raises(HeadError):
        check(jws.serialize_compact(header, payload, key, algorithms=["Ed25519"]), [key])


def test_organisations_stand_by_the_bytes_of_their_ids_and_what_has_no_place_last() -> None:
    assert order(SHARES) == ["org_a", "org_b", "org_c", "ü", None]


def test_each_organisation_can_prove_its_own_share_and_no_other() -> None:
    for one in ("org_a", "org_b", "org_c", "ü"):
        proof = prove(SHARES, one)
        assert proof is not None
        assert is_proven(HEAD, one, proof)
        assert not is_proven(HEAD, "org_x", proof)
        for altered in (
            msgspec.structs.replace(proof, events=proof.events - 1),
            msgspec.structs.replace(proof, events=2**53 + 2),
            msgspec.structs.replace(proof, root=encode_hash(b"x" * 32)),
            msgspec.structs.replace(proof, index=proof.index + 1),
            msgspec.structs.replace(proof, path=()),
            msgspec.structs.replace(proof, path=("no hash",)),
        ):
            assert not is_proven(HEAD, one, altered)
    assert prove(SHARES, "org_x") is None


@pytest.mark.parametrize("organizations", range(10))
def test_a_tree_that_is_kept_has_the_root_of_a_head_and_proves_each_share(
    organizations: int,
) -> None:
    names = [f"org_{number}" for number in range(organizations)]
    root = encode_hash(b"r" * 32)
    shares: Shares = {one: Share(number, root) for number, one in enumerate(names)}
    tree = ShareTree(shares)
    head = msgspec.structs.replace(HEAD, organizations=organizations, root=root_of_shares(shares))
    assert (tree.size, tree.root()) == (organizations, head.root)
    for number, one in enumerate(names):
        proof = tree.prove(one)
        assert proof is not None
        assert (proof.events, proof.root) == (number, root)
        assert is_proven(head, one, proof)
    assert tree.prove("org_") is tree.prove("p") is None


def test_one_organisation_alone_needs_no_path() -> None:
    shares: Shares = {"org_a": Share(3, encode_hash(b"r" * 32))}
    proof = prove(shares, "org_a")
    assert proof == ShareProof(3, encode_hash(b"r" * 32), 0, ())
    assert proof is not None
    alone = msgspec.structs.replace(HEAD, organizations=1, root=root_of_shares(shares))
    assert is_proven(alone, "org_a", proof)


def test_the_next_head_names_this_one(key: OKPKey) -> None:
    first = sign(HEAD, key)
    assert head_hash(first) == head_hash(sign(HEAD, key)) != head_hash(first + "x")


def test_a_key_is_made_once_for_its_owner_alone_and_read_in_each_form(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "head.pem"
    key = make(path)
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        make(path)
    public = tmp_path / "head.json"
    public.write_text(describe(key))
    pem = tmp_path / "public.pem"
    pem.write_bytes(key.as_pem(private=False))
    assert check(sign(HEAD, read_private(path)), [read_public(public)]) == HEAD
    names = {read_public(one).thumbprint() for one in (path, public, pem)}
    assert names == {key.thumbprint()}
    assert not read_public(path).is_private
    with pytest.raises(HeadError, match="signs nothing"):
        read_private(public)


@pytest.mark.parametrize(
    ("mode", "is_taken"),
    [(0o400, True), (0o600, True), (0o640, False), (0o620, False), (0o604, False), (0o602, False)],
)
def test_a_key_that_others_have_signs_nothing(tmp_path: Path, mode: int, *, is_taken: bool) -> None:
    path = tmp_path / "key"
    key = make(path)
    path.chmod(mode)
    assert read_public(path).thumbprint() == key.thumbprint(), "it still checks heads"
    if is_taken:
        assert read_private(path).thumbprint() == key.thumbprint()
    else:
        with pytest.raises(HeadError, match=rf"mode 0{mode:o}.*: chmod 600 {path}; "):
            read_private(path)


@pytest.mark.parametrize(
    ("mode", "is_taken"), [(0o440, True), (0o640, True), (0o460, False), (0o444, False)]
)
def test_a_key_of_another_may_be_given_to_a_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int, *, is_taken: bool
) -> None:
    """As systemd's LoadCredential and Kubernetes do it: the file is root's."""
    path = tmp_path / "key"
    make(path)
    path.chmod(mode)
    monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1)
    if is_taken:
        assert read_private(path).is_private
    else:
        with pytest.raises(HeadError, match="by others"):
            read_private(path)


@pytest.mark.parametrize(
    "text",
    ["", "{", "{}", '{"kty":"OKP","crv":"X25519","x":"AAAA"}', "-----BEGIN PRIVATE KEY-----\n"],
)
def test_what_is_no_key_is_refused_without_being_quoted(tmp_path: Path, text: str) -> None:
    path = tmp_path / "key"
    path.write_text(text)
    with pytest.raises(HeadError, match=r"has no key|has a key for") as raised:
        read_public(path)
    assert "AAAA" not in str(raised.value)


def test_a_key_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(HeadError, match="No such file"):
        read_private(tmp_path / "gone")
