"""The names that `q` knows, and where in the index each looks."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from types import MappingProxyType
from typing import Final

from webapi.errors import ParameterError

CONTEXT: Final = "context"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Fields of the index that a value is looked for in; any of them will do.

    A field that a partition does not have finds nothing (`SEARCH_TEXT`).

    Args:
        whole: ids and such: found whole or by their beginning, in any case.
        only_whole: the same, never by their beginning.
        words: words as they stand (`standard`).
        letters: runs of letters (`simple`), for words and parts without digits.
        folded: those of them that hold names, where accents do not count.
        address: whether an address is looked for in `ipAddress`.
        event_id: whether a UUID is that of an event.
    """

    whole: tuple[str, ...] = ()
    only_whole: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    letters: tuple[str, ...] = ()
    folded: tuple[str, ...] = ()
    address: bool = False
    event_id: bool = False


ACTION_WORDS: Final = "action.words"
SEARCH_TEXT: Final = "searchText"
"""All words of an event, in partitions of an older template. Not folded: OpenSearch would make the
patterns also for each partition without it."""
ANY_ORDER: Final = frozenset(
    {
        "actor.email.text",
        "actor.email.words",
        "targetUser.email.text",
        "targetUser.email.words",
        "resource.type.words",
        "source.service.words",
        "userAgent.text",
    }
)
"""Fields where the words of a phrase may stand in any order: many events have the same ones, and
to look at the order OpenSearch would read each of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchField:
    """One name.

    Args:
        name: as it is documented.
        description: what it finds.
        example: a question that reads.
        aliases: other spellings: those of the event and of the list's parameters.
        scope: where it looks.
    """

    name: str
    description: str
    example: str
    aliases: tuple[str, ...] = ()
    scope: Scope = Scope()


ANYWHERE: Final = Scope(
    whole=(
        "actor.id",
        "actor.onBehalfOf",
        "actor.email",
        "targetUser.id",
        "targetUser.email",
        "resource.id",
        "correlationId",
        "source.id",
        CONTEXT,
    ),
    words=(
        "actor.name.text",
        "actor.email.text",
        "targetUser.name.text",
        "targetUser.email.text",
        "resource.name.text",
        "userAgent.text",
        SEARCH_TEXT,
    ),
    letters=(
        "action.words",
        "actor.email.words",
        "targetUser.email.words",
        "resource.type.words",
        "resource.name.words",
        "source.service.words",
        f"{SEARCH_TEXT}.simple",
    ),
    folded=(
        "actor.name.text",
        "targetUser.name.text",
        "resource.name.text",
        "resource.name.words",
        CONTEXT,
    ),
    address=True,
    event_id=True,
)
"""Where a value without a name is looked for."""

_ACTOR: Final = Scope(
    whole=("actor.id", "actor.email", "actor.onBehalfOf"),
    only_whole=("actor.type",),
    words=("actor.name.text", "actor.email.text"),
    letters=("actor.email.words",),
    folded=("actor.name.text",),
)
_TARGET: Final = Scope(
    whole=("targetUser.id", "targetUser.email"),
    words=("targetUser.name.text", "targetUser.email.text"),
    letters=("targetUser.email.words",),
    folded=("targetUser.name.text",),
)
_RESOURCE: Final = Scope(
    whole=("resource.id",),
    only_whole=("resource.type",),
    words=("resource.name.text",),
    letters=("resource.name.words", "resource.type.words"),
    folded=("resource.name.text", "resource.name.words"),
)


def _whole(
    name: str, description: str, example: str, path: str, *aliases: str, letters: str | None = None
) -> SearchField:
    scope = Scope(whole=(path,), letters=() if letters is None else (letters,))
    return SearchField(
        name=name, description=description, example=example, aliases=aliases, scope=scope
    )


def _email(name: str, who: str, path: str, *aliases: str) -> SearchField:
    return SearchField(
        name=name,
        description=f"Email of {who}, or a part of it.",
        example=f"{name}:ana@company.com",
        aliases=aliases,
        scope=Scope(whole=(path,), words=(f"{path}.text",), letters=(f"{path}.words",)),
    )


def _name(name: str, who: str, path: str, *aliases: str, letters: bool = False) -> SearchField:
    runs = (f"{path}.words",) if letters else ()
    scope = Scope(words=(f"{path}.text",), letters=runs, folded=(f"{path}.text", *runs))
    return SearchField(
        name=name,
        description=f"Words of the name of {who}; accents do not count.",
        example=f"{name}:jose",
        aliases=aliases,
        scope=scope,
    )


SEARCH_FIELDS: Final[tuple[SearchField, ...]] = (
    SearchField(
        name="actor",
        description="Who did it: id, email or a part of it, name, type, or on whose behalf.",
        example="actor:ana",
        scope=_ACTOR,
    ),
    _whole("actor.id", "Id of who did it.", "actor.id:u_7", "actor.id", "actorId"),
    _email("actor.email", "who did it", "actor.email", "actorEmail"),
    _name("actor.name", "who did it", "actor.name", "actorName"),
    _whole("actor.type", "Who did it: `user`, `system`, `api_key` or `service`.",
           "actor.type:api_key", "actor.type", "actorType"),
    SearchField(
        name="target",
        description="The affected user: id, email or a part of it, or name.",
        example="target:team@company.com",
        aliases=("targetUser",),
        scope=_TARGET,
    ),
    _whole("target.id", "Id of the affected user.", "target.id:u_8", "targetUser.id",
           "targetUser.id", "targetUserId"),
    _email("target.email", "the affected user", "targetUser.email", "targetUser.email",
           "targetUserEmail"),
    _name("target.name", "the affected user", "targetUser.name", "targetUser.name",
          "targetUserName"),
    SearchField(
        name="resource",
        description="What was affected: id, type, or words of its name.",
        example="resource:app_42",
        scope=_RESOURCE,
    ),
    _whole("resource.id", "Id of what was affected.", "resource.id:app_42", "resource.id",
           "resourceId"),
    _whole("resource.type", "Type of what was affected.", "resource.type:app", "resource.type",
           "resourceType", letters="resource.type.words"),
    _name("resource.name", "what was affected", "resource.name", "resourceName", letters=True),
    SearchField(
        name="action",
        description="Event type, `noun.*` for all that begin so, or words of it.",
        example="action:member.*",
        scope=Scope(letters=("action.words",)),
    ),
    SearchField(
        name="category",
        description="Category of the action in the catalogue, or a word of it.",
        example="category:member",
    ),
    SearchField(
        name="colour",
        description="Colour of the action in the catalogue.",
        example="colour:red",
        aliases=("color",),
    ),
    SearchField(
        name="result",
        description="How it ended; an event that does not say succeeded.",
        example="result:denied",
    ),
    SearchField(
        name="ip",
        description="Client address: whole, a block, or its beginning.",
        example="ip:203.0.113.*",
        aliases=("ipAddress", "address"),
        scope=Scope(address=True),
    ),
    SearchField(
        name="agent",
        description="Words of the user agent.",
        example="agent:firefox",
        aliases=("userAgent",),
        scope=Scope(words=("userAgent.text",)),
    ),
    _whole("correlation", "Joins the events of one request.", "correlation:req_9f2c",
           "correlationId", "correlationId"),
    _whole("service", "The application that wrote the event.", "service:billing",
           "source.service", "source.service", letters="source.service.words"),
    _whole("source", "Id of the process that wrote the event.",
           "source:01a209c8-3fec-704d-9ea0-6979ad24323e", "source.id", "source.id"),
    SearchField(
        name="id",
        description="The event itself.",
        example="id:01a209c8-3fec-704d-9ea0-6979ad24323e",
        aliases=("eventId",),
        scope=Scope(event_id=True),
    ),
    SearchField(
        name=CONTEXT,
        description="A value inside `context`, whole or by its beginning; `context.KEY:value` where"
        " it stands (a KEY without `previous` or `new` means those too).",
        example="context.role:admin",
        scope=Scope(whole=(CONTEXT,), folded=(CONTEXT,)),
    ),
)  # fmt: skip
"""The names, in the order in which they are documented. The organisation is none: it is the
token's."""

_BY_NAME: Final[Mapping[str, SearchField]] = MappingProxyType(
    {name.lower(): one for one in SEARCH_FIELDS for name in (one.name, *one.aliases)}
)
_ORGANIZATION: Final = frozenset(
    {"org", "organization", "organizationid", "organisation", "tenant"}
)
_CHANGES: Final = ("previous", "new")


def field_named(name: str, position: int) -> SearchField:
    """Return what a name stands for, in any case; a path in `context` is `context.KEY`.

    Raises:
        ParameterError: there is none, with the nearest.
    """
    found = _BY_NAME.get(name.lower())
    if found is not None:
        return found
    head, _, path = name.partition(".")
    if head.lower() == CONTEXT and all(path.split(".")):
        return SearchField(
            name=name, description="", example="", scope=_inside_context(path.split("."))
        )
    reason = f"there is no field `{_short(name)}`; put text with a colon in quotes"
    if name.lower() in _ORGANIZATION:
        reason = "the organisation is that of your token, and no field"
    raise ParameterError("unknown_field", reason, position=position, nearest=_nearest(name.lower()))


def _inside_context(keys: list[str]) -> Scope:
    paths = [CONTEXT + "." + ".".join(keys)]
    if keys[0] not in _CHANGES:
        paths += [".".join([CONTEXT, change, *keys]) for change in _CHANGES]
    # Not folded: OpenSearch puts the path into the pattern as it is, where a dot is any character.
    return Scope(whole=tuple(paths))


def _nearest(name: str) -> tuple[str, ...]:
    near = get_close_matches(name[:100], _BY_NAME, n=6, cutoff=0.6)
    return tuple(_unique(_BY_NAME[one].name for one in near))[:3]


def _unique(names: Iterable[str]) -> Iterable[str]:
    return dict.fromkeys(names)


def _short(name: str) -> str:
    return name if len(name) <= 40 else name[:40] + "…"  # noqa: PLR2004  # part of a line
