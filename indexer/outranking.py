"""Templates of others that come before ours, so that the next partition would not be made from it.

The template stands as it should and no live partition differs, until one is made: from then on
nothing about it is write-once. So it is told before.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Final, cast

from msgspec import Struct
from opensearchpy import OpenSearch

from audit_events.instant import format_instant
from indexer.client import request_shape
from indexer.names import journal_name, late_name, partition_name
from indexer.settings import IndexSettings
from indexer.templates import Difference, Drift, render

PRIORITY: Final = "priority"


class _Body(Struct):
    index_patterns: list[str]
    priority: int | None = None


class _Template(Struct):
    name: str
    index_template: _Body


class _Templates(Struct):
    index_templates: list[_Template]


def find_outranking(client: OpenSearch, settings: IndexSettings) -> list[Drift]:
    """Every template that the cluster would take instead of ours, in the order of their names.

    Args:
        client: of the role `lifecycle`.
        settings: how events are laid into indices.

    Raises:
        RefusedError, NoAnswerError: see `indexer.client.request`.
    """
    most = cast("int", render(settings)[PRIORITY])
    found = request_shape(client, "GET", "/_index_template", _Templates)
    names = list(_next_names(settings))
    return [
        Drift("outranking", one.name, (Difference(PRIORITY, f"below {most}", str(rank)),))
        for one in sorted(found.index_templates if found else [], key=_name)
        if (rank := one.index_template.priority or 0) > most
        and any(_covers(one.index_template, name) for name in names)
    ]


def _next_names(settings: IndexSettings) -> Iterator[str]:
    now = format_instant(datetime.now(UTC))
    yield partition_name(now, settings)
    yield late_name(now, settings)
    yield journal_name(settings)


def _covers(body: _Body, name: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in body.index_patterns)


def _name(template: _Template) -> str:
    return template.name
