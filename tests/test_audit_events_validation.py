"""A line is what the format says: the code, the schema, and what no schema can say."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from audit_events import open_log
from audit_events.canonical import canonical
from audit_events.chain import encode_hash, genesis, link
from audit_events.open_gaps import OpenGaps
from audit_events.validation import SOURCES_LIMIT, Chains, Flaw, check_line

SCHEMA: dict[str, Any] = msgspec.json.decode(
    (Path(__file__).parent.parent / "docs" / "event.schema.json").read_bytes(),
    type=dict[str, Any],
)
VALIDATOR = jsonschema.Draft202012Validator(
    SCHEMA, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
)
EVENT: dict[str, Any] = {
    "id": "019cf0d4-be3b-7750-a81e-97da61c87aa0",
    "timestamp": "2026-03-15T09:30:00.123456Z",
    "organizationId": "org_acme",
    "action": "member.role_changed",
    "actor": {"type": "user", "id": "u", "email": "a@b.c", "name": "A", "onBehalfOf": "x"},
    "targetUser": {"id": "t", "email": "t@b.c", "name": "T"},
    "resource": {"type": "app", "id": "r", "name": "R"},
    "ipAddress": "192.0.2.1",
    "userAgent": "curl",
    "context": {"new": {"role": "admin"}},
    "result": "success",
    "correlationId": "c",
    "source": {"id": "01a209bf-4543-70d7-aa30-f320c8494f5f", "seq": 0, "service": "s", "host": "h"},
    "hash": "SLAXbD6HncJcmJ8phaniMVPgf_5lUpWowBLOSVCGof8",
    "schemaVersion": 1,
    "ingestedAt": "2026-03-15T09:30:01.000000Z",
}
PATHS = [
    *((key,) for key in EVENT),
    *((key, name) for key, value in EVENT.items() if isinstance(value, dict) for name in value),
    ("extra",),
    ("actor", "extra"),
    ("source", "extra"),
    ("resource", "extra"),
    ("targetUser", "extra"),
]
NEAR = st.one_of(
    st.sampled_from(
        [
            *(None, True, 0, 1, 2, -1, 0.5, 2**53 - 1, 2**53, "", "x", "_x", "_system", [], {}),
            *("user", "api_key", "root", "success", "ok", "denied", "a.b", "A.b", "a.b.c", "a."),
            *("::1", "::1%eth0", "1.2.3.4:80", "01.2.3.4", "::ffff:1.2.3.4", "256.1.1.1"),
            *("2026-02-30T09:30:00.123456Z", "2026-03-15T09:30:00Z", "2026-13-15T09:30:00.123456Z"),
            *("x" * 256, "a." + "b" * 254, "a." + "b" * 255, "x" * 1024, "x" * 1025, "x" * 2049),
            *(EVENT["id"].upper(), EVENT["id"] + "0", EVENT["hash"][1:], EVENT["hash"] + "="),
            *({"type": "user"}, {"type": "x", "id": "y"}, {"id": "y"}, {"seq": 0}, ["x"], [None]),
        ]
    ),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=3),
    st.integers(-(2**53) + 1, 2**53 - 1),
    st.ip_addresses().map(str),
)
Change = tuple[tuple[str, ...], object]
REMOVED = object()
ODD: tuple[object, ...] = (None, 5, "", [], {}, "\n")


def changed(changes: list[Change]) -> dict[str, Any]:
    document = copy.deepcopy(EVENT)
    for path, value in changes:
        inner: Any = document
        for step in path[:-1]:
            inner = inner.get(step) if isinstance(inner, dict) else None
        if not isinstance(inner, dict):
            continue
        if value is REMOVED:
            inner.pop(path[-1], None)
        else:
            inner[path[-1]] = value
    return document


def line_of(document: dict[str, Any]) -> bytes:
    """Return the line as an emitter and the agent would write it."""
    ingested = document.get("ingestedAt")
    line = canonical({key: value for key, value in document.items() if key != "ingestedAt"})
    if "ingestedAt" not in document:
        return line
    return line[:-1] + b',"ingestedAt":' + canonical(ingested) + b"}"


def errors(line: bytes) -> list[Flaw]:
    return [flaw for flaw in check_line(line) if not flaw.is_warning]


@pytest.mark.slow
@settings(max_examples=400)
@given(st.lists(st.tuples(st.sampled_from(PATHS), NEAR | st.just(REMOVED)), max_size=2))
@example([])
@example([(("ingestedAt",), "2026-03-15")])
def test_code_and_schema_refuse_the_same_documents(changes: list[Change]) -> None:
    document = changed(changes)
    assert VALIDATOR.is_valid(document) == (errors(line_of(document)) == [])


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "value",
    [pytest.param(REMOVED, id="removed"), *(pytest.param(one, id=repr(one)) for one in ODD)],
)
def test_code_and_schema_refuse_the_same_of_each_key(path: tuple[str, ...], value: object) -> None:
    document = changed([(path, value)])
    assert VALIDATOR.is_valid(document) == (errors(line_of(document)) == [])


def nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels):
        value = {"a": value}
    return value


def edited(edit: Callable[[bytes], bytes]) -> bytes:
    return edit(line_of(EVENT))


@pytest.mark.parametrize(
    ("line", "kind", "path"),
    [
        pytest.param(b"", "json", "", id="nothing"),
        pytest.param(b"hello", "json", "", id="no JSON"),
        pytest.param(b"[]", "shape", "", id="no object"),
        pytest.param(b"\xff", "json", "", id="no UTF-8"),
        pytest.param(b'{"a":' * 100_000, "canonical", "", id="nested without end"),
        pytest.param(edited(lambda line: line[:100]), "torn", "", id="torn"),
        pytest.param('{"a":"ü'.encode()[:-1], "torn", "", id="torn inside a character"),
        pytest.param(edited(lambda line: b"\xef\xbb\xbf" + line), "json", "", id="byte order mark"),
        pytest.param(edited(lambda line: line + b"\r"), "canonical", "", id="carriage return"),
        pytest.param(edited(lambda line: b" " + line), "canonical", "", id="space before"),
        pytest.param(
            edited(lambda line: line.replace(b":0,", b": 0,")), "canonical", "", id="space inside"
        ),
        pytest.param(
            edited(lambda line: line.replace(b"admin", b"\\u0061dmin")),
            "canonical",
            "",
            id="needless escape",
        ),
        pytest.param(
            edited(lambda line: line.replace(b'{"role"', b'{"n":1.0,"role"')),
            "canonical",
            "",
            id="float of an integer",
        ),
        pytest.param(
            edited(lambda line: line.replace(b'{"role"', b'{"n":9007199254740993,"role"')),
            "canonical",
            "",
            id="integer that no double is",
        ),
        pytest.param(
            edited(lambda line: line.replace(b'{"role"', b'{"role":1,"role"')),
            "canonical",
            "",
            id="key twice",
        ),
        pytest.param(
            edited(
                lambda line: line.replace(b'{"role"', '{"\ufb33":1,"\U0001f600":1,"role"'.encode())
            ),
            "canonical",
            "",
            id="keys by code point",
        ),
        pytest.param(
            edited(lambda line: line.replace(b'"admin"', b'"\\ud800"')),
            "json",
            "",
            id="half of a surrogate pair",
        ),
        pytest.param(
            line_of({**EVENT, "context": {"a": "x" * 32_760}}), "size", "context.a", id="long value"
        ),
        pytest.param(
            line_of({**EVENT, "context": {"k" * 3000: [0] * 900}}), "size", "context", id="terms"
        ),
    ],
)
def test_what_no_schema_can_say(line: bytes, kind: str, path: str) -> None:
    found = check_line(line)
    assert [(flaw.kind, flaw.path) for flaw in found] == [(kind, path)]
    assert found[0].problem


def test_a_context_is_as_deep_as_the_emitter_lets_it_be() -> None:
    deepest = line_of({**EVENT, "context": nested(19)}).replace(b"{}", b'{"a":{}}')
    assert errors(deepest) == []
    deep = deepest.replace(b"{}", b'{"a":{}}')
    assert [(flaw.kind, flaw.path[:11]) for flaw in errors(deep)] == [("canonical", "context.a.a")]


def test_doubles_beyond_the_exact_integers_are_numbers_of_the_format() -> None:
    line = edited(lambda line: line.replace(b'{"role"', b'{"n":100000000000000000000,"role"'))
    assert errors(line) == []


def test_where_a_line_is_not_canonical_is_shown() -> None:
    line = edited(lambda line: line.replace(b'"admin"', b'"\\u0061"'))
    place = line.index(b"\\u0061")
    problem = check_line(line)[0].problem
    assert f"at byte {place} " in problem
    assert "`\\u0061" in problem
    assert '`a"' in problem


def chain_of(count: int, source_id: str = EVENT["source"]["id"]) -> list[bytes]:
    previous, lines = genesis(source_id), []
    for seq in range(count):
        source = {**EVENT["source"], "id": source_id, "seq": seq}
        event = {**EVENT, "id": f"{source_id[:-4]}{seq:04x}", "source": source}
        del event["hash"], event["ingestedAt"]
        previous = link(previous, canonical(event))
        lines.append(canonical({**event, "hash": encode_hash(previous)}))
    return lines


LINES = chain_of(6)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        pytest.param(LINES, [], id="whole"),
        pytest.param(LINES[2:], [("beginning", True)], id="rotated: begins later"),
        pytest.param([*LINES[:2], *LINES[3:]], [("gap", False)], id="one is missing"),
        pytest.param([LINES[0], *LINES], [("order", False)], id="one twice"),
        pytest.param([LINES[1], LINES[0]], [("beginning", True), ("order", False)], id="swapped"),
        pytest.param(
            [LINES[0], LINES[1].replace(b"admin", b"owner"), *LINES[2:]],
            [("altered", False)],
            id="altered, told once",
        ),
        pytest.param([LINES[0].replace(b"admin", b"owner")], [("altered", False)], id="first"),
    ],
)
def test_the_chain_of_a_source(lines: list[bytes], expected: list[tuple[str, bool]]) -> None:
    chains = Chains()
    found = [flaw for line in lines for flaw in chains.check(line)[1]]
    assert [(flaw.kind, flaw.is_warning) for flaw in found] == expected
    assert chains.sources == 1


@pytest.mark.parametrize(
    ("order", "kinds", "missing"),
    [
        pytest.param([0, 1, 3, 4, 5, 2], ["late"], [], id="one"),
        pytest.param([0, 4, 5, 1, 2, 3], ["late"] * 3, [], id="several"),
        pytest.param([0, 4, 2, 3, 1, 5], ["late"] * 3, [], id="in no order"),
        pytest.param([0, 5, 3, 2], ["late"] * 2, ["1", "4"], id="some"),
        pytest.param([0, 3, 2, 1, 2], ["late", "late", "order"], [], id="one of them twice"),
        pytest.param([0, 2, 5, 1, 4, 3], ["late"] * 3, [], id="two gaps"),
        pytest.param([5, 4, 3], ["beginning", "order", "order"], [], id="an export, cut off"),
    ],
)
def test_a_line_that_stands_late_fills_the_gap_that_it_left(
    order: list[int], kinds: list[str], missing: list[str]
) -> None:
    """An event that could not be written keeps its place, and somebody appends it later."""
    chains = Chains(gaps=OpenGaps())
    found = [flaw for at in order for flaw in chains.check(LINES[at], at)[1]]
    assert [flaw.kind for flaw in found] == kinds
    assert [flaw.kind for flaw in found if flaw.is_warning] == [
        kind for kind in kinds if kind != "order"
    ]
    rest = chains.missing()
    assert [flaw.problem.split()[1] for _, flaw in rest] == missing
    assert [place for place, _ in rest] == [int(one) + 1 for one in missing]
    assert all((flaw.kind, flaw.is_warning) == ("gap", False) for _, flaw in rest)


@pytest.mark.parametrize(
    ("order", "altered"),
    [([0, 1, 3, 2], 2), ([0, 1, 3, 2], 3), ([0, 4, 3, 1, 2], 3), ([0, 4, 1, 2, 3], 1)],
)
def test_a_late_line_that_fits_not_is_altered(order: list[int], altered: int) -> None:
    chains = Chains(gaps=OpenGaps())
    lines = [*LINES]
    lines[altered] = lines[altered].replace(b"admin", b"owner")
    found = [flaw.kind for at in order for flaw in chains.check(lines[at])[1]]
    assert "altered" in found
    assert chains.missing() == []


def test_memory_for_gaps_is_bounded() -> None:
    chains = Chains(gaps=OpenGaps(lines_bytes=len(LINES[2])))
    found = [flaw.kind for at in (0, 2, 4) for flaw in chains.check(LINES[at], at)[1]]
    assert (found, len(chains.missing())) == (["gap"], 1)


def test_where_files_are_whole_a_late_beginning_is_a_gap() -> None:
    assert [flaw.kind for flaw in Chains(is_whole=True).check(LINES[2])[1]] == ["gap"]


def test_what_is_no_event_is_in_no_chain() -> None:
    assert Chains().check(b"{}") == (None, [])


def test_memory_for_sources_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    assert SOURCES_LIMIT > 4096
    monkeypatch.setattr("audit_events.validation.SOURCES_LIMIT", 2)
    chains = Chains()
    for at in range(4):
        chains.check(chain_of(1, f"01a209bf-4543-70d7-aa30-f320c849000{at}")[0])
    assert (chains.sources, chains.forgotten) == (4, 2)


_text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_text, inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.slow
@settings(max_examples=150)
@given(st.lists(st.dictionaries(_text, _json, max_size=4), min_size=1, max_size=3))
def test_whatever_is_emitted_is_valid(
    tmp_path_factory: pytest.TempPathFactory, contexts: list[dict[str, Any]]
) -> None:
    path = tmp_path_factory.mktemp("emitted") / "audit.jsonl"
    log = open_log(path, service="s", host="h")
    for context in contexts:
        log.info("a.b", organization_id="o", actor={"type": "user"}, context=context)
    chains = Chains(is_whole=True)
    lines = path.read_bytes().splitlines()
    assert len(lines) == len(contexts)
    for line in lines:
        VALIDATOR.validate(msgspec.json.decode(line))
        assert [*check_line(line), *chains.check(line)[1]] == []
