"""What `q` becomes: bounded, made of a few harmless kinds of clause, and refused at its place."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from audit_events.catalogue import CATALOGUE, Catalogue
from audit_events.catalogue_entry import CatalogueEntry
from indexer.document_id import document_id
from webapi.addresses import Span, network_span, prefix_spans
from webapi.caret import caret
from webapi.errors import ParameterError
from webapi.highlights import Highlighter
from webapi.search_fields import ANYWHERE, SEARCH_FIELDS, field_named
from webapi.search_text import MAX_CLAUSES, read_text, uncatalogued_actions
from webapi.search_words import words_at_most

EVENT_ID = "01a209c8-3fec-704d-9ea0-6979ad24323e"
PAGE = Path(__file__).parents[1] / "docs" / "search.md"
LONGEST_PATTERN = 1000
"""`index.max_regex_length`."""
CLASS = r"\[[^\W\d_\-]+(?:-?[^\W\d_\-]+)*\]"
SPELLINGS = re.compile(rf"(?:\w|{CLASS}|\[\u0300-\u036f\]\?)+(?:\.\*)?")
"""Letters, classes of letters, marks or none; at the end, anything."""
KINDS = {"multi_match", "term", "terms", "prefix", "regexp", "range", "ids", "exists"}


def leaves(clause: object) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield kind and body of each clause that is not `bool`."""
    for kind, body in cast("dict[str, dict[str, object]]", clause).items():
        if kind != "bool":
            yield kind, body
            continue
        for name, inner in body.items():
            if name != "minimum_should_match":
                for one in cast("list[object]", inner):
                    yield from leaves(one)


def refused(error: ParameterError, text: str) -> None:
    """See that the place of a mistake is within the text, and shown."""
    assert error.position is not None
    assert 0 <= error.position <= len(text)
    assert error.hint


def clauses_of(text: str) -> list[tuple[str, dict[str, object]]]:
    return list(leaves(read_text(text).clause))


def fields_of(text: str) -> set[str]:
    """Return the fields of the index that a question looks into."""
    found: set[str] = set()
    for kind, body in clauses_of(text):
        found |= set(cast("list[str]", body["fields"])) if kind == "multi_match" else set(body)
    return found


@pytest.mark.parametrize(
    ("text", "lettered"),
    [("role", True), ("app_42", False), ('"left it"', True), ('"room 42"', False), ("ro*", True),
     ("app_4*", False)],
)  # fmt: skip
def test_words_with_digits_are_not_looked_for_among_letters(text: str, *, lettered: bool) -> None:
    assert (set(ANYWHERE.letters) <= fields_of(text)) == lettered


@pytest.mark.parametrize(
    ("text", "clause"),
    [
        ("APP_42", ("term", {"resource.id": {"value": "APP_42", "case_insensitive": True}})),
        ("APP_4*", ("prefix", {"resource.id": {"value": "APP_4", "case_insensitive": True}})),
        (EVENT_ID.upper(), ("ids", {"values": [document_id(EVENT_ID), EVENT_ID]})),
        ("203.0.113.9", ("range", {"ipAddress": {"gte": "203.0.113.9", "lte": "203.0.113.9"}})),
        ("203.0.113.*", ("range", {"ipAddress": {"gte": "203.0.113.0", "lte": "203.0.113.255"}})),
        ("ip:2001:db8::/32", ("range", {"ipAddress": {
            "gte": "2001:db8::", "lte": "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"}})),
        ("action:Member.Invited", ("terms", {"action": ["member.invited"]})),
        ("action:member.*", ("prefix", {"action": "member."})),
        ("action:member.rol*", ("prefix", {"action": "member.rol"})),
        ("action:invited", ("term", {"action.words": "invited"})),
        ("colour:red", ("terms", {"action": [
            name for name, entry in CATALOGUE.entries.items() if entry.colour == "red"]})),
        ("result:denied", ("terms", {"result": ["denied"]})),
        ("context.role:admin", ("term", {"context.new.role": {
            "value": "admin", "case_insensitive": True}})),
    ],
)  # fmt: skip
def test_a_value_is_asked_for_so(text: str, clause: tuple[str, dict[str, object]]) -> None:
    found = clauses_of(text)
    if clause[0] == "term" and "action.words" in clause[1]:
        assert [(kind, body["fields"]) for kind, body in found] == [
            ("multi_match", ["action.words"])
        ]
        return
    assert clause in found


@pytest.mark.parametrize("field", SEARCH_FIELDS, ids=lambda field: field.name)
def test_every_field_has_an_example_that_reads_under_each_of_its_names(field: object) -> None:
    one = field_named(getattr(field, "name", ""), 0)
    assert one is field
    _, _, value = one.example.partition(":")
    for name in (one.name, *one.aliases, one.name.upper()):
        assert read_text(f"{name}:{value}").clause == read_text(f"{one.name}:{value}").clause
    read_text(one.example)


def test_every_field_is_in_the_documentation() -> None:
    for one in SEARCH_FIELDS:
        aliases = ", ".join(f"`{alias}`" for alias in one.aliases)
        row = f"| `{one.name}` | {one.description} | `{one.example}` | {aliases} |"
        assert row in PAGE.read_text(encoding="utf-8"), row


RENAMED = CatalogueEntry(
    action="robot.taught", category="Robots", colour="blue", title="Robot taught",
    description="It knows more.", severity="info", aliases=("machine.trained",),
)  # fmt: skip
ROBOTS = Catalogue([RENAMED])


@pytest.mark.parametrize(
    "text",
    ["action:robot.taught", "action:machine.trained", "action:robot.*", "action:machine.tr*",
     "category:robots", '"robot taught" OR action:machine.*'],
)  # fmt: skip
def test_an_action_is_found_under_its_old_id_too(text: str) -> None:
    asked = read_text(text, ROBOTS)
    assert "machine" in str(asked.clause)
    assert "robot" in str(asked.clause)
    for action in ("robot.taught", "machine.trained"):
        found = Highlighter(asked.node, ROBOTS).places({"action": action})
        assert found or "OR" in text or text.endswith(".*")
    with pytest.raises(ParameterError):
        read_text("category:member", ROBOTS)


def test_a_path_in_context_means_what_it_was_and_what_it_became() -> None:
    assert fields_of("context.role:x") == {
        "context.role", "context.previous.role", "context.new.role",
    }  # fmt: skip
    assert fields_of("context.new.role:x") == {"context.new.role"}


MISTAKES: list[tuple[str, str, str, int, tuple[str, ...]]] = [
    ("an unknown field", "a actr:ana", "unknown_field", 2, ("actor",)),
    (
        "a field of the event that is none here",
        "actor.emial:x",
        "unknown_field",
        0,
        ("actor.email",),
    ),
    ("one that is like none", "zzzzzz:x", "unknown_field", 0, ()),
    ("the organisation", "organizationId:org_b", "unknown_field", 0, ()),
    ("a path that is none", "context..x:y", "unknown_field", 0, ()),
    ("no action", "action:Member.", "unknown_value", 7, ()),
    ("a colour", "colour:gren", "unknown_value", 7, ("green",)),
    ("the second colour", "colour:red,gren", "unknown_value", 11, ("green",)),
    ("a result", "-result:succes", "unknown_value", 8, ("success",)),
    ("no address", "ip:localhost", "invalid", 3, ()),
    ("no beginning of an address", "ip:ab*", "invalid", 3, ()),
    ("half of an id", "id:01a209c8", "invalid", 3, ()),
]


@pytest.mark.parametrize(
    ("text", "code", "position", "nearest"),
    [pytest.param(t, c, p, n, id=i) for i, t, c, p, n in MISTAKES],
)
def test_a_mistake_has_code_place_and_what_was_perhaps_meant(
    text: str, code: str, position: int, nearest: tuple[str, ...]
) -> None:
    with pytest.raises(ParameterError) as caught:
        read_text(text)
    error = caught.value
    assert (error.code, error.position) == (code, position)
    assert error.nearest[: len(nearest)] == nearest
    assert error.hint == f"{text}\n{' ' * position}^"


def test_actions_that_only_the_events_can_tell_of() -> None:
    node = read_text("action:zebra.danced,member.invited (action:lion.* OR -action:ant.bit)").node
    assert uncatalogued_actions(node, CATALOGUE) == {"zebra.danced": 7, "lion.*": 43, "ant.bit": 61}


def test_a_place_is_shown_under_the_text() -> None:
    assert caret("actr:ana", 0) == "actr:ana\n^"
    assert caret("日本 actr:ana", 3) == "日本 actr:ana\n     ^", "wide characters have two columns"
    assert caret("jose\u0301 x:y", 6) == "jose\u0301 x:y\n     ^", "a mark has none"
    assert caret("a\x1b[2J\u202e b", 7) == "a·[2J· b\n       ^", "nothing that a terminal obeys"
    shown, line = caret("x" * 100 + "!" + "y" * 100, 100).splitlines()
    assert shown[line.index("^")] == "!"
    assert len(shown) < 80


@given(st.text(max_size=300), st.integers(0, 300))
def test_a_hint_is_two_lines_whatever_it_shows(text: str, position: int) -> None:
    lines = caret(text, min(position, len(text))).split("\n")
    assert len(lines) == 2
    assert lines[1].strip(" ") == "^"


TEXTS = st.text(max_size=400) | st.lists(
    st.sampled_from(
        [*"ab1é日. ", "(", ")", '"', "-", " OR ", "ab*", "actor:", "context.x:", "ip:", "203.0.1.",
         "action:member.", "result:denied ", "josé ", "a.b,", "ab.*"]
    ),
    max_size=120,
).map("".join)  # fmt: skip


@given(TEXTS)
def test_any_text_becomes_a_bounded_tree_of_harmless_clauses(text: str) -> None:
    try:
        found = clauses_of(text)
    except ParameterError as error:
        refused(error, text)
        return
    assert {kind for kind, _ in found} <= KINDS
    assert sum(counted(kind, body) for kind, body in found) <= MAX_CLAUSES
    for kind, body in found:
        if kind == "regexp":
            (asked,) = cast("dict[str, dict[str, str]]", body).values()
            assert asked["flags"] == "NONE"
            assert len(asked["value"]) <= LONGEST_PATTERN
            assert SPELLINGS.fullmatch(asked["value"])


def counted(kind: str, body: dict[str, object]) -> int:
    """Return how many clauses OpenSearch counts: each word in each field."""
    if kind != "multi_match":
        return 1
    words = len(str(body["query"]).split())
    return max(1, words) * len(cast("list[str]", body["fields"]))


@pytest.mark.parametrize(
    ("text", "least"),
    [("role", 1), ("a.b", 2), ("日本語", 3), ("a" * 600, 3), ("🔥🔥", 2), ("!", 1), ("имя", 1)],
)
def test_words_are_never_counted_too_few(text: str, least: int) -> None:
    assert words_at_most(text) >= least


@pytest.mark.parametrize(
    "text",
    ["日" * 200, '"' + "a " * 400 + '"', " ".join(f"w{n}" for n in range(60)), "a.b.c.d.e " * 20],
    ids=["one run of many words", "a long phrase", "many words", "words of words"],
)
def test_more_than_the_cluster_takes_is_refused(text: str) -> None:
    with pytest.raises(ParameterError) as caught:
        read_text(text)
    assert caught.value.code == "out_of_range"


def test_a_list_of_fifty_ids_is_fine() -> None:
    ids = ",".join(f"app_{number:06}" for number in range(50))
    assert len(clauses_of(f"resource.id:{ids}")) == 50
    read_text(" ".join(f"word{number}" for number in range(20)))


@pytest.mark.parametrize(
    ("text", "spans"),
    [
        ("203.0.113.", [("203.0.113.0", "203.0.113.255")]),
        ("203.", [("203.0.0.0", "203.255.255.255")]),
        ("203.0.113.9", [("203.0.113.9", "203.0.113.9"), ("203.0.113.90", "203.0.113.99")]),
        ("203.0.2", [("203.0.2.0", "203.0.2.255"), ("203.0.20.0", "203.0.29.255"),
                     ("203.0.200.0", "203.0.255.255")]),
        ("1.0", [("1.0.0.0", "1.0.255.255")]),
        ("255.255", [("255.255.0.0", "255.255.255.255")]),
        ("2001:db8:", [("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff")]),
        ("a:", [("a::", "a:ffff:ffff:ffff:ffff:ffff:ffff:ffff")]),
        ("2001:db8::", [("2001:db8::", "2001:db8::ffff:ffff:ffff:ffff")]),
        ("1:2:3:4:5::", [("1:2:3:4:5::", "1:2:3:4:5::ffff")]),
        ("20", []), ("1.2.3.4.", []), ("1.256", []), ("1.01", []), ("x.y", []),
        ("::", []), (":::", []), ("1::2::", []), ("1:2:3:4:5:6::", []), ("1.2::", []),
        ("1.\u0662", []), ("1.\u00b2", []), ("256.1", []), (":", []), ("g:", []), ("ag:", []),
        ("2001:db8:1", []), ("1:2:3:4:5:6:7:8:", []),
    ],
)  # fmt: skip
def test_addresses_by_their_beginning(text: str, spans: list[tuple[str, str]]) -> None:
    assert list(prefix_spans(text)) == [Span(*span) for span in spans]


@given(st.ip_addresses(v=4).map(str), st.integers(1, 14))
def test_an_address_is_in_the_spans_of_each_of_its_beginnings(address: str, length: int) -> None:
    beginning = address[:length]
    if "." in beginning:
        assert any(span.holds(address) for span in prefix_spans(beginning))


@given(st.ip_addresses(v=6).map(str))
@example("2001:db8::1")
@example("fe80::")
def test_an_ipv6_address_is_in_the_span_of_each_of_its_beginnings(address: str) -> None:
    for end in range(1, len(address) - 1):
        beginning = address[: end + 1]
        # How many groups are zero, only what follows would tell.
        if address[end] == ":" and "::" not in beginning[:-1] and beginning != "::":
            assert any(span.holds(address) for span in prefix_spans(beginning)), beginning


@given(st.ip_addresses().map(str), st.text("0123456789.", max_size=8))
def test_a_span_holds_only_what_begins_so(address: str, beginning: str) -> None:
    for span in prefix_spans(beginning):
        assert not span.holds(address) or address.startswith(beginning)
        assert span.first.startswith(beginning)
        assert span.last.startswith(beginning)


def test_a_span_holds_both_its_ends_and_none_of_the_other_family() -> None:
    span = Span("203.0.113.0", "203.0.113.255")
    held = ["203.0.112.255", "203.0.113.0", "203.0.113.255", "203.0.114.0", "::cb00:7101"]
    assert [span.holds(address) for address in held] == [False, True, True, False, False]


def test_a_block_is_cleared_of_host_bits() -> None:
    assert network_span("203.0.113.9/24") == Span("203.0.113.0", "203.0.113.255")
    assert network_span("fe80::1%eth0") is None
