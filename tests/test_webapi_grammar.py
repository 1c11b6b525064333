"""The language of `q`: what is read, what is refused and where, and that nothing else happens."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webapi.errors import ParameterError
from webapi.grammar import MAX_CHARACTERS, MAX_DEPTH, MAX_VALUES, parse
from webapi.question import Either, Every, Kind, Match, Node, Not, Value, matches_of, write


def word(text: str, name: str | None = None) -> Match:
    return Match(name, (Value(Kind.WORD, text),))


def phrase(text: str, name: str | None = None) -> Match:
    return Match(name, (Value(Kind.PHRASE, text),))


def prefix(text: str, name: str | None = None) -> Match:
    return Match(name, (Value(Kind.PREFIX, text),))


def words(name: str, *texts: str) -> Match:
    return Match(name, tuple(Value(Kind.WORD, text) for text in texts))


A, B, C = word("a"), word("b"), word("c")

READ: list[tuple[str, str, Node]] = [
    ("one word", "role", word("role")),
    ("all words must match", "a b", Every((A, B))),
    ("AND says the same", "a AND b", Every((A, B))),
    ("a plus says the same", "+a b", Every((A, B))),
    ("a phrase", '"left the company"', phrase("left the company")),
    ("quotes in a phrase", r'"say \"hi\" \\"', phrase(r'say "hi" \\'[:-1])),
    ("a beginning", "creat*", prefix("creat")),
    (
        "an id in short, as tables show it",
        "app 513644f7…",
        Every((word("app"), prefix("513644f7"))),
    ),
    (
        "several of them",
        "actor:513644f7…,a",
        Match("actor", (*prefix("513644f7").values, *A.values)),
    ),
    ("dots behind next to nothing", "a…", word("a…")),
    ("dots within a word", "01a22c59…cc40fd01", word("01a22c59…cc40fd01")),
    ("dots that are meant", r"513644f7\…", word("513644f7…")),
    ("without", "-a", Not(A)),
    ("NOT", "NOT a", Not(A)),
    ("without a phrase", '-"a b"', Not(phrase("a b"))),
    ("without a group", "-(a b)", Not(Every((A, B)))),
    ("without a field", "-actor:ana", Not(word("ana", "actor"))),
    ("either", "a OR b", Either((A, B))),
    ("either, by a bar", "a|b", Either((A, B))),
    ("OR binds less than a blank", "a b OR c", Either((Every((A, B)), C))),
    ("parentheses", "a (b OR c)", Every((A, Either((B, C))))),
    ("parentheses without blanks", "a(b)c", Every((A, B, C))),
    ("or in lower case is a word", "a or", Every((A, word("or")))),
    ("a field", "actor:ana", word("ana", "actor")),
    ("a field of a phrase", 'actor:"Ana Admin"', phrase("Ana Admin", "actor")),
    ("a field of a beginning", "action:member.*", prefix("member.", "action")),
    ("a field of several values", "actor:a,b", words("actor", "a", "b")),
    (
        "commas and quotes",
        'actor:"a, b",c',
        Match("actor", (Value(Kind.PHRASE, "a, b"), *C.values)),
    ),
    ("several values in parentheses", "actor:( a OR b | c )", words("actor", "a", "b", "c")),
    ("a path in context", "context.new.role:admin", word("admin", "context.new.role")),
    ("a block", "ip:203.0.113.0/24", word("203.0.113.0/24", "ip")),
    ("an IPv6 address in a field", "ip:2001:db8::1", word("2001:db8::1", "ip")),
    ("an IPv6 address is no field", "fe80::1", word("fe80::1")),
    ("an IPv6 block is no field", "fd00::/8", word("fd00::/8")),
    ("the beginning of one neither", "fd00:1:*", prefix("fd00:1:")),
    ("a URL is no field", "https://x.org/a", word("https://x.org/a")),
    ("a time of day is no field", "09:30", word("09:30")),
    ("an email", "ana.lopez+x@company.com", word("ana.lopez+x@company.com")),
    ("a word with a hyphen", "foo-bar", word("foo-bar")),
    ("a comma outside of a field", "a,b", word("a,b")),
    ("what says nothing is skipped", "a & b - !", Every((A, B))),
    ("an escaped sign", r"\-a \OR b\*", Every((word("-a"), word("OR"), word("b*")))),
    ("an escaped colon", r"actor\:ana", word("actor:ana")),
    ("an escaped blank", r"a\ b", word("a b")),
    ("another script", "имя 日本", Every((word("имя"), word("日本")))),
    ("an accent of its own", "jose\u0301", word("jose\u0301")),
    ("a blank of another kind", "a\u3000b", Every((A, B))),
    ("as deep as it goes", "(" * MAX_DEPTH + "a" + ")" * MAX_DEPTH, A),
]


@pytest.mark.parametrize(("text", "node"), [pytest.param(t, n, id=i) for i, t, n in READ])
def test_what_is_read(text: str, node: Node) -> None:
    assert parse(text) == node


REFUSED: list[tuple[str, str, int, str]] = [
    ("nothing", "", 0, "letter or digit"),
    ("only signs", "?! -", 0, "letter or digit"),
    ("only a star", "*", 0, "letter or digit"),
    ("a short beginning", "foo a*", 5, "2 letters or digits"),
    ("a short beginning of signs", "foo -_-a*", 8, "2 letters or digits"),
    ("a beginning of nothing", "foo *", 4, "end of a word"),
    ("a star before a word", "foo *bar", 4, "end of a word"),
    ("a star before a word of a field", "actor:*bar", 6, "end of a word"),
    ("any value of a field", "actor:*", 6, "end of a word"),
    ("a star within a word", "ab*cd", 2, "end of a word"),
    ("two stars", "abc**", 3, "end of a word"),
    ("a star behind a phrase", '"ab cd"*', 7, "not a phrase"),
    ("open quotes", 'a "b c', 2, "quotes are never closed"),
    ("quotes within a word", 'ab"cd"', 2, "blank before the quotes"),
    ("a phrase of nothing", 'a "-"', 2, "letter or digit"),
    ("an open parenthesis", "a (b c", 2, "never closed"),
    ("a long phrase", 'a "' + "b " * 25 + '"', 2, "24 words"),
    ("a phrase of a long word", 'a "' + "b" * 301 + '"', 2, "300 characters"),
    ("parentheses in the wrong order", "a) (b", 1, "no ( for this )"),
    ("nothing in parentheses", "a ()", 3, "something to look for"),
    ("nothing behind OR", "a OR", 4, "something to look for"),
    ("nothing before OR", "OR a", 0, "something to look for"),
    ("nothing between two", "a OR | b", 5, "something to look for"),
    ("nothing behind AND", "a AND ", 6, "something to look for"),
    ("nothing behind NOT", "a NOT", 5, "letter or digit"),
    ("without without", "--a", 1, "already excluded"),
    ("NOT NOT", "NOT NOT a", 4, "already excluded"),
    ("a field without a value", "a actor:", 8, "letter or digit"),
    ("a blank before the value", "actor: ana", 6, "letter or digit"),
    ("a comma too many", "actor:a,,b", 8, "letter or digit"),
    ("a word in a list", "actor:(a b)", 9, "between values of `actor`"),
    ("an open list", "actor:(a,b", 6, "never closed"),
    ("a backslash at the end", "ab\\", 2, "nothing follows"),
    ("a null byte", "a\x00b", 1, "control character"),
    ("half of a character", "a\ud800", 1, "control character"),
    ("too deep", "(" * (MAX_DEPTH + 1) + "a", MAX_DEPTH, "parentheses within each other"),
    ("too long", "a" * (MAX_CHARACTERS + 1), MAX_CHARACTERS, "characters, not 1025"),
    ("too many words", "a " * (MAX_VALUES + 1), 2 * MAX_VALUES, "words and values"),
    ("too many values", "id:a" + ",a" * MAX_VALUES, 4 + 2 * MAX_VALUES - 1, "words and values"),
]


@pytest.mark.parametrize(
    ("text", "position", "reason"), [pytest.param(t, p, r, id=i) for i, t, p, r in REFUSED]
)
def test_a_mistake_is_told_at_its_place(text: str, position: int, reason: str) -> None:
    with pytest.raises(ParameterError) as caught:
        parse(text)
    assert (caught.value.position, reason in caught.value.reason) == (position, True), caught.value


PIECES = [*'ab1é🔥 "()|,:*\\-+.&\x00', "OR ", " AND ", "NOT ", "actor:", "日"]
TEXTS = st.text(max_size=1100) | st.lists(st.sampled_from(PIECES), max_size=60).map("".join)


def refused(error: ParameterError, text: str) -> None:
    """See that the place of a mistake is within the text."""
    assert error.position is not None
    assert 0 <= error.position <= len(text)
    assert error.code in {"invalid", "out_of_range"}


def depth(node: Node) -> int:
    if isinstance(node, Match):
        return 1
    return 1 + max(map(depth, (node.part,) if isinstance(node, Not) else node.parts))


@given(TEXTS)
def test_any_text_is_read_or_refused_within_it(text: str) -> None:
    try:
        node = parse(text)
    except ParameterError as error:
        refused(error, text)
        return
    found = matches_of(node)
    assert 1 <= sum(len(match.values) for match in found) <= MAX_VALUES
    assert depth(node) <= 3 * (MAX_DEPTH + 1)
    assert all(0 <= value.position < len(text) for match in found for value in match.values)


NAMES = st.none() | st.sampled_from(["actor", "context.new.role", "Größe"])
VALUES = st.builds(
    Value,
    st.sampled_from(Kind),
    st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=8).map(
        lambda text: f"ab{text}"
    ),
)
MATCHES = st.builds(
    lambda name, values: Match(name, tuple(values) if name else tuple(values[:1])),
    NAMES,
    st.lists(VALUES, min_size=1, max_size=2),
)


def wider(nodes: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    parts = st.lists(nodes, min_size=2, max_size=3).map(tuple)
    without = nodes.filter(lambda node: not isinstance(node, Not)).map(Not)
    return st.builds(Every, parts) | st.builds(Either, parts) | without


@pytest.mark.slow
@given(st.recursive(MATCHES, wider, max_leaves=8))
def test_what_is_written_is_read_as_the_same(node: Node) -> None:
    assert parse(write(node)) == node


@given(TEXTS)
def test_writing_what_was_read_changes_nothing(text: str) -> None:
    try:
        node = parse(text)
        written = write(node)
        again = parse(written)
    except ParameterError as error:
        refused(error, text)
        return
    assert again == node
    assert write(again) == written


@pytest.mark.parametrize(
    "text",
    ["(" * 10_000, "-" * 10_000, "a*" * 5_000, '"' * 10_000, "\\" * 10_000, "NOT " * 250,
     "(a|" * 340,
     "-(" * 510, "a:(" * 340, "." * 1023 + "a", "a" * 1024, "é:" * 512, "&" * 1023 + "a"],
    ids=lambda text: text[:4],
)  # fmt: skip
def test_hostile_texts_take_no_time(text: str) -> None:
    begin = time.thread_time()
    try:
        parse(text)
    except ParameterError as error:
        refused(error, text)
    assert time.thread_time() - begin < 1
