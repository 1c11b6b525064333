"""What became of heads, for people."""

from collections.abc import Iterator
from typing import Final

from indelible.completeness import Account, Judgement
from indelible.quantity import counted
from indelible.terminal import plain

_TEXT_CHARACTERS: Final = 400


def describe_account(account: Account) -> list[str]:
    """Return lines: how many partitions are proven, each of them, and what is in none."""
    of = counted(len(account.partitions), "sealed partition")
    lines = [f"heads: {account.proven:,} of {of} proven complete and unaltered"]
    lines += [plain(_describe(one)[:_TEXT_CHARACTERS]) for one in account.partitions]
    return [*lines, *_others(account)]


def _describe(one: Judgement) -> str:
    whose = f"  {one.partition} of {one.organization_id} (head {one.number}):"
    reason = f"; {one.reason}" if one.reason else ""
    match one.status:
        case "proven":
            return f"{whose} proven, {counted(one.events or 0, 'event')}{reason}"
        case "mismatch":
            return f"{whose} DOES NOT MATCH{reason}"
        case _:
            return f"{whose} not proven{reason}"


def _others(account: Account) -> Iterator[str]:
    if account.missing_heads:
        yield f"  {counted(account.missing_heads, 'head')} between these in no document"
    if account.without_head:
        span = f"{account.without_head_first} to {account.without_head_last}"
        yield f"  {counted(account.without_head, 'event')} of a time that no head is of, {span}"
    if account.journal_records:
        records = counted(account.journal_records, "record")
        yield f"  {records} of the log itself, which lie in no partition"
    if account.other_organizations:
        yield f"  {counted(account.other_organizations, 'event')} of others, without heads"
