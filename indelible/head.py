"""`indelible head`: the key that signs what is sealed, and the heads that it signed."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click
import msgspec
from joserfc.jwk import OKPKey
from msgspec import Struct
from rich.table import Table

from indelible.configuration import load
from indelible.errors import CommandError
from indelible.head_files import read_keys
from indelible.listing import new_table, open_console, print_table
from indelible.quantity import counted
from indelible.terminal import plain, plain_json
from indelible.whole_help import WholeHelpGroup, examples
from indexer.client import connect
from indexer.errors import HeadError
from indexer.head import (
    OrganizationHead,
    OrganizationHeads,
    check,
    named_key,
    prove,
    read_unchecked,
)
from indexer.journal import Journal
from indexer.records import RecordedHead, read_heads, read_seal
from indexer.signing_key import describe, make, read_public

FILE: Final = click.Path(path_type=Path)
_NO_HEAD: Final = "no head: none is signed before the next partition is sealed with a key"


class Row(Struct, frozen=True, rename="camel"):
    """One head as `list` shows it; what it says is None where it is none."""

    number: int | None
    partition: str
    events: int | None
    sealed_at: str | None
    key_id: str
    signed: bool
    """Whether one of the known keys signed it."""
    head: str


@click.group("head", cls=WholeHelpGroup)
def command() -> None:
    """Make the key that signs what is sealed, and list the heads that it signed.

    A head is what a partition, a month or a day of events, held when it was sealed: count, first
    and last instant, a hash of all of it, and the root of a tree with each organisation's share.
    It is numbered, names the head before it, and is signed (Ed25519). So whoever keeps heads where
    no administrator writes sees what was rewritten since: `indelible verify --heads` for all of the
    store, `indelible validate --heads` for exports of one organisation.

    They are checked with the public half of the key that signed them, as `head key` prints it. Get
    it from the operator by another way than the heads: who lies would hand out a key of his own.
    """


@command.command("key", epilog=examples("head key head.pem", "head key --public head.pem"))
@click.argument("file", type=FILE)
@click.option("--public", "is_there", is_flag=True, help="Make none: the file is there.")
def key(*, file: Path, is_there: bool) -> None:
    """Make a private key in a new file, and print its public half as a JWK.

    Set `lifecycle.signing_key_file` to the file, and hand the JWK to whoever checks heads. Keep a
    copy of the JWK where the file is not: heads are checked with it as long as they are kept.
    """
    if is_there:
        click.echo(describe(read_public(file)))
        return
    try:
        made = make(file)
    except OSError as error:
        if os.path.lexists(file):
            hint = f"indelible head key --public {file} prints its public half"
            raise CommandError(f"{file} is there, and no key is replaced", hint=hint) from None
        hint = "name a file in a directory that you may write to"
        raise CommandError(f"{file} cannot be made: {error.strerror}", hint=hint) from None
    click.echo(describe(made))


@command.command(
    "list",
    epilog=examples("head list", "head list --organization org_1"),
)
@click.option(
    "--key",
    "keys",
    type=FILE,
    multiple=True,
    help="Key that may have signed, public or private.  [default: lifecycle.signing_key_file]",
)
@click.option("--organization", help="Print the document that it checks its exports with, as JSON.")
@click.option("--json", "as_json", is_flag=True, help="Print them as JSON.")
def list_heads(*, keys: Sequence[Path], organization: str | None, as_json: bool) -> None:
    """Show each head of the journal: which partition it is of, and whether a known key signed it.

    Reads as the reader.
    """
    configuration = load()
    known = [] if organization else read_keys(keys, configuration.lifecycle)
    with connect(configuration.connection, role="reader") as reader:
        journal = Journal(reader, configuration.index, refreshes=False)
        recorded = read_heads(journal) if journal.find() is not None else []
        if organization is not None:
            document = prove_to(journal, recorded, organization)
            click.echo(plain_json(msgspec.to_builtins(document)))
            if all(one.share is None for one in document.heads):
                click.echo(tell_unshared(document), err=True)
            return
    rows = [describe_head(one, known) for one in recorded]
    if as_json:
        click.echo(plain_json(msgspec.to_builtins({"heads": rows})))
    else:
        print_table(open_console(), tabulate(rows))


def describe_head(recorded: RecordedHead, known: Sequence[OKPKey]) -> Row:
    """Say what a head is of, and whether one of these keys signed it."""
    signed = recorded.head
    said = read_unchecked(signed)
    try:
        check(signed, known)
        is_signed = True
    except HeadError:
        is_signed = False
    return Row(
        number=said.number if said else None,
        partition=recorded.partition,
        events=said.events if said else None,
        sealed_at=said.sealed_at if said else None,
        key_id=named_key(signed),
        signed=is_signed,
        head=signed,
    )


def prove_to(
    journal: Journal, recorded: Sequence[RecordedHead], organization_id: str
) -> OrganizationHeads:
    """Return the heads with the organisation's share of each.

    Raises:
        JournalError, RefusedError, NoAnswerError: see `indexer.records.read_seal`.
    """
    heads: list[OrganizationHead] = []
    for one in recorded:
        shares = read_seal(journal, one.partition, one.index_uuid).shares
        heads.append(OrganizationHead(one.head, prove(shares or {}, organization_id)))
    return OrganizationHeads(organization_id, tuple(heads))


def tell_unshared(document: OrganizationHeads) -> str:
    """What is said of a document by which nothing can be checked."""
    if not document.heads:
        return f"note: {_NO_HEAD}"
    heads, whose = counted(len(document.heads), "head"), plain(document.organization_id)
    return f"note: none of {heads} has a share of {whose}: it had no event there, or is misspelt"


def tabulate(rows: Sequence[Row]) -> Table:
    """All heads for people, in their order."""
    caption = counted(len(rows), "head")
    if not rows:
        caption = _NO_HEAD
    table = new_table("head", "partition", "events", "sealed at", "signed by", caption=caption)
    for row in rows:
        by = row.key_id if row.signed else f"{row.key_id} (not one of the known keys)".strip()
        table.add_row(
            "?" if row.number is None else str(row.number),
            plain(row.partition),
            "?" if row.events is None else f"{row.events:,}",
            row.sealed_at or "?",
            plain(by),
        )
    return table
