"""The index template: rendered from its file, installed, and compared with the cluster.

`index_templates/audit-events.json` is the body of `PUT _index_template/audit-events` as it is used
with default settings; prefix, codec, replicas and refresh interval are put in here. It covers
partitions, indices of late events and the journal. A template acts only on indices that are made
after it, so the live ones are compared as well.

Its priority is above that of older versions, which had a template for late events alone: two
templates of one priority must not overlap, and no index may be made while neither stands.
"""

from importlib.resources import files
from typing import Annotated, Final, Literal, cast

import msgspec
from msgspec import Meta, Struct
from opensearchpy import OpenSearch

from indexer.client import request, request_shape
from indexer.names import (
    EXPAND_ALL,
    events_pattern,
    events_template,
    journal_name,
    late_pattern,
    obsolete_templates,
    read_indices,
)
from indexer.settings import IndexSettings

EVENTS_FILE: Final = "audit-events.json"
MUST_BE_UNSET: Final = (
    "index.hidden",
    "index.blocks.metadata",
    "index.blocks.read",
    "index.default_pipeline",
    "index.final_pipeline",
    "index.search.default_pipeline",
)
"""What no template of ours sets and whoever sets it hides, withholds or changes events with."""
KEPT_FROM_THE_BEGINNING: Final = frozenset({"settings.index.codec"})
"""What a partition has by the setting of the day on which it was made, for good, and what says
nothing of its events: told for every one of them, it would hide the differences that do."""
_UNSET: Final = frozenset({None, "", "false", "_none"})

Body = dict[str, object]


class Difference(Struct, frozen=True):
    """One value that is not as the file has it; None where it is not there at all."""

    path: str
    wanted: str | None
    found: str | None


class Drift(Struct, frozen=True):
    """Where the cluster differs from the file."""

    kind: Literal["template", "outranking", "partition", "policy", "index"]
    """`index` is a partition with another policy than it should have, `outranking` somebody else's
    template that comes before ours."""
    name: str
    differences: tuple[Difference, ...]


class Change(Struct, frozen=True):
    """What an installation changes, or would change."""

    action: Literal["create", "update", "delete", "attach", "restart"]
    name: str
    differences: tuple[Difference, ...]
    """Empty when it is new or goes."""
    kind: Literal["template", "policy", "index"] = "template"
    """`index` is one that a policy is attached to."""


def render(settings: IndexSettings) -> Body:
    """The body of the template for these settings; `events_template` names it."""
    text = (files("index_templates") / EVENTS_FILE).read_bytes()
    body = msgspec.json.decode(text, type=_File)
    body.index_patterns = _patterns(settings)
    body.template.settings["index"] |= {
        "codec": settings.codec,
        "number_of_replicas": settings.replicas,
        "refresh_interval": f"{settings.refresh_interval_seconds}s",
    }
    return cast("Body", msgspec.to_builtins(body))


def install(client: OpenSearch, settings: IndexSettings, *, dry_run: bool = False) -> list[Change]:
    """Put the template if it differs, delete those of older versions, and say what that changed.

    Args:
        client: of the role `lifecycle`.
        settings: how events are laid into indices.
        dry_run: only say what would change.

    Raises:
        RefusedError: the cluster refused, or is no OpenSearch.
        NoAnswerError: it did not answer.
    """
    changes: list[Change] = []
    ours, body = events_template(settings), render(settings)
    installed = _installed(client, ours)
    differences = () if installed is None else differ(body, installed)
    if installed is None or differences:
        changes.append(Change("create" if installed is None else "update", ours, differences))
        if not dry_run:
            request(client, "PUT", f"/_index_template/{ours}", body=body)
    for name in _standing_obsolete(client, settings):
        changes.append(Change("delete", name, ()))
        if not dry_run:
            request(client, "DELETE", f"/_index_template/{name}")
    return changes


def compare(client: OpenSearch, settings: IndexSettings) -> list[Drift]:
    """Where the template and the live partitions differ from the file; empty when nowhere.

    Raises:
        RefusedError: the cluster refused, or is no OpenSearch.
        NoAnswerError: it did not answer.
    """
    drifts: list[Drift] = []
    ours, body = events_template(settings), render(settings)
    installed = _installed(client, ours)
    if installed is None:
        missing = Difference("index template", "installed", None)
        drifts.append(Drift("template", ours, (missing,)))
    elif differences := differ(body, installed):
        drifts.append(Drift("template", ours, differences))
    obsolete = Difference("index template", None, "installed by an older version")
    drifts += [
        Drift("template", name, (obsolete,)) for name in _standing_obsolete(client, settings)
    ]
    params = {"flat_settings": "true", **EXPAND_ALL}
    path = f"/{read_indices(settings)}"
    live = request_shape(client, "GET", path, dict[str, Body], params=params) or {}
    wanted = cast("Body", body["template"])
    for name, index in sorted(live.items()):
        differences = differ_live(wanted, index)
        if differences:
            drifts.append(Drift("partition", name, differences))
    return drifts


def differ(wanted: Body, found: Body) -> tuple[Difference, ...]:
    """Compare two templates, whatever spelling the cluster gives their values."""
    ours, theirs = flatten(wanted), flatten(found)
    return _differences(ours, theirs, sorted(ours.keys() | theirs.keys()))


def differ_live(wanted: Body, found: Body) -> tuple[Difference, ...]:
    """Compare a partition with the `template` part of a template.

    All of the mapping counts; of the settings those that the template has, as the cluster adds
    many of its own, and those of `MUST_BE_UNSET`, but for `KEPT_FROM_THE_BEGINNING`.
    """
    ours = flatten(wanted)
    theirs = flatten({"mappings": found.get("mappings"), "settings": found.get("settings")})
    paths = ours.keys() | {path for path in theirs if path.startswith("mappings.")}
    paths |= {
        path for name in MUST_BE_UNSET if theirs.get(path := f"settings.{name}") not in _UNSET
    }
    return _differences(ours, theirs, sorted(paths - KEPT_FROM_THE_BEGINNING))


def flatten(value: object, path: str = "") -> dict[str, str]:
    """Nested objects as dotted paths with their values as text, as `flat_settings` has them.

    `false` and `"false"`, 1 and `"1"` are the same to the cluster; what is empty is not there.
    """
    if isinstance(value, dict):
        flat: dict[str, str] = {}
        for key, inner in cast("dict[str, object]", value).items():
            flat |= flatten(inner, f"{path}.{key}" if path else key)
        return flat
    if value is None or value == []:
        return {}
    if isinstance(value, list):
        return {path: ", ".join(_text(one) for one in cast("list[object]", value))}
    return {path: _text(value)}


def show(name: str, differences: tuple[Difference, ...]) -> str:
    """The differences as lines that a person reads, `-` what the cluster has and `+` the file."""
    lines = [name]
    for one in differences:
        lines += [f"  - {one.path}: {one.found}"] if one.found is not None else []
        lines += [f"  + {one.path}: {one.wanted}"] if one.wanted is not None else []
    return "\n".join(lines)


def _differences(
    ours: dict[str, str], theirs: dict[str, str], paths: list[str]
) -> tuple[Difference, ...]:
    return tuple(
        Difference(path, ours.get(path), theirs.get(path))
        for path in paths
        if ours.get(path) != theirs.get(path)
    )


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _installed(client: OpenSearch, name: str) -> Body | None:
    answer = request_shape(client, "GET", f"/_index_template/{name}", _Templates)
    return None if answer is None else answer.index_templates[0].index_template


def _standing_obsolete(client: OpenSearch, settings: IndexSettings) -> list[str]:
    """Older versions' templates that stand, by what they cover: no stranger's of the same name."""
    covered = _patterns(settings)
    return [
        name
        for name in obsolete_templates(settings)
        if (body := _installed(client, name)) is not None
        and all(pattern in covered for pattern in cast("list[str]", body["index_patterns"]))
    ]


class _Template(Struct):
    index_template: Body


class _Templates(Struct):
    index_templates: Annotated[list[_Template], Meta(min_length=1)]


class _File(Struct):
    index_patterns: list[str]
    priority: int
    template: "_Part"
    meta: Body = msgspec.field(name="_meta")


class _Part(Struct):
    settings: dict[str, Body]
    mappings: Body


def _patterns(settings: IndexSettings) -> list[str]:
    return [events_pattern(settings), late_pattern(settings), journal_name(settings)]
