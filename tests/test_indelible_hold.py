"""`indelible hold` as an operator uses it: what is kept, what was too late, and the way back."""

import getpass
from pathlib import Path

import msgspec
import pytest

from indelible import hold
from indexer.errors import HoldError, NoAnswerError
from indexer.journal import Journal
from indexer.settings import IndexSettings
from tests.cluster import Cluster
from tests.ism_stand_in import Job, ism_plugin
from tests.lifecycle_process import environ_of, run, run_here
from tests.lifecycle_world import World

JANUARY = ("--organization", "org_2", "--from", "2024-01-10", "--until", "2024-01-11")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(
            ("--organization", "_system", "--from", "2024-01-10", "--reason", "r"),
            "not an organisation",
            id="the log itself",
        ),
        pytest.param(
            ("--organization", "o", "--from", "2024-01-10", "--until", "2024-01-10"),
            "Missing option '--reason'",
            id="no reason",
        ),
        pytest.param(
            (*JANUARY[:4], "--until", "2024-01-10", "--reason", "r"),
            "the window is empty",
            id="an empty window",
        ),
        pytest.param(
            ("--organization", "o" * 1025, "--from", "2024-01-10", "--reason", "r"),
            "too long",
            id="an organisation that no event can name",
        ),
        pytest.param((*JANUARY, "--reason", " "), "say why", id="an empty reason"),
        pytest.param((*JANUARY, "--reason", "r" * 2001), "at most 2000", id="a reason like a book"),
        pytest.param(
            (*JANUARY[:2], "--from", "yesterday", "--reason", "r"), "RFC 3339", id="no instant"
        ),
    ],
)
def test_a_hold_that_is_none_is_refused(arguments: tuple[str, ...], words: str) -> None:
    done = run_here({}, "hold", "add", *arguments)
    assert done.exit_code == 2
    assert words in done.output


def test_a_user_without_a_name_is_asked_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 54321")

    monkeypatch.setattr(getpass, "getuser", nobody)
    done = run_here({}, "hold", "add", *JANUARY, "--reason", "r")
    assert done.exit_code == 2
    assert "--by" in done.output


@pytest.fixture
def world(opensearch: Cluster, index: IndexSettings) -> World:
    world = World(opensearch, index)
    world.fill()
    return world


@pytest.fixture
def environ(opensearch: Cluster, index: IndexSettings, tmp_path: Path) -> dict[str, str]:
    return environ_of(opensearch, index, tmp_path)


@pytest.mark.opensearch
def test_a_hold_says_what_it_keeps_and_who_placed_it(world: World, environ: dict[str, str]) -> None:
    assert "no active hold" in run_here(environ, "hold", "list").output
    placed = run_here(environ, "hold", "add", *JANUARY, "--reason", "case [7]")
    assert placed.exit_code == 0, placed.output
    assert f"keeps {world.partition}\n" in placed.output
    (one,) = msgspec.json.decode(run_here(environ, "hold", "list", "--json").output)["holds"]
    assert one["placedBy"] == getpass.getuser()
    assert one["keeps"] == [world.partition]
    assert one["until"] == "2024-01-11T00:00:00.000000Z"
    table = run_here(environ, "hold", "list").output
    assert one["id"] in table
    assert "case [7]" in table


@pytest.mark.opensearch
@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_cluster_that_goes_away_behind_a_hold_leaves_no_doubt_that_it_is_placed(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    def go_away(*_: object, **__: object) -> None:
        raise NoAnswerError("https://os", "timed out")

    monkeypatch.setattr(hold, "await_decision", go_away)
    placed = run_here(environ, "hold", "add", *JANUARY, "--reason", "case 7", *options)
    assert isinstance(placed.exception, HoldError)
    (one,) = msgspec.json.decode(run_here(environ, "hold", "list", "--json").output)["holds"]
    assert str(placed.exception).startswith(f"the hold {one['id']} is placed, but ")
    assert placed.output == ("" if options else f"hold {one['id']} is placed\n")


@pytest.mark.opensearch
@pytest.mark.parametrize(
    ("done", "verb"),
    [(("hold", "add", *JANUARY), "placed"), (("hold", "release"), "released")],
)
def test_a_record_without_an_answer_is_told_as_such(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, done: tuple[str, ...], verb: str
) -> None:
    def go_away(*_: object, **__: object) -> None:
        raise NoAnswerError("https://os", "timed out")

    earlier = run_here(environ, "hold", "add", *JANUARY, "--reason", "case 6", "--json")
    which = () if verb == "placed" else (msgspec.json.decode(earlier.output)["id"],)
    monkeypatch.setattr(Journal, "record", go_away)
    result = run_here(environ, *done, *which, "--reason", "r")
    assert isinstance(result.exception, HoldError)
    assert f" is {verb} is not known: no answer" in str(result.exception)
    assert "hold list" in result.exception.hint


@pytest.mark.opensearch
def test_what_a_terminal_would_obey_is_made_visible(environ: dict[str, str]) -> None:
    whose = ("--organization", 'o\x1b[2J\n*"', "--from", "2024-01-10")
    placed = run_here(environ, "hold", "add", *whose, "--reason", "r\x1b[31m\u202e", "--json")
    assert placed.exit_code == 0, placed.output
    for arguments in (("hold", "list"), ("hold", "list", "--json")):
        shown = run_here(environ, *arguments).output
        assert "\x1b" not in shown
        assert "\u202e" not in shown
        assert "[31m\\u202e" in shown


@pytest.mark.opensearch
def test_a_partition_goes_when_its_last_hold_is_released(
    world: World, environ: dict[str, str]
) -> None:
    ids = [
        msgspec.json.decode(
            run_here(environ, "hold", "add", *JANUARY, "--reason", reason, "--json").output
        )["id"]
        for reason in ("case 7", "case 8")
    ]
    assert run(environ, "lifecycle", "run", "--once").returncode == 0
    assert world.exists(world.partition)
    first = run_here(environ, "hold", "release", ids[0], "--reason", "closed")
    assert f"hold {ids[0]} is released\n" == first.output
    second = run_here(environ, "hold", "release", ids[1], "--reason", "closed", "--by", "bob")
    assert f"no longer kept: {world.partition}\n" in second.output
    assert run(environ, "lifecycle", "run", "--once").returncode == 0
    assert not world.exists(world.partition)

    late = run_here(environ, "hold", "add", *JANUARY, "--reason", "case 9", "--json")
    report = msgspec.json.decode(late.output)
    assert report["keeps"] == []
    assert [one["name"] for one in report["gone"]] == [world.partition]
    assert report["awaited"] is None
    (listed,) = msgspec.json.decode(run_here(environ, "hold", "list", "--json").output)["holds"]
    assert listed["placedAt"] == report["placedAt"], "one moment, wherever it is told"


@pytest.mark.opensearch
def test_what_is_no_active_hold_cannot_be_released(environ: dict[str, str]) -> None:
    result = run_here(environ, "hold", "release", "nobody", "--reason", "r")
    assert isinstance(result.exception, HoldError)
    assert result.exception.hint == "indelible hold list shows them"


@pytest.mark.opensearch
def test_where_ism_deletes_a_held_partition_is_out_of_it_until_the_release(
    world: World, environ: dict[str, str]
) -> None:
    with ism_plugin(world.cluster, immutable=False) as (plugin, proxy):
        environ = {**environ, "INDELIBLE_OPENSEARCH_URL": proxy.url}
        plugin.jobs[world.partition] = Job(f"{world.index.prefix}-events")
        placed = run_here(environ, "hold", "add", *JANUARY, "--reason", "case 7", "--json")
        hold_id = msgspec.json.decode(placed.output)["id"]
        assert plugin.taken_out == {world.partition}

        # Somebody gives it back by hand; the executor takes it out again.
        plugin.jobs[world.partition] = Job(f"{world.index.prefix}-events")
        plugin.taken_out.clear()
        done = run(environ, "lifecycle", "run", "--once", "--json")
        assert done.returncode == 0, done.stderr
        (row,) = msgspec.json.decode(done.stdout)["partitions"]
        assert row["state"] == "held"
        assert plugin.taken_out == {world.partition}

        run_here(environ, "hold", "release", hold_id, "--reason", "closed")
        done = run(environ, "lifecycle", "run", "--once", "--json")
        (row,) = msgspec.json.decode(done.stdout)["partitions"]
        assert row["why"] == "its retention has passed: the ISM plugin deletes it"
        assert plugin.taken_out == set()
        assert set(plugin.jobs) == {world.partition}

        plugin.refuses[world.partition] = "busy"
        refused = run_here(environ, "hold", "add", *JANUARY, "--reason", "case 8")
        assert "is placed, but ISM may still delete" in str(refused.exception)
