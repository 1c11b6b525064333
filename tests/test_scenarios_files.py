"""Scenarios 9 to 17: files that are rotated, copied, cut and used again, a real agent, a real node.

Where each scenario of the known failures is tried (`test_the_table_is_complete` holds it to that):

     1  killed at random points                   test_scenarios_state
     2  429, 503 for whole requests               test_scenarios_answers
     3  429 for single items                      test_scenarios_answers
     4  poison items, replay                      test_scenarios_answers
     5  blocked index, credentials                test_scenarios_outages, test_indelible_agent
     6  answers lost, cut, garbage                test_scenarios_answers
     7  413                                       test_scenarios_answers
     8  server down for long                      test_scenarios_outages
     9  renamed inside the glob                   test_scenarios_files, test_agent_follow
    10  renamed out of the glob                   test_scenarios_files, test_agent_follow
    11  copytruncate, copies matched              test_scenarios_files, test_agent_follow_content
    12  copytruncate, copies not matched          test_scenarios_files, test_scenarios_integrity
    13  truncated and grown past the old offset   test_scenarios_files, test_agent_follow_content
    14  deleted and recreated                     test_scenarios_files, test_agent_follow
    15  an inode used again while stopped         test_scenarios_files, test_agent_follow
    16  rotated twice and compressed              test_scenarios_files, test_agent_archives
    17  a last line in two halves                 test_scenarios_files, test_agent_follow_content
    18  short, empty and like files               test_scenarios_many_files, test_agent_follow
    19  lines beyond the limit                    test_scenarios_lines, test_agent_follow
    20  odd lines                                 test_scenarios_lines, test_agent_follow
    21  disk full, state read-only                test_scenarios_state, test_agent_pipeline
    22  damaged checkpoints                       test_scenarios_state
    23  no events from the kernel                 test_scenarios_many_files, test_agent_pipeline
    24  thousands of generations                  test_agent_checkpoint_size, test_agent_follow
    25  two agents, SIGTERM, clock, permissions   test_scenarios_processes, test_agent_follow
    26  all of it at once                         test_path_chaos
"""

import gzip
import os
import re
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from audit_events import open_log
from indexer.settings import IndexSettings
from tests.agent_process import AgentHome
from tests.cluster import Cluster
from tests.waiting import wait_until

QUICK = {
    "INDELIBLE_AGENT_POLL_INTERVAL_SECONDS": "0.2",
    "INDELIBLE_AGENT_FLUSH_INTERVAL_SECONDS": "0.05",
}


@pytest.fixture
def home(tmp_path: Path, opensearch: Cluster, index: IndexSettings) -> Iterator[AgentHome]:
    with closing(AgentHome(tmp_path, opensearch, index)) as one:
        yield one


def duplicates(home: AgentHome) -> int:
    """How many lines were sent that were stored already."""
    found = home.status()
    assert found is not None
    return found.totals.duplicates


def await_stored(home: AgentHome) -> None:
    """All that was written so far has come back."""

    def is_there() -> bool:
        found = home.status()
        return found is not None and found.totals.created >= len(home.written)

    wait_until(is_there, lambda: f"all is stored\n{home.said()}")


@pytest.mark.opensearch
def test_renamed_each_second_with_a_glob_that_matches_the_old_names(home: AgentHome) -> None:
    """Scenario 9: nothing lost, and nothing read again."""
    home.start(**QUICK)
    path = home.directory / "app.events"
    for number in range(12):
        home.emit(150)
        path.rename(f"{path}.{number}")
        time.sleep(0.25)
    home.await_settled()
    await_stored(home)
    home.check()
    assert duplicates(home) == 0


@pytest.mark.opensearch
def test_renamed_each_second_with_a_glob_that_does_not_match_the_old_names(
    home: AgentHome,
) -> None:
    """Scenario 10: the open descriptor is read to its end, what is written after the rename too."""
    home.start(**QUICK, INDELIBLE_AGENT_PATHS=f"{home.directory}/app.events")
    path = home.directory / "app.events"
    for number in range(8):
        home.emit(3)
        await_stored(home)
        home.emit(150)
        old = path.rename(home.directory / f"old.{number}")
        # By a writer that has not noticed yet.
        home.emit(2, old.name)
    await_stored(home)
    home.check()
    assert duplicates(home) == 0


@pytest.mark.opensearch
def test_copied_and_truncated_each_second_with_copies_that_match(home: AgentHome) -> None:
    """Scenario 11: the copy is known content, and read on where its original was settled."""
    home.start(**QUICK)
    path = home.directory / "app.events"
    for number in range(8):
        home.emit(100)
        await_stored(home)
        home.emit(50)
        shutil.copyfile(path, f"{path}.{number}")
        os.truncate(path, 0)
        time.sleep(0.25)
    await_stored(home)
    home.check()
    assert duplicates(home) <= 8 * 50, "at most what was under way"


@pytest.mark.opensearch
def test_copied_and_truncated_without_the_copies_what_nobody_could_read_is_told(
    home: AgentHome,
) -> None:
    """Scenario 12: all that was readable is sent; the rest is a gap, never silence."""
    process = home.start(**QUICK)
    path = home.directory / "app.events"
    log = open_log(path, service="s")

    def emit(count: int) -> None:
        for _ in range(count):
            log.info("member.invited", organization_id="o1", actor={"type": "system"})

    for _ in range(3):
        emit(40)
        home.note(path.read_bytes())
        await_stored(home)
        # Nobody looks while these come and go.
        process.send_signal(signal.SIGSTOP)
        emit(5)
        os.truncate(path, 0)
        process.send_signal(signal.SIGCONT)
    emit(10)
    home.note(path.read_bytes())

    def is_told() -> bool:
        found = home.status()
        return found is not None and found.totals.missing_events == 15

    wait_until(is_told, lambda: f"the gaps are told\n{home.said()}")
    wait_until(lambda: home.has_said("gap_detected"), "and logged")
    await_stored(home)
    home.check()


@pytest.mark.opensearch
def test_truncated_and_grown_past_the_old_offset_within_one_look(home: AgentHome) -> None:
    """Scenario 13: running and stopped, each with other content of the same length before it."""
    home.start(INDELIBLE_AGENT_POLL_INTERVAL_SECONDS="0.5")
    path = home.directory / "app.events"
    for _ in range(3):
        home.emit(60)
        await_stored(home)
        os.truncate(path, 0)
        home.emit(61)
        await_stored(home)
    home.close()
    os.truncate(path, 0)
    home.emit(100)
    home.once()
    home.check()


def same_name(path: Path) -> Path:
    return path


def other_name(path: Path) -> Path:
    return path.with_name("other.events")


@pytest.mark.opensearch
@pytest.mark.parametrize("name", [same_name, other_name])
def test_an_inode_that_another_file_has_after_a_restart(
    home: AgentHome, name: Callable[[Path], Path]
) -> None:
    """Scenarios 14 and 15: under the same name and under another, stale state is not applied."""
    path = home.directory / "app.events"
    # Copied, for the logger of this process keeps open what it wrote to.
    home.emit(50, "one")
    shutil.copyfile(home.directory / "one", path)
    home.once()
    inode = path.stat().st_ino
    path.unlink()
    for number in range(5000):
        other = home.directory / f"{number}"
        other.touch()
        if other.stat().st_ino == inode:
            break
    else:
        pytest.skip("this file system does not use inodes again")
    home.emit(80, "two")
    other.write_bytes((home.directory / "two").read_bytes())
    other.rename(name(path))
    home.once()
    home.check()
    assert duplicates(home) == 0


@pytest.mark.opensearch
def test_deleted_and_recreated_while_it_runs(home: AgentHome) -> None:
    """Scenario 14: the tail of the deleted file through its descriptor, the new one from 0."""
    home.start(**QUICK)
    path = home.directory / "app.events"
    for _ in range(6):
        home.emit(5)
        await_stored(home)
        home.emit(100)
        path.unlink()
        home.emit(100)
        await_stored(home)
    home.check()
    assert duplicates(home) == 0


@pytest.mark.opensearch
@pytest.mark.parametrize("glob", ["*.events*", "app.events"])
def test_stopped_appended_rotated_twice_the_second_compressed_started(
    home: AgentHome, glob: str
) -> None:
    """Scenario 16: `.1` is read where the glob shows it, and `.gz` on from its offset always."""
    paths = f"{home.directory}/{glob}"
    path = home.directory / "app.events"
    home.emit(300)
    home.once(INDELIBLE_AGENT_PATHS=paths)
    home.emit(200)
    with gzip.open(f"{path}.2.gz", "wb") as archive:
        archive.write(path.read_bytes())
    path.unlink()
    if glob != path.name:
        home.emit(100)
        path.rename(f"{path}.1")
    home.emit(100)
    home.once(INDELIBLE_AGENT_PATHS=paths)
    home.check()
    assert duplicates(home) == 0


@pytest.mark.opensearch
def test_an_archive_that_is_cut_is_told_and_what_is_whole_of_it_is_sent(home: AgentHome) -> None:
    """Scenario 16: and the agent goes on with everything else."""
    home.emit(500, "old.events")
    old = home.directory / "old.events"
    packed = gzip.compress(old.read_bytes())
    old.unlink()
    archive = home.directory / "old.events.1.gz"
    archive.write_bytes(packed[: len(packed) // 2])
    os.utime(archive, (1, 1))
    home.start(**QUICK, INDELIBLE_AGENT_ROTATED_GRACE_SECONDS="1")
    home.emit(50)
    wait_until(lambda: home.has_said("file_unreadable"), home.said)
    archive.write_bytes(packed)
    await_stored(home)
    home.check(buried=home.buried_ids())


@pytest.mark.opensearch
def test_a_line_in_two_halves_a_while_apart_is_never_torn(home: AgentHome) -> None:
    """Scenario 17: in the middle of a character."""
    home.start(**QUICK)
    source = home.directory / "source"
    open_log(source, service="s").info(
        "member.invited", organization_id="o1", actor={"type": "user", "id": "u", "name": "Zoë"}
    )
    line = source.read_bytes()
    home.note(line)
    middle = line.index("ë".encode()) + 1
    path = home.directory / "app.events"
    path.write_bytes(line[:middle])
    time.sleep(0.8)
    with path.open("ab") as file:
        file.write(line[middle:])
    await_stored(home)
    home.check()
    assert home.buried() == []


def test_the_table_is_complete() -> None:
    """Each scenario has a line, and each file that is named there says that it is its."""
    table = re.findall(r"^ +(\d+)  .*?  +(test_\S.*)$", __doc__ or "", re.MULTILINE)
    assert [int(number) for number, _ in table] == list(range(1, 27))
    for number, names in table:
        for name in names.split(", "):
            text = Path(__file__).with_name(f"{name}.py").read_text()
            said = re.findall(r"Scenarios? ([\d ,toand]+)", text)
            assert any(_includes(one, int(number)) for one in said), (number, name)


def _includes(said: str, number: int) -> bool:
    numbers = [int(one) for one in re.findall(r"\d+", said)]
    is_range = " to " in said and len(numbers) > 1
    return number in (range(numbers[0], numbers[1] + 1) if is_range else numbers)
