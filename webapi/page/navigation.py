"""Where one can go from a page: what stands below Settings → Access Control."""

from typing import Final, NamedTuple

from flask import current_app, url_for

from webapi.auth import Reader

OWNER: Final = "owner"


class Place(NamedTuple):
    """One entry of the navigation.

    Args:
        endpoint: of the view.
        title: what it is called.
        roles: who finds it; everybody who may read the log when empty.
    """

    endpoint: str
    title: str
    roles: tuple[str, ...] = ()


LIST: Final = "page.show_list"
PLACES: Final = (
    Place(LIST, "Audit Log"),
    Place("owners.list_tokens", "API tokens", (OWNER,)),
    Place("owners.list_holds", "Legal holds", (OWNER,)),
    Place("owners.show_log_state", "State of the log", (OWNER,)),
)


class Link(NamedTuple):
    """One entry as it is shown."""

    title: str
    address: str
    current: bool


def links(reader: Reader | None, endpoint: str | None) -> list[Link]:
    """Return what a reader may go to; nobody who is not known is told anything."""
    if reader is None:
        return []
    return [
        Link(place.title, url_for(place.endpoint), _belongs(endpoint, place.endpoint))
        for place in PLACES
        if place.endpoint in current_app.view_functions
        and (not place.roles or reader.role in place.roles)
    ]


def _belongs(endpoint: str | None, to: str) -> bool:
    """Tell whether a view is the place itself or, of the log, a view of some of its events."""
    return endpoint == to or (to == LIST and (endpoint or "").startswith("page."))
