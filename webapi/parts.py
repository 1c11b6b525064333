"""What the routes of one application share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from flask import current_app, g

from audit_events.catalogue import Catalogue
from indexer.settings import IndexSettings
from webapi.api_tokens import ApiTokens
from webapi.arrivals import Arrivals
from webapi.auth import Reader
from webapi.kinds import Kind
from webapi.limits import Counters
from webapi.reading import Reading
from webapi.running import Running
from webapi.settings import WebSettings
from webapi.storage import Storage
from webapi.tallies import Tallies
from webapi.trail import Record, Tell

if TYPE_CHECKING:
    # Signatures bring `cryptography`, and whoever only wants the shape of an error comes by here.
    from webapi.completeness_reading import CompletenessReading
    from webapi.head_reading import HeadReading

EXTENSION: Final = "indelible"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Made once by `create_app`.

    Args:
        settings: of the group `web`.
        index: names of the partitions, and how long they stay.
        storage: where events are.
        reading: what asks it.
        verify: turns an `Authorization` header into a `Reader`.
        record: records a read; None when reads are not recorded.
        tell: records another event of ours; None likewise.
        api_tokens: those of machines; None where the settings name no user that keeps them.
        counters: how often each organisation asked.
        tallies: what the metrics are made of.
        limits: how often it may, by kind of question.
        cursor_key: signs cursors.
        catalogue: the actions that are known.
        exports: which run in this process.
        waiters: which requests wait for an event in it.
        arrivals: what reads by arrival.
        head_reading: what reads signed heads.
        completeness_reading: what reads what the log tells of itself.
    """

    settings: WebSettings
    index: IndexSettings
    storage: Storage
    reading: Reading
    verify: Callable[[str | None], Reader]
    record: Record | None
    tell: Tell | None
    api_tokens: ApiTokens | None
    counters: Counters
    tallies: Tallies
    limits: Mapping[Kind, tuple[str, int]]
    cursor_key: bytes
    catalogue: Catalogue
    exports: Running
    waiters: Running
    arrivals: Arrivals
    head_reading: "HeadReading"
    completeness_reading: "CompletenessReading"


def parts() -> Parts:
    """Return the parts of the application that answers this request."""
    return cast("Parts", current_app.extensions[EXTENSION])


def reader() -> Reader:
    """Return who asks; an AttributeError where no token was verified, so never a silent anybody."""
    return cast("Reader", g.reader)
