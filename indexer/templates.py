"""The index templates: rendered from their files, installed, and compared with the cluster.

A file of `index_templates/` is the body of `PUT _index_template/<its stem>` as it is used with
default settings; prefix, replicas and refresh interval are put in here. A template acts only on
indices that are made after it, so the live partitions are compared as well.
"""

from importlib.resources import files
from typing import Annotated, Final, Literal, cast

import msgspec
from msgspec import Meta, Struct
from opensearchpy import OpenSearch

from indexer.client import request, request_shape
from indexer.names import (
    events_pattern,
    events_template,
    late_pattern,
    late_template,
    read_indices,
)
from indexer.settings import IndexSettings

EVENTS_FILE: Final = "audit-events.json"
LATE_FILE: Final = "audit-late.json"

Body = dict[str, object]


class Difference(Struct, frozen=True):
    """One value that is not as the file has it; None where it is not there at all."""

    path: str
    wanted: str | None
    found: str | None


class Drift(Struct, frozen=True):
    """Where the cluster differs from the file."""

    kind: Literal["template", "partition"]
    name: str
    differences: tuple[Difference, ...]


class Change(Struct, frozen=True):
    """What an installation changes, or would change."""

    action: Literal["create", "update"]
    name: str
    differences: tuple[Difference, ...]
    """Empty when the template is new."""


def render(settings: IndexSettings) -> dict[str, Body]:
    """Each template's name and body for these settings."""
    return {
        events_template(settings): _render(EVENTS_FILE, events_pattern(settings), settings),
        late_template(settings): _render(LATE_FILE, late_pattern(settings), settings),
    }


def install(client: OpenSearch, settings: IndexSettings, *, dry_run: bool = False) -> list[Change]:
    """Put the templates that differ, and say what that changed; nothing when all are right.

    Args:
        client: of the role `lifecycle`.
        settings: how events are laid into indices.
        dry_run: only say what would change.

    Raises:
        RefusedError: the cluster refused, or is no OpenSearch.
        NoAnswerError: it did not answer.
    """
    changes: list[Change] = []
    for name, body in render(settings).items():
        installed = _installed(client, name)
        if installed is None:
            changes.append(Change("create", name, ()))
        else:
            differences = differ(body, installed)
            if not differences:
                continue
            changes.append(Change("update", name, differences))
        if not dry_run:
            request(client, "PUT", f"/_index_template/{name}", body=body)
    return changes


def compare(client: OpenSearch, settings: IndexSettings) -> list[Drift]:
    """Where the templates and the live partitions differ from the files; empty when nowhere.

    Raises:
        RefusedError: the cluster refused, or is no OpenSearch.
        NoAnswerError: it did not answer.
    """
    drifts: list[Drift] = []
    for name, body in render(settings).items():
        installed = _installed(client, name)
        if installed is None:
            missing = Difference("index template", "installed", None)
            drifts.append(Drift("template", name, (missing,)))
        elif differences := differ(body, installed):
            drifts.append(Drift("template", name, differences))
    params = {"flat_settings": "true", "expand_wildcards": "open,closed"}
    path = f"/{read_indices(settings)}"
    live = request_shape(client, "GET", path, dict[str, Body], params=params) or {}
    wanted = render(settings)
    for name, index in sorted(live.items()):
        late = name.startswith(late_pattern(settings).removesuffix("*"))
        template = wanted[late_template(settings) if late else events_template(settings)]
        differences = differ_live(cast("Body", template["template"]), index)
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
    many of its own.
    """
    ours = flatten(wanted)
    theirs = flatten({"mappings": found.get("mappings"), "settings": found.get("settings")})
    paths = ours.keys() | {path for path in theirs if path.startswith("mappings.")}
    return _differences(ours, theirs, sorted(paths))


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


def _render(file: str, pattern: str, settings: IndexSettings) -> Body:
    text = (files("index_templates") / file).read_bytes()
    body = msgspec.json.decode(text, type=_File)
    body.index_patterns = [pattern]
    body.template.settings["index"] |= {
        "number_of_replicas": settings.replicas,
        "refresh_interval": f"{settings.refresh_interval_seconds}s",
    }
    return cast("Body", msgspec.to_builtins(body))
