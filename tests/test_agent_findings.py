"""However much is wrong, what waits to be told is bounded, and counts every event of it."""

import random

import pytest

from agent.findings import RANGES_LIMIT, SOURCES_LIMIT, Finding, Findings, Range, find, join


@pytest.mark.parametrize(
    ("ranges", "joined"),
    [
        pytest.param([], (), id="none"),
        pytest.param([(1, 2), (3, 4)], ((1, 4),), id="touching"),
        pytest.param([(1, 2), (4, 5)], ((1, 2), (4, 5)), id="apart"),
        pytest.param([(4, 5), (1, 9)], ((1, 9),), id="one within the other"),
        pytest.param([(4, 5), (1, 2), (2, 4)], ((1, 5),), id="chained"),
    ],
)
def test_ranges_are_joined(ranges: list[Range], joined: tuple[Range, ...]) -> None:
    assert join(ranges) == joined


def test_what_is_found_about_one_source_in_one_file_is_told_as_one() -> None:
    findings = Findings()
    for first in (30, 10, 12, 11):
        findings.add(find("gap", "s", (first, first), "/a", 1000 - first))
    findings.add(find("break", "s", (5, 5), "/a", 3))
    findings.add(find("gap", "s", (1, 1), "/b", 3))
    gap, broken, elsewhere = findings
    assert gap == Finding("gap", "s", "/a", 970, 10, 30, 4, ((10, 12), (30, 30)))
    assert (broken.kind, broken.events) == ("break", 1)
    assert elsewhere.path == "/b"


def test_a_million_broken_lines_are_one_finding_that_lists_some() -> None:
    findings = Findings()
    for seq in range(0, 200_000, 2):
        findings.add(find("break", "s", (seq, seq), "/a", seq * 700))
    (finding,) = findings
    assert (finding.events, finding.first, finding.last) == (100_000, 0, 199_998)
    assert len(finding.ranges) == RANGES_LIMIT
    assert finding.unlisted == 100_000 - RANGES_LIMIT
    assert finding.offset == 0


def test_many_sources_are_told_by_file_and_many_files_for_the_host() -> None:
    findings = Findings()
    for number in range(3000):
        findings.add(find("gap", f"s{number}", (0, 9), f"/{number % 1000}", 7))
    assert len(findings) <= 2 * SOURCES_LIMIT + 3
    assert sum(finding.events for finding in findings) == 30_000
    assert sum(finding.sources for finding in findings) == 3000
    kinds = {(bool(one.source_id), bool(one.path)) for one in findings}
    assert kinds == {(True, True), (False, True), (False, False)}
    assert all(not one.ranges for one in findings if not one.source_id)


def test_what_was_recorded_is_dropped_and_what_came_meanwhile_is_not() -> None:
    findings = Findings([find("gap", "s", (1, 1), "/a", 0), find("gap", "t", (1, 1), "/a", 0)])
    findings.drop(list(findings)[:1])
    assert [one.source_id for one in findings] == ["t"]


@pytest.mark.parametrize("seed", range(10))
def test_whatever_comes_in_whatever_order_every_event_is_counted(seed: int) -> None:
    draw = random.Random(seed)  # noqa: S311  # a seed that repeats is the point
    findings, events = Findings(), 0
    for _ in range(2000):
        first = draw.randrange(10**6)
        last = first + draw.randrange(5)
        source, path = f"s{draw.randrange(300)}", f"/{draw.randrange(20)}"
        findings.add(find(draw.choice(["gap", "break", "closed"]), source, (first, last), path, 0))
        events += last - first + 1
        findings = Findings(findings) if draw.random() < 0.01 else findings
    assert sum(finding.events for finding in findings) == events
