"""Files of events against the format: every line, and what the lines are to each other."""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from audit_events.catalogue import Catalogue
from audit_events.event import MAX_LINE_BYTES
from audit_events.open_gaps import OpenGaps
from audit_events.validation import Chains, Flaw, check_line
from indelible.completeness import Completeness
from indelible.event_lines import DAMAGED, EventLines, Line
from indelible.exported import Claim, ExportedChains, ExportTally, other_form, read_claim
from indelible.repeated_ids import Repeated, RepeatedIds

UNKNOWN_ACTIONS_LIMIT: Final = 1000
"""Actions that are told one by one; each is told once."""
_BITS_OF_LINE: Final = 44
_TORN: Final = {
    True: "it is being written now, or its writer was killed; the agent takes it as it is, as no"
    " event, when nobody ends it",
    False: "end it with a newline, or nothing ships it",
}
_UNKNOWN_HINT: Final = "put it into your catalogue, and name that in INDELIBLE_CATALOGUE_PATH"

_TWICE: Final = "make a fresh UUIDv7 for each event; only one of these is stored"
_TWICE_EXPORTED: Final = "export anew: an export has each event once"
_LOGGED: Final = "check logs and exports apart: what was exported stands in a log, too"
_ALTERED: Final = (
    "an event never changes: export both anew, and ask the operator which of the two is stored"
)
_UNSEEN: Final = Flaw(
    "shape",
    "",
    "ends an export, which is in no order and holds one organisation's share of each source",
    "name the export as a file: through a pipe nobody sees in time that it is one",
)


class Problem(Struct, frozen=True, omit_defaults=True, rename="camel"):
    """What is wrong, and where."""

    file: str
    line: int
    kind: str
    problem: str
    path: str = ""
    next: str = ""
    is_warning: bool = False


class Summary(Struct, rename="camel"):
    """What it came to; instants are canonical, and empty without an event."""

    files: int = 0
    lines: int = 0
    events: int = 0
    sources: int = 0
    closed_sources: int = 0
    """Of these, how many said at their end that they end."""
    exports: int = 0
    """How many files are exports, which have no order and no whole source."""
    exported_links: int = 0
    """Of the events in exports, how many were compared with the one before them."""
    overlapping: int = 0
    """Of the events in exports, how many stand in another one, too, byte for byte."""
    oldest: str = ""
    newest: str = ""
    errors: int = 0
    warnings: int = 0
    kinds: dict[str, int] = {}
    """Errors and warnings by kind."""


class Validation:
    """Goes through files one after the other, as they were written: the oldest first.

    Args:
        catalogue: the actions that are known.
        is_whole: the files hold each source from its beginning on.
        completeness: takes each line as well, to hold all of them against signed heads.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        *,
        is_whole: bool = False,
        completeness: Completeness | None = None,
    ) -> None:
        self.summary = Summary()
        self._completeness = completeness
        self._catalogue = catalogue
        self._chains = Chains(is_whole=is_whole, gaps=OpenGaps())
        self._exported = ExportedChains()
        self._tally: ExportTally | None = None
        self._ids = RepeatedIds()
        self._paths: list[str] = []
        self._exports: set[int] = set()
        """Which of these are exports."""
        self._kinds: Counter[str] = Counter()
        self._unknown: set[str] = set()
        self._is_behind_empty = False

    def check(self, lines: EventLines) -> Iterator[Problem]:
        """Everything that is wrong with one file; the work is done while it is asked for."""
        self.summary.files += 1
        self._paths.append(lines.path)
        claim = read_claim(lines.last())
        self._tally = None if claim is None else ExportTally(claim)
        self._is_behind_empty = False
        if self._tally is not None:
            self._exports.add(len(self._paths) - 1)
            self.summary.exports += 1
        number = 0
        try:
            for line in lines.read():
                number = line.number
                if number == 1 and (flaw := other_form(line.text)) is not None:
                    # Each of its lines would be wrong in the same way.
                    yield from self._note(number, [flaw])
                    return
                yield from self._note(number, self._check_line(line))
        except DAMAGED as error:
            reason = getattr(error, "strerror", None) or str(error)
            hint = "every line before was read; restore the file from where it was made"
            yield from self._note(number + 1, [Flaw("torn", "", f"cannot be read: {reason}", hint)])

    def finish(self) -> Iterator[Problem]:
        """What only shows at the end: events that nothing brought, and ids that stand twice."""
        for place, flaw in self._chains.missing():
            yield self._count(_problem(self._paths[_file(place)], _line(place), flaw))
        for one in self._ids.find():
            yield from self._judge_repeated(one)
        self._ids.close()
        for finding in self._completeness.judge() if self._completeness else ():
            file, path, kind, problem, hint, is_warning = finding
            yield self._count(Problem(file, 1, kind, problem, path, hint, is_warning))
        self.summary.sources = self._chains.sources + self._exported.sources
        self.summary.exported_links = self._exported.links
        self.summary.kinds = dict(self._kinds.most_common())

    def _judge_repeated(self, one: Repeated) -> Iterator[Problem]:
        first, again = _file(one.first), _file(one.again)
        problem = f"{one.event_id} stands in {self._paths[first]}:{_line(one.first)} already"
        hint = _TWICE_EXPORTED
        if not self._exports.issuperset((first, again)):
            hint = _TWICE if self._exports.isdisjoint((first, again)) else _LOGGED
        elif not one.is_same:
            problem, hint = f"{problem}, with another content", _ALTERED
        elif first != again:
            self.summary.overlapping += 1
            return
        path, line = self._paths[again], _line(one.again)
        yield self._count(Problem(path, line, "duplicate", problem, "id", hint))

    def _check_line(self, line: Line) -> Iterator[Flaw]:
        self.summary.lines += 1
        is_behind_empty = self._is_behind_empty
        self._is_behind_empty = is_empty = not line.text and line.is_ended and not line.is_too_long
        if (claim := read_claim(line.text)) is not None:
            yield from self._conclude(claim)
            return
        if self._tally is not None:
            self._tally.take(None if line.is_too_long else line.text)
        if line.is_too_long:
            problem = f"is {line.length} bytes long; the most is {MAX_LINE_BYTES} with the newline"
            yield Flaw("size", "", problem, "put less into context")
            return
        if is_empty:
            # A line that a full disk tore is hundreds of them: what matters must not be behind.
            if not is_behind_empty:
                hint = "it is skipped, as are empty ones right behind it"
                yield Flaw("json", "", "is empty", hint, is_warning=True)
            return
        flaws = check_line(line.text)
        yield from flaws
        if not line.is_ended and all(flaw.kind != "torn" for flaw in flaws):
            yield Flaw("torn", "", "is the last and has no newline", _TORN[bool(flaws)])
        yield from self._check_event(line)

    def _conclude(self, claim: Claim) -> Iterator[Flaw]:
        if self._completeness is not None:
            self._completeness.claim(claim)
        yield from [_UNSEEN] if self._tally is None else self._tally.conclude(claim)

    def _check_event(self, line: Line) -> Iterator[Flaw]:
        if self._completeness is not None:
            self._completeness.take(line.text)
        place = len(self._paths) - 1 << _BITS_OF_LINE | line.number
        if self._tally is None:
            envelope, flaws = self._chains.check(line.text, place)
        else:
            envelope, flaws = self._exported.check(line.text)
        yield from flaws
        if envelope is None:
            return
        summary = self.summary
        summary.events += 1
        summary.oldest = min(summary.oldest or envelope.timestamp, envelope.timestamp)
        summary.newest = max(summary.newest, envelope.timestamp)
        summary.closed_sources += envelope.action == "audit_log.source_closed"
        self._ids.add(envelope.id, place, line.text)
        if self._catalogue.find(envelope.action) is None:
            yield from self._note_unknown(envelope.action)

    def _note_unknown(self, action: str) -> Iterator[Flaw]:
        if action in self._unknown or len(self._unknown) >= UNKNOWN_ACTIONS_LIMIT:
            return
        self._unknown.add(action)
        near = ", ".join(self._catalogue.nearest(action))
        hint = f"did you mean {near}?" if near else _UNKNOWN_HINT
        problem = f"{action} is in no catalogue; it is recorded all the same"
        # Not among the kinds of what a line can be: the catalogue is a beginning, not a limit.
        yield Flaw("unknown_action", "action", problem, hint, is_warning=True)

    def _note(self, number: int, flaws: Iterator[Flaw] | list[Flaw]) -> Iterator[Problem]:
        for flaw in flaws:
            yield self._count(_problem(self._paths[-1], number, flaw))

    def _count(self, problem: Problem) -> Problem:
        self._kinds[problem.kind] += 1
        if problem.is_warning:
            self.summary.warnings += 1
        else:
            self.summary.errors += 1
        return problem


def _problem(path: str, number: int, flaw: Flaw) -> Problem:
    return Problem(path, number, flaw.kind, flaw.problem, flaw.path, flaw.hint, flaw.is_warning)


def _file(place: int) -> int:
    return place >> _BITS_OF_LINE


def _line(place: int) -> int:
    return place & (1 << _BITS_OF_LINE) - 1
