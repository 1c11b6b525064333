"""The end of a log, and what of it says why a node died."""

from pathlib import Path

import pytest

from node import log
from node.layout import Layout


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(tmp_path, tmp_path, tmp_path / "cache", "node-1")
    made.logs.mkdir(parents=True)
    return made


def test_a_complaint_is_of_this_start_and_without_stack_frames(layout: Layout) -> None:
    layout.server_log.write_text("an earlier start\n")
    since = log.size(layout)
    with layout.server_log.open("a") as file:
        file.write(
            "uncaught exception\n\tat org.opensearch.X(X.java:1)\n\t... 6 more\nCaused by: Y\n"
        )
    layout.console_log.write_text("Caused by: Y\nfatal error\n")
    assert log.complaint(layout, since, 20) == "uncaught exception\nCaused by: Y\nfatal error"
    assert log.complaint(layout, since, 1) == "fatal error"


def test_a_log_that_was_rotated_meanwhile_is_read_from_its_beginning(layout: Layout) -> None:
    layout.server_log.write_text("fresh\n")
    assert log.complaint(layout, 10_000, 5) == "fresh"


def test_a_node_that_said_nothing_has_an_empty_complaint(layout: Layout) -> None:
    assert log.complaint(layout, log.size(layout), 5) == ""


def test_the_tail_of_a_long_log_is_read_without_the_rest(layout: Layout) -> None:
    layout.server_log.write_text("x" * 100 + "\n" + "line\n" * 400_000)
    lines = log.tail(layout.server_log)
    assert len(lines) < 400_000
    assert lines[-1] == "line"
