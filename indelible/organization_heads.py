"""Documents of heads that an organisation was given, held against keys and against each other."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Literal, NamedTuple

import msgspec
from joserfc.jwk import OKPKey
from msgspec import Struct

from audit_events.envelope import UNREADABLE
from audit_events.small_file import read_small_file
from indexer.errors import HeadError
from indexer.head import Head, OrganizationHeads, ShareProof, check, head_hash, is_proven

MOST_BYTES: Final = 16 << 20
MOST_HEADS: Final = 10_000
"""Of one document: ten years of days are 3,650, and some 6 MB."""
_ASK_WHY: Final = (
    "keep both, and ask the operator: there are two logs, unless the journal was begun anew"
    " (audit_log.journal_accepted), or two hosts signed at once"
)
_decode: Final = msgspec.json.Decoder(OrganizationHeads).decode


class Document(NamedTuple):
    """What one file says."""

    file: str
    heads: OrganizationHeads


class KnownHead(Struct, frozen=True, kw_only=True):
    """A head that one of the keys signed; the share is what it vouches for, None where none is."""

    file: str
    path: str
    organization_id: str
    signed: str
    head: Head
    share: ShareProof | None


Kind = Literal["signature", "share", "fork", "missing", "altered", "absent", "beyond"]


class Finding(NamedTuple):
    """What is wrong with a head or with what it vouches for, and where that stands."""

    file: str
    path: str
    kind: Kind
    problem: str
    hint: str
    is_warning: bool = False


def read_document(path: Path) -> Document:
    """Read a document of heads.

    Raises:
        HeadError: it cannot be read, or is none.
    """
    try:
        heads = _decode(read_small_file(path, MOST_BYTES))
    except OSError as error:
        raise HeadError(f"{path} cannot be opened: {error.strerror}") from None
    except UNREADABLE:
        raise HeadError(f"{path} is no document of an organisation's heads") from None
    if len(heads.heads) > MOST_HEADS:
        raise HeadError(f"{path} has more than {MOST_HEADS:,} heads; divide it")
    return Document(str(path), heads)


class CheckedHeads:
    """The heads of some documents that count, and what is wrong with the others.

    Args:
        documents: of any organisations; one may be in several.
        keys: public keys whose signatures count.
    """

    def __init__(self, documents: Sequence[Document], keys: Sequence[OKPKey]) -> None:
        self.findings: list[Finding] = []
        self.organizations = {one.heads.organization_id for one in documents}
        self._known: dict[tuple[str, str], KnownHead] = {}
        for document in documents:
            self._take(document, keys)
        self.heads = list(self._known.values())
        numbers = {one.head.number for one in self.heads}
        self.missing = max(numbers) - min(numbers) + 1 - len(numbers) if numbers else 0
        """How many numbers between the lowest and the highest are in none of the documents."""
        self.findings += _compare(self.heads)

    def _take(self, document: Document, keys: Sequence[OKPKey]) -> None:
        organization_id = document.heads.organization_id
        for number, one in enumerate(document.heads.heads):
            path = f"heads[{number}]"
            try:
                head = check(one.head, keys)
            except HeadError as error:
                hint = "name the key of that time by `--key`, too, or fetch the document anew"
                self.findings.append(Finding(document.file, path, "signature", str(error), hint))
                continue
            if one.share is not None and not is_proven(head, organization_id, one.share):
                problem = f"is no share of {organization_id} that head {head.number} vouches for"
                hint = "ask for the document anew; what it says of this share counts for nothing"
                self.findings.append(
                    Finding(document.file, f"{path}.share", "share", problem, hint)
                )
                continue
            place = organization_id, one.head
            if place in self._known and self._known[place].share is not None:
                continue
            self._known[place] = KnownHead(
                file=document.file,
                path=path,
                organization_id=organization_id,
                signed=one.head,
                head=head,
                share=one.share,
            )


def _compare(heads: Sequence[KnownHead]) -> Iterator[Finding]:
    """Whether they can all be of one log: a number is there once, and each fits the one before."""
    by_number: dict[int, KnownHead] = {}
    for one in sorted(heads, key=lambda known: known.head.number):
        number = one.head.number
        same = by_number.setdefault(number, one)
        if same.signed != one.signed:
            problem = f"is another head {number} than the one of {same.head.partition} is"
            yield Finding(one.file, one.path, "fork", problem, _ASK_WHY)
            continue
        before = by_number.get(number - 1)
        if before is not None and same is one and one.head.previous != head_hash(before.signed):
            problem = f"says that another head than head {number - 1} came before it"
            yield Finding(one.file, one.path, "fork", problem, _ASK_WHY)
