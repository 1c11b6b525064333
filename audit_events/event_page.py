"""The page of all actions, with a line of each as an application would write it.

The lines are one source's, in their order: their chain verifies, as that of any file does.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from audit_events.canonical import canonical
from audit_events.catalogue_entry import CatalogueEntry
from audit_events.chain import encode_hash, genesis, link
from audit_events.event import SCHEMA_VERSION, SYSTEM_ORGANIZATION
from audit_events.identifier import format_uuid7
from audit_events.instant import format_unix_ns

Json = dict[str, object]

START_UNIX_NS: Final = 1_773_567_000 * 10**9
"""2026-03-15T09:30:00Z; a line a second."""
SOURCE_ID: Final = format_uuid7(START_UNIX_NS, 1)
ANA: Final[Json] = {"type": "user", "id": "u_1", "email": "admin@company.com", "name": "Ana Admin"}
TEA: Final[Json] = {
    "id": "7b0f6c1e-6a3f-4c55-9d0c-2f6c4a3d9e10",
    "email": "team@company.com",
    "name": "Tea Member",
}
AUTOMATIC: Final = frozenset(
    {"member.invite_expired", "subscription.renewed", "subscription.expired"}
)
"""Actions that nobody does by hand."""
OF_THE_LOG: Final = (
    "audit_log.backlog_",
    "audit_log.gap_",
    "audit_log.chain_",
    "audit_log.partition_",
    "audit_log.policy_",
    "audit_log.source_",
)
"""How the ids begin of what the log says of itself."""
RESOURCES: Final[Mapping[str, Json]] = {
    "workspace_member": {"type": "workspace", "id": "workspace_42", "name": "Design"},
    "audit_log.backlog": {"type": "backlog", "id": "019577e0-8000-7000-8000-000000000077"},
    "audit_log.chain": {"type": "source", "id": "019577e0-8000-7000-8000-000000000042"},
    "audit_log.gap": {"type": "source", "id": "019577e0-8000-7000-8000-000000000042"},
    "audit_log.hold": {"type": "legal_hold", "id": "019577e0-8000-7000-8000-000000000017"},
    "audit_log.partition": {"type": "partition", "id": "audit-events-2026.02"},
    "audit_log.policy": {"type": "policy", "id": "audit-events"},
    "audit_log.stream": {"type": "stream", "id": "stream_42"},
}
"""By noun, or by noun and first word of the verb, where the noun itself is not what is meant."""


def example_lines(
    entries: Iterable[CatalogueEntry], contexts: Mapping[str, object]
) -> Iterator[bytes]:
    """Return a line for each entry, whose context is the one that `contexts` has of its id."""
    previous = genesis(SOURCE_ID)
    for seq, entry in enumerate(entries):
        event = _event(entry, seq, contexts.get(entry.action))
        previous = link(previous, canonical(event))
        yield canonical({**event, "hash": encode_hash(previous)})


def render_page(
    entries: Sequence[CatalogueEntry], contexts: Mapping[str, object], *, title: str, source: str
) -> str:
    """Return the Markdown page.

    Args:
        entries: in their order.
        contexts: of the examples, by id.
        title: its heading.
        source: what it is made from and how.
    """
    lines = [f"# {title}", "", f"<!-- Generated from {source}; do not edit. -->", "", _SUMMARY, ""]
    by_category: dict[str, list[CatalogueEntry]] = {}
    for entry in entries:
        by_category.setdefault(entry.category, []).append(entry)
    for category, some in by_category.items():
        lines += [f"* **{category}**: {', '.join(_link(entry) for entry in some)}"]
    examples = dict(zip(entries, example_lines(entries, contexts), strict=True))
    for category, some in by_category.items():
        lines += ["", f"## {category}"]
        for entry in some:
            lines += ["", *_section(entry, examples[entry])]
    return "\n".join(lines) + "\n"


_SUMMARY: Final = (
    "Each action with its colour, its severity, what its events need, and a line as it stands in a"
    " file. The lines are of one source, in this order: their chain verifies."
)


def _link(entry: CatalogueEntry) -> str:
    return f"[`{entry.action}`](#{entry.action.replace('.', '')})"


def _section(entry: CatalogueEntry, line: bytes) -> list[str]:
    facts = [f"**{entry.title}**", entry.colour, entry.severity]
    facts += [f"needs {', '.join(entry.needs)}"] * bool(entry.needs)
    facts += ["synced to the disk"] * entry.critical
    facts += [f"formerly {', '.join(f'`{alias}`' for alias in entry.aliases)}"] * bool(
        entry.aliases
    )
    return [
        f"### `{entry.action}`",
        "",
        " · ".join(facts),
        "",
        entry.description,
        "",
        "```json",
        line.decode(),
        "```",
    ]


def _event(entry: CatalogueEntry, seq: int, context: object) -> Json:
    unix_ns = START_UNIX_NS + seq * 10**9
    event: Json = {
        "id": format_uuid7(unix_ns, seq + 2),
        "timestamp": format_unix_ns(unix_ns),
        "action": entry.action,
        "result": "success",
        "schemaVersion": SCHEMA_VERSION,
        "source": {"id": SOURCE_ID, "seq": seq, "service": "studio", "host": "app-1"},
        **_who(entry.action),
        "context": _context(entry, context),
    }
    if "target" in entry.needs:
        event["targetUser"] = TEA
    if "resource" in entry.needs:
        event["resource"] = _resource(entry.action)
    return event if event["context"] else {k: v for k, v in event.items() if k != "context"}


def _who(action: str) -> Json:
    if action.startswith(OF_THE_LOG):
        return {
            "organizationId": SYSTEM_ORGANIZATION,
            "actor": {"type": "system", "name": "indelible"},
        }
    if action in AUTOMATIC:
        return {"organizationId": "org_acme", "actor": {"type": "system"}}
    return {
        "organizationId": "org_acme",
        "actor": ANA,
        "ipAddress": "203.0.113.7",
        "userAgent": "Mozilla/5.0",
        "correlationId": "req-7f9c",
    }


def _resource(action: str) -> Json:
    noun, _, verb = action.partition(".")
    found = RESOURCES.get(f"{noun}.{verb.partition('_')[0]}") or RESOURCES.get(noun)
    return found or {"type": noun, "id": f"{noun}_42"}


def _context(entry: CatalogueEntry, context: object) -> object:
    """Return the context that the catalogue shows, or one that has what the entry needs."""
    if context:
        return context
    return {need: {"value": need} for need in entry.needs if need in ("previous", "new")}
