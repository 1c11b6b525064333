"""Shipping lines once: start a process on an empty directory, show it the files, wait, end it."""

import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.corpus import Corpus, write_corpus
from bench.null_sink import NullSink, Options, null_sink
from bench.processes import Command, Measured, ProcessError, Usage

QUIET_FILES: Final = 200
CHECKED_EVENTS: Final = 10_000
LOOK_SECONDS: Final = 0.05
SHIP_SECONDS: Final = 300
AGAIN_SECONDS: Final = 2
SETTLE_SECONDS: Final = 3
"""After the last line was received; what is saved then is no idling."""


@dataclass(frozen=True, slots=True)
class Row:
    """One way to ship the lines."""

    name: str
    command: Callable[[Path, int], Command]
    """For a directory to work in (`logs/*.log` there), and the port of the sink."""
    spread: bool = False
    remembers: bool = True
    """Started again, it knows what it has sent."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What shipping the lines took."""

    events: int
    rate: float
    usage: Usage
    sink_cpu_seconds: float

    @property
    def cpu_us(self) -> float:
        """Microseconds an event."""
        return self.usage.cpu_seconds / self.events * 1e6


def agent_command(work: Path, port: int, settings: Mapping[str, str] | None = None) -> Command:
    """The agent as it is installed, on `logs/` of a directory."""
    return Command(
        [sys.executable, "-m", "indelible", "agent"],
        {
            "INDELIBLE_HOME": str(work / "home"),
            "INDELIBLE_AGENT_PATHS": str(work / "logs" / "*.log"),
            "INDELIBLE_OPENSEARCH_URL": f"http://127.0.0.1:{port}",
            **(settings or {}),
        },
    )


def ship(row: Row, corpus: Corpus, sink: NullSink, *, again: bool = False) -> Cost:
    """Ship the corpus once; with `again`, start once more, which must send nothing.

    Raises:
        ProcessError: the process failed, or the sink has not exactly what was in the files.
    """
    sink.reset()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        (work / "logs").mkdir()
        process = Measured(row.command(work, sink.port), work / "output")
        try:
            process.await_quiet()
            sink_before = sink.cpu_seconds()
            process.mark()
            show(corpus.spread if row.spread else (corpus.merged,), work / "logs")
            _await_events(process, sink, corpus.events)
            usage = process.end()
        finally:
            process.kill()
        if again and row.remembers:
            _start_again(Measured(row.command(work, sink.port), work / "output"))
        tally = sink.tally()
        if tally.events != corpus.events:
            raise process.error(f"sent {tally.events} lines of {corpus.events}")
        return Cost(corpus.events, tally.rate, usage, sink.cpu_seconds() - sink_before)


def _start_again(process: Measured) -> None:
    try:
        process.await_quiet()
        time.sleep(AGAIN_SECONDS)
        process.end()
    finally:
        process.kill()


def show(files: Sequence[Path], directory: Path) -> None:
    """Let files appear in a directory at once, whole."""
    for file in files:
        os.link(file, directory / file.name)


def _await_events(process: Measured, sink: NullSink, events: int) -> None:
    deadline = time.monotonic() + SHIP_SECONDS
    while (received := sink.tally().events) < events:
        process.check()
        if time.monotonic() > deadline:
            raise process.error(f"sent {received} lines of {events} in {SHIP_SECONDS} s")
        time.sleep(LOOK_SECONDS)


def check(found: Sequence[Row], directory: Path, *, again: bool) -> None:
    """Let each ship a few lines to a sink that keeps their hashes; with `again`, see `ship`."""
    corpus = write_corpus(directory, CHECKED_EVENTS)
    with null_sink(Options(distinct=True)) as sink:
        for row in found:
            ship(row, corpus, sink, again=again)
            distinct = sink.tally().distinct
            if distinct != corpus.events:
                raise ProcessError(f"{row.name}: {distinct} distinct lines of {corpus.events}")


@dataclass(frozen=True, slots=True)
class Idle:
    """What it takes to do nothing, and what `bench/quiet_loop.py` took in the same seconds."""

    core_percent: float
    resident_megabytes: float
    loop_core_percent: float


def idle(sink: NullSink, seconds: float) -> Idle:
    """Let the agent ship a few lines from each of many files; then watch it."""
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        corpus = write_corpus(work / "corpus", QUIET_FILES * 10, files=QUIET_FILES)
        (work / "logs").mkdir()
        sink.reset()
        process = Measured(agent_command(work, sink.port), work / "output")
        loop = Measured(_quiet_loop(work / "logs"), work / "loop_output")
        try:
            show(corpus.spread, work / "logs")
            _await_events(process, sink, corpus.events)
            time.sleep(SETTLE_SECONDS)
            before, start = (process.cpu_seconds(), loop.cpu_seconds()), time.monotonic()
            time.sleep(seconds)
            after, passed = (process.cpu_seconds(), loop.cpu_seconds()), time.monotonic() - start
            share, loop_share = ((b - a) / passed * 100 for a, b in zip(before, after, strict=True))
            return Idle(share, process.resident_megabytes(), loop_share)
        finally:
            process.kill()
            loop.kill()


def _quiet_loop(directory: Path) -> Command:
    code = "from bench.quiet_loop import main; main()"
    return Command([sys.executable, "-c", code, str(directory)])
