"""Hashes on the way."""

from pathlib import Path

from agent.chain import Links
from agent.chunk import Span
from agent.sources import Sources
from audit_events import open_log
from audit_events.envelope import decode_envelope


def test_hashes_are_verified_across_a_restart_and_a_break_is_found(tmp_path: Path) -> None:
    log = open_log(tmp_path / "x.log", service="s")
    for number in range(6):
        log.info(
            "member.invited", organization_id="o", actor={"type": "system"}, context={"n": number}
        )
    lines = (tmp_path / "x.log").read_bytes().splitlines()
    envelopes = [decode_envelope(line) for line in lines]
    sources = Sources({}, 0.0)
    links = Links(sources)
    assert [links.holds(one, line) for one, line in zip(envelopes[:3], lines, strict=False)] == [
        True
    ] * 3
    one = Span(envelopes[2].source.id, 0, envelopes[2].hash)
    one.last = 2
    sources.settle(one, 0.0, 0)
    restarted = Links(Sources(sources.states(), 0.0))
    assert restarted.holds(envelopes[3], lines[3])
    assert not restarted.holds(envelopes[4], lines[4].replace(b'"n":4', b'"n":5'))
    assert restarted.holds(envelopes[5], lines[5]), "each break is told once"


def test_an_event_whose_predecessor_was_not_read_is_not_accused(tmp_path: Path) -> None:
    log = open_log(tmp_path / "x.log", service="s")
    for _ in range(3):
        log.info("member.invited", organization_id="o", actor={"type": "system"})
    lines = (tmp_path / "x.log").read_bytes().splitlines()
    links = Links(Sources({}, 0.0))
    assert links.holds(decode_envelope(lines[2]), lines[2])
