"""`indelible lifecycle run` as an operator runs it: once, for good, twice at once, and killed."""

import signal
from collections import Counter
from functools import partial
from pathlib import Path

import msgspec
import pytest
from joserfc.jwk import OKPKey

from indexer.head import check, head_hash
from indexer.settings import IndexSettings
from indexer.signing_key import describe, make
from tests.cluster import Cluster
from tests.lifecycle_process import (
    await_that,
    environ_of,
    logged,
    read_control,
    run,
    running,
)
from tests.lifecycle_world import World

pytestmark = pytest.mark.opensearch


@pytest.fixture
def world(opensearch: Cluster, index: IndexSettings) -> World:
    """A January of long ago: by the clock of today all of it is due."""
    world = World(opensearch, index)
    world.fill()
    return world


@pytest.fixture
def environ(opensearch: Cluster, index: IndexSettings, tmp_path: Path) -> dict[str, str]:
    return environ_of(opensearch, index, tmp_path)


def have_key(environ: dict[str, str], directory: Path) -> tuple[OKPKey, Path]:
    """Have it sign from now on; returns the key, and where heads are kept."""
    environ["INDELIBLE_LIFECYCLE_SIGNING_KEY_FILE"] = str(directory / "key.pem")
    environ["INDELIBLE_LIFECYCLE_HEADS_FILE"] = str(directory / "heads")
    return make(directory / "key.pem"), directory / "heads"


def has_heads(world: World, count: int) -> bool:
    return len(world.heads()) >= count


def control_holder(world: World) -> str:
    return read_control(world.cluster, world.index).holder


def test_once_takes_all_that_is_due_and_says_so(world: World, environ: dict[str, str]) -> None:
    dry = run(environ, "lifecycle", "run", "--dry-run", "--json")
    (row,) = msgspec.json.decode(dry.stdout)["partitions"]
    assert (row["name"], row["nextStep"]) == (world.partition, "block")
    assert world.exists(world.partition)

    done = run(environ, "lifecycle", "run", "--once", "--json")
    assert done.returncode == 0, done.stderr
    report = msgspec.json.decode(done.stdout)
    assert [one["step"] for one in report["taken"]] == ["block", "merge", "record seal", "delete"]
    assert report["partitions"] == []
    assert not world.exists(world.partition)

    again = run(environ, "lifecycle", "run", "--once")
    assert again.returncode == 0
    assert "no partition yet" in again.stdout


@pytest.mark.secured
def test_without_the_certificate_it_says_what_is_missing_and_ends_with_1(
    world: World, environ: dict[str, str], tmp_path: Path
) -> None:
    for name in ("CERT", "KEY"):
        del environ[f"INDELIBLE_LIFECYCLE_ADMIN_{name}_FILE"]
    done = run(environ, "lifecycle", "run", "--once")
    assert done.returncode == 1
    assert f"error: {world.partition}: delete: " in done.stderr
    assert "next: set INDELIBLE_LIFECYCLE_ADMIN_CERT_FILE" in done.stderr
    assert f"done: {world.partition}: record seal" in done.stdout
    broken = tmp_path / "broken.pem"
    broken.write_text("no certificate")
    unusable = {"INDELIBLE_LIFECYCLE_ADMIN_CERT_FILE": str(broken)}
    done = run({**environ, **unusable}, "lifecycle", "run", "--once", "--json")
    assert done.returncode == 1
    (problem,) = msgspec.json.decode(done.stdout)["problems"]
    assert problem["isBlocked"]
    assert "broken.pem" in problem["what"]
    assert world.exists(world.partition)


@pytest.mark.secured
def test_a_certificate_that_will_not_do_is_told_before_anything_is_due(
    environ: dict[str, str], tmp_path: Path
) -> None:
    none = {name: value for name, value in environ.items() if "_ADMIN_" not in name}
    for option in ("--once", "--dry-run"):
        done = run(none, "lifecycle", "run", option)
        assert done.returncode == 0
        assert "warning: immutable_indices covers the partitions" in done.stderr
        assert "next: set INDELIBLE_LIFECYCLE_ADMIN_CERT_FILE" in done.stderr
    good = run(environ, "lifecycle", "run", "--once")
    assert (good.returncode, "warning" in good.stderr) == (0, False)
    log = tmp_path / "log"
    with running(none, log) as process:
        await_that(lambda: any(one["event"] == "lifecycle_round_done" for one in logged(log)))
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    (told,) = [one for one in logged(log) if one["event"] == "deletion_blocked"]
    assert "INDELIBLE_LIFECYCLE_ADMIN_CERT_FILE" in str(told["hint"])


def test_a_certificate_file_that_is_not_there_is_a_wrong_setting(tmp_path: Path) -> None:
    path = str(tmp_path / "none.pem")
    variable = "INDELIBLE_LIFECYCLE_ADMIN_CERT_FILE"
    environ = {"INDELIBLE_OPENSEARCH_URL": "http://127.0.0.1:1", variable: path}
    done = run(environ, "lifecycle", "run", "--once")
    assert done.returncode == 2
    assert f"error: {variable}" in done.stderr
    assert path in done.stderr


def test_a_key_that_cannot_be_had_is_a_wrong_setting_and_nothing_is_sealed_unsigned(
    world: World, environ: dict[str, str], tmp_path: Path
) -> None:
    variable = "INDELIBLE_LIFECYCLE_SIGNING_KEY_FILE"
    none, public = tmp_path / "none.pem", tmp_path / "public.json"
    public.write_text(describe(make(tmp_path / "key.pem")))
    (tmp_path / "key.pem").chmod(0o644)
    heads = {"INDELIBLE_LIFECYCLE_HEADS_FILE": str(tmp_path / "heads")}
    for wrong, words in (
        ({variable: str(none)}, f"the key {none} cannot be read: No such file"),
        ({variable: str(public)}, f"{public} has a public key, which signs nothing"),
        ({variable: str(tmp_path)}, "cannot be read"),
        ({variable: str(tmp_path / "key.pem")}, f": chmod 600 {tmp_path / 'key.pem'}; "),
        (heads, "needed where heads_file is set"),
    ):
        for option in ("--once", "--dry-run"):
            done = run({**environ, **wrong}, "lifecycle", "run", option)
            assert done.returncode == 2
            assert f"error: {variable} (lifecycle.signing_key_file): " in done.stderr
            assert words in done.stderr
    assert world.told() == []


def test_a_head_is_logged_and_kept_by_the_process_that_seals(
    world: World, environ: dict[str, str], tmp_path: Path
) -> None:
    key, heads = have_key(environ, tmp_path)
    done = run(environ, "lifecycle", "run", "--once")
    assert done.returncode == 0, done.stderr
    logs = [msgspec.json.decode(line) for line in done.stderr.splitlines()]
    (told,) = [one for one in logs if one["event"] == "partition_head_signed"]
    assert check(told["head"], [key]).partition == told["partition"] == world.partition
    assert heads.read_text() == told["head"] + "\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(["--json"], "give one of them", id="json of what has no end"),
        pytest.param(["--accept-journal"], "give --once", id="a new journal, for good"),
        pytest.param(
            ["--once", "--dry-run", "--accept-journal"], "give --once alone", id="only looking"
        ),
    ],
)
def test_options_that_make_no_sense_are_refused(arguments: list[str], words: str) -> None:
    done = run({}, "lifecycle", "run", *arguments)
    assert done.returncode == 2
    assert words in done.stderr


@pytest.mark.slow
def test_whoever_is_killed_is_followed_and_nothing_is_done_twice(
    world: World, environ: dict[str, str], tmp_path: Path
) -> None:
    """The leader is frozen in its round, the other one waits; then it is killed hard."""
    first_log, second_log = tmp_path / "first.log", tmp_path / "second.log"
    with running(environ, first_log) as first:
        await_that(lambda: f"/{first.pid}/" in control_holder(world))
        first.send_signal(signal.SIGSTOP)
        held = control_holder(world)
        with running(environ, second_log) as second:
            if f"/{first.pid}/" in held:
                once = run(environ, "lifecycle", "run", "--dry-run", "--json")
                assert once.returncode == 0
            first.kill()
            first.wait()
            await_that(lambda: not world.exists(world.partition))
            await_that(lambda: len(world.told()) == 4)
            # The first may have been frozen behind its last step, with nothing left but its lease.
            await_that(lambda: f"/{first.pid}/" not in control_holder(world))
            second.send_signal(signal.SIGTERM)
            assert second.wait(60) == 0
    assert control_holder(world) == ""
    told = Counter(action for action, _, _ in world.told())
    assert told == {"partition_sealed": 1, "partition_deleted": 3}
    steps = [
        (entry["partition"], entry["step"])
        for log in (first_log, second_log)
        for entry in logged(log)
        if entry["event"] == "lifecycle_step_taken"
    ]
    assert len(steps) == len(set(steps))


@pytest.mark.slow
def test_heads_are_one_row_and_all_of_them_kept_however_often_who_signs_is_killed(
    world: World, environ: dict[str, str], tmp_path: Path
) -> None:
    """Each process is killed hard as soon as the next head is in the journal."""
    key, heads = have_key(environ, tmp_path)
    environ["INDELIBLE_INDEX_RETENTION_DAYS"] = "36500"
    for month in ("02", "03", "04", "05"):
        world.store(f"2024-{month}-10T00:00:00.000000Z")
    for number in range(1, 5):
        with running(environ, tmp_path / f"{number}.log") as process:
            await_that(partial(has_heads, world, number))
            process.kill()
            process.wait()
    done = run(environ, "lifecycle", "run", "--once")
    assert done.returncode == 0, done.stderr
    signed = world.heads()
    row = sorted((check(one, [key]) for one in signed), key=lambda head: head.number)
    assert [head.number for head in row] == [1, 2, 3, 4, 5]
    by_number = sorted(signed, key=lambda one: check(one, [key]).number)
    assert [head.previous for head in row] == [None, *map(head_hash, by_number[:-1])]
    assert len({head.partition for head in row}) == 5
    assert heads.read_text().splitlines() == by_number


@pytest.mark.slow
def test_of_two_at_once_each_step_is_taken_by_one(
    world: World, environ: dict[str, str], tmp_path: Path
) -> None:
    _, heads = have_key(environ, tmp_path)
    logs = [tmp_path / "first.log", tmp_path / "second.log"]
    with running(environ, logs[0]) as first, running(environ, logs[1]) as second:
        await_that(lambda: len(world.told()) == 4)
        for process in (first, second):
            process.send_signal(signal.SIGTERM)
        assert [process.wait(60) for process in (first, second)] == [0, 0]
    taken = [
        entry["step"]
        for log in logs
        for entry in logged(log)
        if entry["event"] == "lifecycle_step_taken"
    ]
    assert sorted(map(str, taken)) == ["block", "delete", "merge", "record seal"]
    assert not [entry for log in logs for entry in logged(log) if entry["level"] == "error"]
    assert heads.read_text().splitlines() == world.heads()


@pytest.mark.slow
def test_a_cluster_that_is_away_does_not_end_it(environ: dict[str, str], tmp_path: Path) -> None:
    log = tmp_path / "log"
    away = {**environ, "INDELIBLE_OPENSEARCH_URL": "https://127.0.0.1:1"}

    def failures() -> list[dict[str, object]]:
        return [one for one in logged(log) if one["event"] == "lifecycle_round_failed"]

    with running(away, log) as process:
        await_that(lambda: len(failures()) >= 2)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    assert "INDELIBLE_OPENSEARCH_URL" in str(failures()[0]["hint"])
