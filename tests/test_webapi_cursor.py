"""Cursors continue one query, and cannot be made or carried elsewhere."""

import base64
from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_events.catalogue import CATALOGUE
from indexer.settings import Secret
from webapi.arrivals import Place
from webapi.cursor import cursor_key, read_cursor, write_cursor
from webapi.errors import ParameterError
from webapi.field_selection import read_field, selection_of
from webapi.query import Position, Query
from webapi.search_text import read_text
from webapi.settings import WebSettings
from webapi.stream import read_stream, stream_key

KEY = b"k" * 32
QUERY = Query(organization_id="org_a", actions=("a.b", "c.d"), equal={"actorId": ("x", "y")})
PLACE = Position(1_795_460_448_236_019_000, "01a209c8-3fec-704d-9ea0-6979ad24323e")


@given(st.integers(0, 2**63 - 1), st.uuids().map(str))
def test_a_cursor_is_read_as_it_was_written(timestamp_ns: int, event_id: str) -> None:
    place = Position(timestamp_ns, event_id)
    assert read_cursor(KEY, QUERY, write_cursor(KEY, QUERY, place)) == place


KEPT = (
    "WzE3OTU0NjA0NDgyMzYwMTkwMDAsIjAxYTIwOWM4LTNmZWMtNzA0ZC05ZWEwLTY5NzlhZDI0MzIzZSJd"
    "8skIzWYROS5FcDEx_zCARA"
)
KEPT_OF_STREAM = (
    "k4GoQWJDZEVmR2gpkahJaktsTW5PcLsyMDI2LTAzLTE1VDAwOjAwOjAwLjAwMDAwMFo6wcDjqdBKqKQo-0r6eDIT"
)


def test_what_readers_kept_before_an_upgrade_is_read_after_it() -> None:
    """A SIEM that could not go on would miss events, so these stand as they were written then."""
    since = datetime(2026, 3, 15, tzinfo=UTC)
    query = replace(QUERY, text=read_text("actor:ana"), since=since, results=("success",))
    assert read_cursor(KEY, query, KEPT) == PLACE

    pairs = [("action", "member.invited"), ("after", KEPT_OF_STREAM)]
    question = read_stream(
        "org_a", pairs, present=lambda _: (), key=stream_key(KEY), catalogue=CATALOGUE
    )
    assert question.place == Place(
        read={"AbCdEfGh": 41}, done=frozenset({"IjKlMnOp"}), since="2026-03-15T00:00:00.000000Z"
    )


def test_what_leaves_the_following_events_the_same_keeps_the_cursor() -> None:
    cursor = write_cursor(KEY, QUERY, PLACE)
    same = replace(
        QUERY,
        limit=7,
        offset=3,
        highlight=True,
        fields=selection_of([read_field("id")]),
        actions=("c.d", "a.b"),
        equal={"actorId": ("y", "x")},
    )
    assert read_cursor(KEY, same, cursor) == PLACE


OTHERS: dict[str, Any] = {
    "organization_id": "org_b",
    "actions": ("a.b",),
    "categories": ("x",),
    "colours": ("red",),
    "results": ("denied",),
    "equal": {"actorEmail": ("x", "y")},
    "since": datetime(2026, 3, 15, tzinfo=UTC),
    "until": datetime(2026, 3, 15, tzinfo=UTC),
    "text": read_text("word"),
    "about": {"term": {"resource.id": "x"}},
    "newest_first": False,
}
LOOKS = {"highlight", "fields", "limit", "offset", "after", "identified", "catalogue"}


@pytest.mark.parametrize("name", OTHERS)
def test_a_cursor_of_another_query_is_refused(name: str) -> None:
    other = replace(QUERY, **{name: OTHERS[name]})
    with pytest.raises(ParameterError, match="cursor"):
        read_cursor(KEY, other, write_cursor(KEY, QUERY, PLACE))


def test_all_that_decides_which_events_follow_is_part_of_a_cursor() -> None:
    """What is new in a question belongs to one of the two, and has to be said here."""
    assert {field.name for field in fields(Query)} == OTHERS.keys() | LOOKS


def test_every_changed_character_is_noticed() -> None:
    cursor = write_cursor(KEY, QUERY, PLACE)
    for at, character in enumerate(cursor):
        forged = cursor[:at] + ("A" if character != "A" else "B") + cursor[at + 1 :]
        with pytest.raises(ParameterError):
            read_cursor(KEY, QUERY, forged)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "=",
        "é",
        "AAAA" * 100,
        base64.urlsafe_b64encode(b"[1,2]" + bytes(16)).decode(),
        write_cursor(KEY, QUERY, PLACE) + "=",
        write_cursor(KEY, QUERY, PLACE)[:-1] + " ",
        write_cursor(b"other key", QUERY, PLACE),
    ],
)
def test_made_up_cursors_are_refused(text: str) -> None:
    with pytest.raises(ParameterError):
        read_cursor(KEY, QUERY, text)


def test_the_key_is_derived_and_the_same_in_every_worker() -> None:
    secret = Secret("s" * 32)
    assert cursor_key(WebSettings(jwt_secret=secret)) == cursor_key(WebSettings(jwt_secret=secret))
    assert cursor_key(WebSettings(jwt_secret=secret)) != b"s" * 32


def test_a_secret_of_their_own_signs_cursors_whatever_signs_tokens() -> None:
    own = Secret("o" * 32)
    keys = {
        cursor_key(WebSettings(jwt_secret=Secret(letter * 32), cursor_secret=own))
        for letter in "st"
    }
    assert keys == {cursor_key(WebSettings(jwt_secret=own))}
