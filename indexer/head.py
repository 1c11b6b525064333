"""Signed heads: what a sealed partition holds, in a form that outlives this system.

A hash chain that nobody signed can be computed anew by whoever rewrites all of it. So the lifecycle
signs what it sealed (Ed25519, a JWS of RFC 7515), numbers these heads, and lets each name the one
before it. Whoever keeps one elsewhere can tell ever after whether a partition is what it was, or
whether one was left out.

The tree of a partition has a leaf for each organisation, sorted by the bytes of its id: the
canonical form of `{"events": n, "organizationId": id, "root": …}`, whose root is that of a tree of
the organisation's events, a leaf each: the stored bytes, newest first, as in the digest. So one
organisation can be shown that its own are all there, and learns of others nothing but how many
there are. What stands in no place (`indexer.digest`) counts as an organisation whose id is null.
"""

import re
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from hashlib import sha256
from sys import intern
from typing import Annotated, Final

import msgspec
from joserfc import jws
from joserfc.errors import BadSignatureError, InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet, OKPKey
from msgspec import Meta, Struct

from audit_events.canonical import canonical
from audit_events.chain import decode_hash, encode_hash
from audit_events.errors import CanonicalError
from indexer.errors import HeadError
from indexer.tree import EMPTY_ROOT, Tree, hash_at, inclusion_path, leaf_hash, root_of, rows_of

HEAD_TYPE: Final = "audit-head"
MAX_HEAD_CHARACTERS: Final = 2048
"""More than twice the longest that is signed; what is longer is none."""
_SPELLED: Final = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)
_ALGORITHM: Final = "Ed25519"
_NOT_SIGNED: Final = "it is no head that one of these keys signed"
"""RFC 9864; `EdDSA` names two curves, and is deprecated by it."""


class Share(Struct, frozen=True):
    """How much of a partition is an organisation's: its events, and the root of their tree."""

    events: int
    root: str


Shares = Mapping[str | None, Share]
"""Of every organisation; under None what stands in no place."""


class Head(Struct, frozen=True, rename="camel", kw_only=True):
    """What a partition was when it was sealed. Instants are canonical, hashes base64url.

    Members that are not known are passed over: a head is read for years, by older versions too.
    """

    number: Annotated[int, Meta(ge=1, lt=2**53)]
    """From 1, one more than the head before."""
    previous: str | None
    """SHA-256 of the head before, as it was signed; None of the first."""
    partition: str
    index_uuid: str
    events: int
    first: str | None
    last: str | None
    sha256: str
    """The digest over all of it, in hexadecimal digits."""
    organizations: int
    """How many leaves the tree has."""
    root: str
    sealed_at: str
    retention_days: Annotated[int, Meta(ge=1, le=36_500)]
    """So long after its end it was to be kept."""


_decode: Final = msgspec.json.Decoder(Head).decode


class ShareProof(Struct, frozen=True):
    """That an organisation's share belongs to a head: which leaf it is, and its path."""

    events: int
    root: str
    index: int
    path: tuple[str, ...]


class OrganizationHead(Struct, frozen=True):
    """A head as it was signed, and one organisation's share of it; None where it has none."""

    head: str
    share: ShareProof | None


class OrganizationHeads(Struct, frozen=True, rename="camel"):
    """What an organisation keeps to check its exports with, whoever made them."""

    organization_id: str
    heads: tuple[OrganizationHead, ...]


def share_leaf(organization_id: str | None, share: Share) -> bytes:
    """Return the leaf of an organisation in the tree of a partition."""
    return leaf_hash(
        canonical({"events": share.events, "organizationId": organization_id, "root": share.root})
    )


def order(shares: Shares) -> list[str | None]:
    """Return the organisations as their leaves stand; what has no place comes last."""
    return sorted(shares, key=lambda one: (one is None, one or ""))


def root_of_shares(shares: Shares) -> str:
    """Return the root of a partition's tree."""
    tree = Tree()
    for one in order(shares):
        tree.add_hash(share_leaf(one, shares[one]))
    return encode_hash(tree.root())


def prove(shares: Shares, organization_id: str) -> ShareProof | None:
    """Prove an organisation's share to whoever has the head; None where it has none."""
    return ShareTree(shares).prove(organization_id)


class ShareTree:
    """The tree of a partition, kept whole to prove one share after the other.

    It takes some 110 bytes for each organisation, beside its id, which other trees have in common.
    """

    def __init__(self, shares: Shares) -> None:
        ordered = order(shares)
        self.size: Final = len(ordered)
        """How many organisations have a share."""
        self._ids = [intern(one) for one in ordered if one is not None]
        self._events = array("q", (shares[one].events for one in ordered))
        self._roots = b"".join(decode_hash(shares[one].root) for one in ordered)
        self._rows = rows_of([share_leaf(one, shares[one]) for one in ordered])

    def root(self) -> str:
        """Return the root, as a head names it."""
        return encode_hash(self._rows[-1] or EMPTY_ROOT)

    def prove(self, organization_id: str) -> ShareProof | None:
        """Prove an organisation's share to whoever has the head; None where it has none."""
        index = bisect_left(self._ids, organization_id)
        if self._ids[index : index + 1] != [organization_id]:
            return None
        path = map(encode_hash, inclusion_path(self._rows, index))
        root = encode_hash(hash_at(self._roots, index))
        return ShareProof(self._events[index], root, index, tuple(path))


def is_proven(head: Head, organization_id: str, proof: ShareProof) -> bool:
    """Whether the head vouches for this share of this organisation."""
    try:
        path = [decode_hash(one) for one in proof.path]
        leaf = share_leaf(organization_id, Share(proof.events, proof.root))
    except (ValueError, CanonicalError):
        return False
    root = root_of(leaf, proof.index, head.organizations, path)
    return root is not None and encode_hash(root) == head.root


def sign(head: Head, key: OKPKey) -> str:
    """Return the head as a compact JWS, 700 to 900 characters on one line."""
    header = {"alg": _ALGORITHM, "kid": key.thumbprint(), "typ": HEAD_TYPE}
    payload = msgspec.json.encode(head)
    return jws.serialize_compact(header, payload, key, algorithms=[_ALGORITHM])


def check(signed: str, keys: Iterable[OKPKey]) -> Head:
    """Return what a signed head says.

    Raises:
        HeadError: it is none, or none of these keys signed it.
    """
    public = (one.as_dict(private=False) | {"kid": one.thumbprint()} for one in keys)
    known = KeySet([OKPKey.import_key(one) for one in public])
    try:
        found = jws.deserialize_compact(signed, known, algorithms=[_ALGORITHM])
        head = _decode(found.payload)
    except InvalidKeyIdError:
        kid = jws.extract_compact(signed.encode()).headers().get("kid")
        raise HeadError(f"{_NOT_SIGNED}: it names the key {kid!r}") from None
    except BadSignatureError:
        raise HeadError(f"{_NOT_SIGNED}: it or its signature was altered, or forged") from None
    except (JoseError, ValueError, TypeError, RecursionError, msgspec.MsgspecError) as error:
        # TypeError is joserfc's of a `crit` that is no list.
        raise HeadError(f"{_NOT_SIGNED}: {error}") from None
    if found.headers().get("typ") != HEAD_TYPE:
        raise HeadError("what is signed there is no head")
    return head


def read_unchecked(signed: str) -> Head | None:
    """Return what a head says, whoever signed it; None where it is none.

    Only for what nobody is to be convinced by: which number comes next, what a list shows.
    """
    if len(signed) > MAX_HEAD_CHARACTERS or not _SPELLED.fullmatch(signed):
        return None
    try:
        return _decode(jws.extract_compact(signed.encode()).payload)
    except (JoseError, ValueError, TypeError, RecursionError, msgspec.MsgspecError):
        return None


def head_hash(signed: str) -> str:
    """Return what the next head names as `previous`."""
    return encode_hash(sha256(signed.encode("ascii")).digest())


def named_key(signed: str) -> str:
    """Return the name of the key that a head says to be signed with, "" where it says none."""
    try:
        named = jws.extract_compact(signed.encode()).headers().get("kid")
    except (JoseError, ValueError, TypeError):
        return ""
    return named if isinstance(named, str) else ""
