"""What a thing and those beside it are called, as its events say. Pure.

The last event at or before the moment that has a name has the right one; where there is none, the
first later one.
"""

from collections.abc import Iterator, Mapping

from webapi.state_fields import Values
from webapi.subject import Other, Subject, members

_NAMES = {"resource": ("name",), "targetUser": ("email", "name")}


class Names:
    """The names of a subject (`None`) and of what stands beside it in its events."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._names: dict[Other | None, dict[str, str]] = {}

    def take(self, event: Values) -> None:
        """Take what an event at or before the moment calls them."""
        for whose, names in self._told(event):
            self._names.setdefault(whose, {}).update(names)

    def look_back(self, event: Values) -> None:
        """Take what a later event calls those that have no name yet."""
        for whose, names in self._told(event):
            known = self._names.setdefault(whose, {})
            known.update({name: text for name, text in names.items() if name not in known})

    def of(self, whose: Other | None) -> Mapping[str, str]:
        """Return the `name` and `email` that are known."""
        return self._names.get(whose, {})

    def _told(self, event: Values) -> Iterator[tuple[Other | None, dict[str, str]]]:
        other = self._subject.other(event)
        part = self._subject.part(event)
        for kind, is_own in (
            ("resource", part in {"resource", "both"}),
            ("targetUser", part in {"target", "both"}),
        ):
            said = members(event, kind)
            names = {
                name: text
                for name in _NAMES[kind]
                if isinstance(text := said.get(name), str) and text
            }
            if names and (is_own or other is not None):
                yield None if is_own else other, names
