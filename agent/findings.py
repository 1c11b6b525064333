"""What was found wrong with a source, until it is recorded in the trail.

A finding waits here, and with that in every checkpoint, from the moment it is made until the event
that tells of it is durable. However much is wrong, what waits is bounded: findings about one source
in one file become one, with counts; beyond `SOURCES_LIMIT` sources they are told by file, and
beyond as many files for the whole host.
"""

from collections.abc import Iterable, Iterator
from typing import Final, Literal

import msgspec
from msgspec import Struct

SOURCES_LIMIT: Final = 100
"""Sources, and then files, that are told of one by one in a row."""
RANGES_LIMIT: Final = 32
"""Ranges of `seq` that one finding lists."""

Kind = Literal["gap", "closed", "break", "silent", "gone", "behind", "caught_up"]
Range = tuple[int, int]
Key = tuple[Kind, str, str]


class Finding(Struct, frozen=True, rename="camel", omit_defaults=True):
    """Events of a source that are missing (`gap`), came late (`closed`) or altered; or its silence.

    Or a stored event that is `gone`, with what else its partition had.
    `path` and `offset`: the file, and where in it; the event that shows it stands there or behind.
    `ranges`: the `seq` of these events, both ends included; `unlisted` ranges more are only counted
    in `events`, and lie between `first` and `last`. Where many sources are told of as one,
    `source_id` is empty and so are the ranges; where many files are, `path` is too. A source that
    is `silent` is so behind its event `last`.
    """

    kind: Kind
    source_id: str
    path: str
    offset: int
    first: int
    last: int
    events: int
    ranges: tuple[Range, ...] = ()
    unlisted: int = 0
    sources: int = 1
    service: str = ""
    """Of a silent source, as the next three."""
    source_host: str = ""
    interval_seconds: float = 0
    heard_at: str = ""
    partition: str = ""
    """Of what is gone, as the next two."""
    event_id: str = ""
    timestamp: str = ""
    """Also of a backlog: until then all is stored; empty where nobody knows."""
    backlog: str = ""
    """Which one it is, of one that is told (`behind`) or cleared (`caught_up`)."""

    @property
    def key(self) -> Key:
        """Findings with the same key are told as one."""
        return self.kind, self.source_id, self.path or self.partition or self.backlog


def find(kind: Kind, source_id: str, events: Range, path: str, offset: int) -> Finding:
    """The finding about one range of a source."""
    first, last = events
    return Finding(kind, source_id, path, offset, first, last, last - first + 1, (events,))


def merge(one: Finding, other: Finding) -> Finding:
    """Both, as one finding of the first one's key."""
    ranges: tuple[Range, ...] = ()
    if one.source_id:
        is_full = len(one.ranges) == RANGES_LIMIT and other.first > one.ranges[-1][1] + 1
        # A flood comes here a million times, and the list has no room for any of it.
        ranges = (*one.ranges, *other.ranges) if is_full else join([*one.ranges, *other.ranges])
    return msgspec.structs.replace(
        one,
        offset=min(one.offset, other.offset),
        first=min(one.first, other.first),
        last=max(one.last, other.last),
        events=one.events + other.events,
        ranges=ranges[:RANGES_LIMIT],
        unlisted=one.unlisted + other.unlisted + len(ranges[RANGES_LIMIT:]),
        sources=one.sources if one.source_id else one.sources + other.sources,
    )


def join(ranges: Iterable[Range]) -> tuple[Range, ...]:
    """The same ranges in order, those that touch or overlap as one."""
    joined: list[Range] = []
    for first, last in sorted(ranges):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(last, joined[-1][1]))
        else:
            joined.append((first, last))
    return tuple(joined)


class Findings:
    """Those that wait, oldest first; never more than some hundred, whatever happens."""

    def __init__(self, known: Iterable[Finding] = ()) -> None:
        self._waiting: dict[Key, Finding] = {}
        for finding in known:
            self.add(finding)

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[Finding]:
        return iter(list(self._waiting.values()))

    @property
    def room(self) -> int:
        """How many more sources are told of one by one, at least."""
        return max(0, SOURCES_LIMIT - len(self._waiting))

    def add(self, finding: Finding) -> None:
        """Let it wait, with what is known of the same."""
        for one in (finding, _of_file(finding), _of_host(finding)):
            known = self._waiting.get(one.key)
            if known is not None:
                self._waiting[one.key] = merge(known, one)
                return
            if self._has_room(one):
                self._waiting[one.key] = one
                return

    def drop(self, recorded: Iterable[Finding]) -> None:
        """They are durable elsewhere."""
        for finding in recorded:
            del self._waiting[finding.key]

    def _has_room(self, finding: Finding) -> bool:
        if not finding.path and not finding.source_id:
            return True
        limit = SOURCES_LIMIT if finding.source_id else 2 * SOURCES_LIMIT
        return len(self._waiting) < limit


def _of_file(finding: Finding) -> Finding:
    return Finding(
        finding.kind,
        "",
        finding.path,
        finding.offset,
        finding.first,
        finding.last,
        finding.events,
        sources=finding.sources,
    )


def _of_host(finding: Finding) -> Finding:
    return msgspec.structs.replace(_of_file(finding), path="", offset=0)
