"""Whatever is altered, removed, repeated or slipped into a source's lines shows."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from audit_events import open_log
from audit_events.canonical import canonical
from audit_events.chain import (
    ChainBreak,
    decode_hash,
    encode_hash,
    follows,
    genesis,
    is_same_event,
    link,
    split_hash,
    verify_chain,
    verify_line,
    verify_run,
)
from audit_events.envelope import decode_envelope
from audit_events.errors import LineError

_TRICKY = 'x","hash":"' + "A" * 43 + '","id":"'


def _write(path: Path, count: int, **fields: Any) -> list[bytes]:
    log = open_log(path, service="members", host="h")
    for number in range(count):
        log.info(
            "member.invited",
            organization_id="org_acme",
            actor={"type": "system"},
            **{"context": {"number": number}, **fields},
        )
    return path.read_bytes().splitlines()


@pytest.fixture
def lines(tmp_path: Path) -> list[bytes]:
    return _write(tmp_path / "audit.jsonl", 6)


def test_the_hash_can_be_recomputed_by_anybody_from_the_rule_alone(lines: list[bytes]) -> None:
    event = msgspec.json.decode(lines[0], type=dict[str, Any])
    digest = genesis(event["source"]["id"])
    for line in lines:
        event = msgspec.json.decode(line, type=dict[str, Any])
        carried = event.pop("hash")
        digest = link(digest, rfc8785.dumps(event))
        assert encode_hash(digest) == carried
        assert decode_hash(carried) == digest


def test_a_hash_has_one_spelling() -> None:
    """43 characters have two bits more than a digest."""
    text = encode_hash(bytes(32))
    with pytest.raises(ValueError, match="canonical"):
        decode_hash(text[:-1] + "B")


def test_an_unharmed_chain_has_no_break(lines: list[bytes]) -> None:
    assert verify_chain(lines) == []


def test_what_the_shipper_appends_is_not_covered(lines: list[bytes]) -> None:
    shipped = [line[:-1] + b',"ingestedAt":"2026-11-23T10:00:00.000000Z"}' for line in lines]
    assert verify_chain(shipped) == []


def test_another_spelling_of_the_same_event_verifies(lines: list[bytes]) -> None:
    pretty = [msgspec.json.format(line, indent=1) for line in lines]
    assert verify_chain(pretty) == []


@pytest.mark.parametrize(
    ("harm", "kind", "seq"),
    [
        pytest.param(lambda ls: ls[:2] + ls[3:], "gap", 3, id="one removed"),
        pytest.param(lambda ls: ls[1:], "gap", 1, id="the first removed"),
        pytest.param(lambda ls: [*ls[:3], ls[2], *ls[3:]], "order", 2, id="one repeated"),
        pytest.param(
            lambda ls: [*ls[:2], ls[2].replace(b"org_acme", b"org_evil"), *ls[3:]],
            "altered",
            2,
            id="one altered",
        ),
    ],
)
def test_harm_shows_once_where_it_was_done(
    lines: list[bytes], harm: Any, kind: str, seq: int
) -> None:
    breaks = verify_chain(harm(lines))
    assert [(found.kind, found.seq) for found in breaks] == [(kind, seq)]


def test_a_forged_hash_shows_at_the_next_event(lines: list[bytes]) -> None:
    """Recomputing the hash of an altered event only moves the break: the next one disagrees."""
    event = msgspec.json.decode(lines[2], type=dict[str, Any])
    event["organizationId"] = "org_evil"
    _, previous = split_hash(lines[1])
    event.pop("hash")
    event["hash"] = encode_hash(link(decode_hash(previous), rfc8785.dumps(event)))
    forged = [*lines[:2], rfc8785.dumps(event), *lines[3:]]
    assert [(found.kind, found.seq) for found in verify_chain(forged)] == [("altered", 3)]


def _hash_in_resource(line: bytes, previous: bytes) -> bytes:
    event = msgspec.json.decode(line, type=dict[str, Any])
    event["actor"] = {"type": "service"}
    event["resource"] = {"a": 1, "id": "r", "type": "app"}
    return _vouched(canonical(event), previous, b'"resource":{"a":1')


def _hash_in_a_context_that_stands_last(line: bytes, previous: bytes) -> bytes:
    event = msgspec.json.decode(line, type=dict[str, Any])
    event["actor"] = {"type": "service"}
    del event["context"]
    last = b',"context":{"number":7,"id":"r"}}'
    return _vouched(canonical(event)[:-1] + last, previous, b'"context":{"number":7')


def _hash_of_another_spelling(line: bytes, previous: bytes) -> bytes:
    forged = _hash_in_resource(line, previous)
    return forged.replace(b',"hash":"', b',"h\\u0061sh":"', 1)


def _vouched(body: bytes, previous: bytes, place: bytes) -> bytes:
    """Put a hash that follows from the rest of a line where the event does not carry it."""
    start = body.index(place) + len(place)
    spelled = encode_hash(link(previous, body)).encode()
    return body[:start] + b',"hash":"' + spelled + b'"' + body[start:]


def _behind_what_the_shipper_appends(line: bytes, _previous: bytes) -> bytes:
    return line[:-1] + b',"ingestedAt":"2026-11-23T10:00:00Z","actor":{"type":"service"}}'


@pytest.mark.parametrize(
    "forge",
    [
        _hash_in_resource,
        _hash_in_a_context_that_stands_last,
        _hash_of_another_spelling,
        _behind_what_the_shipper_appends,
    ],
)
def test_nothing_but_what_an_event_carries_vouches_for_it(
    lines: list[bytes], forge: Callable[[bytes, bytes], bytes]
) -> None:
    """The event is another one, and still carries the hash that the next one follows."""
    carried = [decode_envelope(line).hash for line in lines]
    previous = decode_hash(carried[1])
    forged = forge(lines[2], previous)
    event = msgspec.json.decode(forged, type=dict[str, Any])
    assert (event["actor"], event["hash"]) == ({"type": "service"}, carried[2])
    source_id = decode_envelope(lines[0]).source.id
    told = verify_chain([*lines[:2], forged, *lines[3:]])
    assert told == [ChainBreak(source_id, 2, "altered", 2)]
    assert verify_run(previous, [forged], [carried[2]]) is None
    assert not follows(previous, forged)


def test_sources_may_be_mixed(tmp_path: Path) -> None:
    one = _write(tmp_path / "one", 3)
    two = _write(tmp_path / "two", 3)
    mixed = [line for pair in zip(one, two, strict=True) for line in pair]
    assert verify_chain(mixed) == []


_keys = st.sampled_from(["hash", "id", "ingestedAt", "a"])
_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.just(_TRICKY)


@given(st.dictionaries(_keys, _texts))
def test_context_that_looks_like_the_chain_does_not_confuse_it(context: dict[str, str]) -> None:
    members: dict[str, Any] = {
        "action": "member.invited",
        "context": {"inner": context, **context},
        "id": "x",
        "userAgent": _TRICKY,
    }
    digest = link(genesis("s"), rfc8785.dumps(members))
    line = rfc8785.dumps({**members, "hash": encode_hash(digest)})
    assert split_hash(line) == (rfc8785.dumps(members), encode_hash(digest))
    assert verify_line(genesis("s"), line) == digest
    shipped = line[:-1] + b',"ingestedAt":"2026-11-23T10:00:00.000000Z"}'
    assert verify_line(genesis("s"), shipped) == digest


def test_keys_of_a_newer_version_are_covered_too() -> None:
    members: dict[str, Any] = {"action": "a.b", "id": "x", "zone": {"hash": "no", "id": "y"}}
    digest = link(genesis("s"), rfc8785.dumps(members))
    line = rfc8785.dumps({**members, "hash": encode_hash(digest)})
    assert verify_line(genesis("s"), line) == digest
    assert verify_line(genesis("other"), line) is None


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(b"1e400", id="a number without end"),
        pytest.param(b"NaN", id="none"),
        pytest.param(b"[" * 30 + b"]" * 30, id="deep"),
        pytest.param(b"[" * 2000 + b"]" * 2000, id="without end"),
        pytest.param(rb'"\ud800"', id="no letter"),
    ],
)
@pytest.mark.parametrize("hash_first", [False, True])
def test_what_has_no_canonical_form_follows_nothing_and_raises_nothing(
    lines: list[bytes], value: bytes, *, hash_first: bool
) -> None:
    line = lines[0].replace(b'"success"', b'"success","x":' + value)
    if hash_first:
        member = b'"hash":"%b",' % decode_envelope(lines[0]).hash.encode()
        line = b"{" + member + line.replace(member, b"")[1:]
    assert verify_line(genesis(_source_of(lines[0])), line) is None


def test_one_event_is_the_same_whenever_it_was_ingested_and_nothing_else_is(
    lines: list[bytes],
) -> None:
    line, *others = lines
    stored = line[:-1] + b',"ingestedAt":"2026-03-15T09:31:00.000000Z"}'
    respelled = msgspec.json.encode(dict(reversed(msgspec.json.decode(stored).items())))
    escaped = stored.replace(b"success", rb"\u0073uccess")
    for same in (line, stored, respelled, escaped):
        assert is_same_event(line, same)
        assert is_same_event(same, line)
    for other in (
        *others,
        line.replace(b"success", b"failure"),
        stored[:-1] + b',"result":"denied"}',
        stored[:-1] + b',"added":""}',
        b"{}",
        b"",
    ):
        assert not is_same_event(line, other), other


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"not json", id="no JSON"),
        pytest.param(b'{"id":"x"}', id="no hash"),
        pytest.param(b'{"hash":7}', id="hash not text"),
        pytest.param(b"[]", id="no object"),
    ],
)
def test_a_line_without_a_hash_is_refused_by_reason(line: bytes) -> None:
    with pytest.raises(LineError):
        split_hash(line)


def test_a_hash_that_is_no_digest_breaks_the_chain_and_nothing_else(lines: list[bytes]) -> None:
    _, carried = split_hash(lines[2])
    broken = [*lines[:2], lines[2].replace(carried.encode(), b"-" * 42 + b"B"), *lines[3:]]
    assert verify_chain(broken)[0] == ChainBreak(
        source_id=_source_of(lines[0]), seq=2, kind="altered", expected_seq=2
    )


def _source_of(line: bytes) -> str:
    source: str = msgspec.json.decode(line, type=dict[str, Any])["source"]["id"]
    return source


SOURCE = "00000000-0000-7000-8000-00000000aaaa"


def _chained(notes: list[str]) -> list[bytes]:
    """Events of one source with these notes, as an emitter writes them."""
    previous, lines = genesis(SOURCE), list[bytes]()
    for seq, note in enumerate(notes):
        event: dict[str, object] = {
            "action": "a.b",
            "context": {"note": note},
            "id": SOURCE,
            "organizationId": "o",
            "source": {"id": SOURCE, "seq": seq},
            "timestamp": "2026-11-01T00:00:00.000000Z",
        }
        previous = link(previous, canonical(event))
        lines.append(canonical({**event, "hash": encode_hash(previous)}))
    return lines


@given(st.lists(st.text(max_size=200), min_size=1, max_size=8), st.data())
def test_a_run_verifies_when_and_only_when_each_line_does(
    notes: list[str], data: st.DataObject
) -> None:
    """Also where lines differ much in length, or hold something that looks like a hash."""
    hostile = st.sampled_from(["", ',"hash":"' + "A" * 43 + '","id":"x'])
    lines = _chained([note + data.draw(hostile) for note in notes])
    row = data.draw(st.integers(-1, len(lines) - 1))
    if row >= 0:
        lines[row] = lines[row].replace(b'"note":"', b'"note":"!', 1)
    hashes = [decode_envelope(line).hash for line in lines]
    last = verify_run(genesis(SOURCE), lines, hashes)
    assert last == (None if row >= 0 else decode_hash(hashes[-1]))
