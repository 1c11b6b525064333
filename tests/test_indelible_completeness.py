"""`indelible validate --heads`: which sealed partitions exports hold all events of."""

import gzip
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import msgspec
import pytest
from click.testing import CliRunner, Result
from joserfc.jwk import OKPKey

from indelible.validate import command
from indexer.head import OrganizationHeads, ShareProof, check, sign
from tests.sealed_world import (
    LATE_AT,
    SealedWorld,
    events_at,
    export,
    in_order,
    ingested,
    read,
    trailer,
)

Lines = list[bytes]
AUGUST = [("org_a", f"2026-08-{day:02d}T10:00:00.000001Z") for day in (1, 2, 15, 30, 31)]
SEPTEMBER = [("org_a", f"2026-09-{day:02d}T10:00:00Z") for day in (1, 1, 15, 30)]
OTHERS = [("org_b", f"2026-{month:02d}-10T10:00:00Z") for month in (8, 8, 9)]
OPEN = [("org_a", "2026-11-03T10:00:00Z")]


class Store(SealedWorld):
    """Two sealed partitions and an open one, of two organisations."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        lines = events_at(home / "e.log", [*AUGUST, *SEPTEMBER, *OTHERS, *OPEN])
        self.others = [one for one in lines if read(one)["organizationId"] == "org_b"]
        self.mine = in_order(one for one in lines if read(one)["organizationId"] == "org_a")
        for month in ("2026-08", "2026-09"):
            some = [one for one in lines if read(one)["timestamp"].startswith(month)]
            self.seal(f"audit-events-{month.replace('-', '.')}", some)

    def of(self, month: str) -> Lines:
        return [one for one in self.mine if read(one)["timestamp"].startswith(month)]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def run(store: SealedWorld, *files: Path, heads: Sequence[Path] = ()) -> Result:
    named = [str(part) for one in heads or [store.document()] for part in ("--heads", one)]
    return CliRunner().invoke(command, [*map(str, files), *named, "--key", str(store.key_path)])


def judged(store: SealedWorld, *files: Path, heads: Sequence[Path] = ()) -> tuple[Any, Any, int]:
    """Return what became of each partition, the kinds of problems, and the exit code."""
    named = [str(part) for one in heads or [store.document()] for part in ("--heads", one)]
    arguments = [*map(str, files), *named, "--key", str(store.key_path), "--json"]
    result = CliRunner().invoke(command, arguments)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.output
    document = json.loads(result.stdout)
    statuses = [one["status"] for one in document["heads"]["partitions"]]
    return statuses, [one["kind"] for one in document["problems"]], result.exit_code


WHOLE = ["proven", "proven"]


def test_what_is_whole_is_proven_and_what_no_head_is_of_is_told(store: Store) -> None:
    result = run(store, export(store.home / "e.ndjson", store.mine))
    assert result.exit_code == 0, result.output
    told, moment = result.stdout.splitlines(), "2026-11-03T10:00:00.000000Z"
    assert told[2:] == [
        "heads: 2 of 2 sealed partitions proven complete and unaltered",
        "  audit-events-2026.08 of org_a (head 1): proven, 5 events",
        "  audit-events-2026.09 of org_a (head 2): proven, 4 events",
        f"  1 event of a time that no head is of, {moment} to {moment}",
        "valid: 0 errors, 0 warnings",
    ]


def packed(path: Path) -> Path:
    into = path.with_suffix(".gz")
    into.write_bytes(gzip.compress(path.read_bytes()))
    return into


def zipped(path: Path) -> Path:
    *lines, last = path.read_bytes().splitlines()
    into = path.with_suffix(".zip")
    with ZipFile(into, "w") as archive:
        archive.writestr("events.ndjson", b"".join(one + b"\n" for one in lines))
        archive.writestr("manifest.json", json.dumps(json.loads(last)["export"], indent=2))
    return into


@pytest.mark.parametrize("form", [lambda path: path, packed, zipped])
@pytest.mark.parametrize("order", ["desc", "asc"])
def test_the_form_and_the_order_of_an_export_do_not_matter(
    store: Store, form: Callable[[Path], Path], order: str
) -> None:
    lines = store.mine if order == "desc" else store.mine[::-1]
    path = export(store.home / "e.ndjson", lines, filters={"order": [order]})
    assert judged(store, form(path)) == (WHOLE, [], 0)


def without(number: int) -> Callable[[Lines, Store], Lines]:
    return lambda lines, _: lines[:number] + lines[number + 1 :]


def altered(lines: Lines, _: Store) -> Lines:
    """Alter the last one, an event of August; no neighbour of it is there to follow from."""
    return [*lines[:-1], lines[-1].replace(b'"here"', b'"hers"')]


def exchanged(lines: Lines, store: Store) -> Lines:
    return [*lines[:-1], store.others[0]]


def renamed(lines: Lines, store: Store) -> Lines:
    return [*lines[:-1], store.others[0].replace(b'"org_b"', b'"org_a"')]


def added(at: str) -> Callable[[Lines, Store], Lines]:
    def add(lines: Lines, store: Store) -> Lines:
        more = events_at(store.home / "more.log", [("org_a", "2026-08-20T10:00:00Z")])[0]
        bare = more.partition(b',"ingestedAt"')[0] + b"}"
        return in_order([*lines, ingested(bare, at)])

    return add


@pytest.mark.parametrize(
    ("change", "statuses", "kinds"),
    [
        pytest.param(without(9), ["mismatch", "proven"], ["missing"], id="the oldest is missing"),
        pytest.param(without(1), ["proven", "mismatch"], ["missing"], id="one of the second"),
        pytest.param(without(0), WHOLE, [], id="one that no head is of"),
        pytest.param(altered, ["mismatch", "proven"], ["altered", "altered"], id="altered"),
        pytest.param(exchanged, ["mismatch", "proven"], ["missing"], id="another organisation's"),
        pytest.param(
            renamed, ["mismatch", "proven"], ["altered"], id="another organisation's, renamed"
        ),
        pytest.param(
            added("2026-08-20T11:00:00.000000Z"),
            ["mismatch", "proven"],
            ["altered"],
            id="one more, that says it came in time",
        ),
        pytest.param(added(LATE_AT), WHOLE, ["beyond"], id="late"),
        pytest.param(added("2026-11-30T23:59:59.000000Z"), WHOLE, ["beyond"], id="youngest"),
    ],
)
def test_what_differs_from_what_was_sealed_is_told(
    store: Store,
    change: Callable[[Lines, Store], Lines],
    statuses: Sequence[str],
    kinds: Sequence[str],
) -> None:
    path = export(store.home / "e.ndjson", change(store.mine, store))
    found, told, code = judged(store, path)
    # The chain tells what it can; what matters is that the head does.
    told = [one for one in told if one != "altered"] if "altered" not in kinds else told
    is_valid = "mismatch" not in statuses
    assert (found, set(told), code) == (list(statuses), set(kinds), int(not is_valid))


def test_of_events_that_came_later_is_said_when(store: Store) -> None:
    late = added(LATE_AT)(store.mine, store)
    told = run(store, export(store.home / "e.ndjson", late)).stdout
    assert f"1 event of its time in no head, ingested {LATE_AT} to {LATE_AT}\n" in told
    before = added("2026-11-30T23:59:59.000000Z")(store.mine, store)
    told = run(store, export(store.home / "f.ndjson", before)).stdout
    assert "; of these 1 before it was sealed\n" in told


@pytest.mark.parametrize(
    ("claim", "says"),
    [
        pytest.param(
            {"filters": {"action": ["member.*"], "since": ["2026-01-01"]}},
            "they were exported with filters: action",
            id="filtered",
        ),
        pytest.param(
            {"filters": {"since": ["2026-08-02"], "until": ["2026-09-30"]}},
            "a part of its time at most",
            id="since",
        ),
        pytest.param(
            {"filters": {"until": ["2026-08-31T23:59:59.999999Z"]}},
            "a part of its time at most",
            id="until",
        ),
        pytest.param({"filters": {"since": ["soon"]}}, "a part of its time", id="no instant"),
        pytest.param(
            {"filters": {"after": ["01a209bf-4543-70d7-aa30-000000000000"]}},
            "with filters: after",
            id="gone on with",
        ),
        pytest.param(
            {"asOf": "2026-11-30T00:00:00.000000Z"}, "before it was sealed", id="made too early"
        ),
        pytest.param({"organizationId": "org_b"}, "none of the files", id="of another"),
    ],
)
def test_what_claims_less_is_not_proven_and_no_error(
    store: Store, claim: Mapping[str, object], says: str
) -> None:
    half = store.of("2026-08")[1:]
    result = run(store, export(store.home / "e.ndjson", half, **claim))
    assert result.exit_code == 0, result.output
    assert "audit-events-2026.08 of org_a (head 1): not proven; " in result.stdout
    assert says in result.stdout
    # What it holds decides all the same.
    whole = export(store.home / "f.ndjson", store.of("2026-08"), **claim)
    assert judged(store, whole)[0][0] == "proven"


def test_a_partition_that_is_gone_is_an_error_where_its_time_was_asked_for(store: Store) -> None:
    rest = [one for one in store.mine if one not in store.of("2026-08")]
    gone = export(store.home / "e.ndjson", rest)
    assert judged(store, gone) == (["absent", "proven"], ["absent"], 0)
    assert "(head 1): not proven; none of its 5 events is there\n" in run(store, gone).stdout
    asked = export(store.home / "f.ndjson", rest, filters={"since": ["2026-08-01"]})
    assert judged(store, asked) == (["mismatch", "proven"], ["missing"], 1)


def test_a_partition_that_is_gone_before_its_retention_has_ended_is_an_error(store: Store) -> None:
    before = export(store.home / "e.ndjson", store.of("2026-09"))
    store.retention_days = 365
    store.signed.clear()
    store.shares.clear()
    store.seal("audit-events-2026.08", store.of("2026-08"))
    assert judged(store, before) == (["mismatch"], ["missing"], 1)


def test_several_exports_together_are_whole(store: Store) -> None:
    parts = [("2026-08-01", "2026-08-16"), ("2026-08-16", "2026-09-01")]
    of_august = in_order(store.of("2026-08"))
    some = [of_august[2:], of_august[:2]]
    paths = [
        export(store.home / f"{since}.ndjson", lines, filters={"since": [since], "until": [until]})
        for (since, until), lines in zip(parts, some, strict=True)
    ]
    assert judged(store, *paths)[0] == ["proven", "uncovered"]
    assert judged(store, *paths[::-1])[0] == ["proven", "uncovered"]
    assert judged(store, paths[0])[0] == ["uncovered", "uncovered"]
    short = export(
        store.home / "short.ndjson",
        some[1][1:],
        filters={"since": ["2026-08-16"], "until": ["2026-09-01T00:00:00Z"]},
    )
    assert judged(store, paths[0], short) == (["mismatch", "uncovered"], ["missing"], 1)


def test_one_that_was_cut_off_and_gone_on_with(store: Store) -> None:
    cut, rest = store.mine[:4], store.mine[4:]
    claim = {"filters": {"after": [read(cut[-1])["id"]]}}
    path = export(store.home / "e.ndjson", rest, **claim)
    path.write_bytes(b"".join(one + b"\n" for one in cut) + path.read_bytes())
    assert judged(store, path) == (WHOLE, [], 0)


def test_an_event_that_two_exports_hold_counts_once(store: Store) -> None:
    path = export(store.home / "e.ndjson", store.mine)
    again = export(store.home / "f.ndjson", store.of("2026-08"))
    assert judged(store, path, again)[0] == WHOLE


def test_records_of_the_log_itself_are_in_no_partition(store: Store) -> None:
    own = events_at(
        store.home / "own.log", [("org_a", "2026-08-20T10:00:00Z")], "indelible-lifecycle"
    )
    result = run(store, export(store.home / "e.ndjson", in_order([*store.mine, *own])))
    assert "2 of 2 sealed partitions proven" in result.stdout
    assert "  1 record of the log itself, which lie in no partition\n" in result.stdout


def test_days_and_months_that_are_of_the_same_time(tmp_path: Path) -> None:
    world = SealedWorld(tmp_path)
    moments = [f"2026-08-{day:02d}T{hour:02d}:00:00Z" for day in (1, 15, 16) for hour in (1, 9)]
    lines = events_at(tmp_path / "e.log", [("org_a", one) for one in moments])
    # In the middle of the 15th the setting was changed: what came later went to partitions of days.
    lines[2] = lines[2].replace(b"T23:30:00", b"T02:00:00")
    (tmp_path / "late").mkdir()
    late = added(LATE_AT)([], Store(tmp_path / "late"))
    world.seal("a-events-b-events-2026.08", lines[:3])
    world.seal("a-events-b-events-2026.08.15", [lines[3]])
    world.seal("a-events-b-events-2026.08.16", lines[4:])
    path = export(tmp_path / "e.ndjson", in_order([*lines, *late]))
    assert judged(world, path) == (["proven"] * 3, ["beyond"], 0)
    world.seal("a-late-2026.08", late)
    assert judged(world, path) == (["proven"] * 4, [], 0)


def test_a_partition_that_was_sealed_again_is_proven_again(store: Store) -> None:
    store.seal("audit-events-2026.08", [*store.of("2026-08"), *store.others[:2]])
    path = export(store.home / "e.ndjson", store.mine)
    assert judged(store, path) == (["proven"] * 3, [], 0)
    store.seal("audit-events-2026.08", store.of("2026-08")[1:])
    assert judged(store, path) == (["proven"] * 3 + ["mismatch"], ["missing"], 1)


def test_of_two_heads_of_one_partition_the_one_of_more_events_is_tried_first(store: Store) -> None:
    again = SealedWorld(store.home)
    again.seal("audit-events-2026.08", store.of("2026-08")[1:])
    again.seal("audit-events-2026.08", store.of("2026-08"))
    path = export(store.home / "e.ndjson", store.mine)
    assert judged(again, path) == (["mismatch", "proven"], ["missing"], 1)


def test_a_share_that_is_kept_back_proves_nothing(store: Store) -> None:
    path = export(store.home / "e.ndjson", store.mine)
    document = store.document(store.heads("org_c"))
    assert judged(store, path, heads=[document]) == (["unshared"] * 2, [], 0)
    kept_back = OrganizationHeads(
        "org_a", tuple(msgspec.structs.replace(one, share=None) for one in store.heads().heads)
    )
    withheld = store.document(kept_back, "withheld.json")
    assert judged(store, path, heads=[withheld]) == (["unshared"] * 2, ["beyond"] * 2, 0)
    # One document that has it is enough.
    assert judged(store, path, heads=[withheld, store.document()])[0] == WHOLE
    assert judged(store, path, heads=[store.document(), withheld])[0] == WHOLE


@pytest.mark.parametrize("field", ["events", "root", "index", "path"])
def test_a_share_that_its_head_does_not_vouch_for_is_an_error(store: Store, field: str) -> None:
    heads = store.heads()
    proof = heads.heads[0].share
    assert proof is not None
    other = {"events": 2**62, "root": "A" * 43, "index": 1, "path": ("é",)}[field]
    forged = msgspec.structs.replace(proof, **{field: other})
    assert isinstance(forged, ShareProof)
    first = msgspec.structs.replace(heads.heads[0], share=forged)
    document = store.document(OrganizationHeads("org_a", (first, *heads.heads[1:])))
    path = export(store.home / "e.ndjson", store.mine)
    assert judged(store, path, heads=[document]) == (["proven"], ["share"], 1)


def test_pages_of_the_api_are_named_one_by_one(store: Store) -> None:
    path = export(store.home / "e.ndjson", store.mine)
    whole = json.loads(store.document().read_bytes())
    pages = [store.home / "page-1.json", store.home / "page-2.json"]
    for page, one, after in zip(pages, whole["heads"], (1, None), strict=True):
        page.write_text(json.dumps({**whole, "heads": [one], "nextAfter": after}))
    assert judged(store, path, heads=pages) == (WHOLE, [], 0)
    assert judged(store, path, heads=[*pages, pages[0]]) == (WHOLE, [], 0)


def test_the_heads_of_another_organisation_say_nothing_of_this_one(store: Store) -> None:
    path = export(store.home / "e.ndjson", store.mine)
    document = store.document(store.heads("org_b"))
    result = run(store, path, heads=[document])
    assert result.exit_code == 0
    assert "heads: 0 of 2 sealed partitions proven" in result.stdout
    assert "none of the files is an export of this organisation" in result.stdout
    assert "  10 events of others, without heads\n" in result.stdout
    # Nor do they when they are called this one's.
    stolen = store.document(OrganizationHeads("org_a", store.heads("org_b").heads))
    assert judged(store, path, heads=[stolen]) == ([], ["share"] * 2, 1)


def test_both_organisations_at_once(store: Store) -> None:
    paths = [
        export(store.home / "a.ndjson", store.mine),
        export(store.home / "b.ndjson", in_order(store.others), organizationId="org_b"),
    ]
    heads = [store.document(), store.document(store.heads("org_b"), "b.json")]
    assert judged(store, *paths, heads=heads) == (["proven"] * 4, [], 0)


def test_a_head_that_another_key_signed_counts_for_nothing(store: Store) -> None:
    path = export(store.home / "e.ndjson", store.mine)
    document = store.document()
    store.use(OKPKey.generate_key("Ed25519"))
    assert judged(store, path, heads=[document]) == ([], ["signature"] * 2, 1)


def test_two_heads_of_one_number_are_two_logs(store: Store) -> None:
    path = export(store.home / "e.ndjson", store.mine)
    other = SealedWorld(store.home)
    other.use(store.key)
    other.seal("audit-events-2026.08", store.of("2026-08"))
    heads = [store.document(), other.document(name="other.json")]
    assert judged(store, path, heads=heads) == (["proven"] * 3, ["fork"], 1)


def test_a_head_that_does_not_follow_the_one_before_is_told(store: Store) -> None:
    head = check(store.signed[1], [store.key])
    store.signed[1] = sign(msgspec.structs.replace(head, previous="A" * 43), store.key)
    path = export(store.home / "e.ndjson", store.mine)
    assert judged(store, path) == (WHOLE, ["fork"], 1)


def test_heads_that_no_document_has_are_counted(store: Store) -> None:
    for _ in range(3):
        store.seal("audit-events-2026.10", store.others)
    # A hole may be one that was not asked for.
    heads = store.heads("org_b").heads
    some = OrganizationHeads("org_b", (heads[0], heads[4]))
    path = export(store.home / "e.ndjson", store.others, organizationId="org_b")
    told = run(store, path, heads=[store.document(some)])
    assert "  3 heads between these in no document\n" in told.stdout
    assert told.exit_code == 0


def test_a_document_with_more_heads_than_anybody_has_is_refused(store: Store) -> None:
    path = store.home / "heads.json"
    heads = [{"head": "", "share": None}] * 10_001
    path.write_text(json.dumps({"organizationId": "o", "heads": heads}))
    result = run(store, export(store.home / "e.ndjson", []), heads=[path])
    assert result.exit_code == 2
    assert "has more than 10,000 heads" in result.output


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"\xff",
        b"[" * 100_000,
        b'{"organizationId":"o","heads":[{"head":1,"share":null}]}',
        b'{"organizationId":"o","heads":' + b'[{"head":"e30","share":' * 5_000,
    ],
)
def test_what_is_no_document_of_heads_is_refused(store: Store, content: bytes) -> None:
    path = store.home / "heads.json"
    path.write_bytes(content)
    result = run(store, export(store.home / "e.ndjson", []), heads=[path])
    assert result.exit_code == 2
    assert f"{path} is no document of an organisation's heads" in result.output


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["--heads", "{heads}"], id="no key"),
        pytest.param(["--key", "{key}"], id="no heads"),
        pytest.param(["--heads", "{heads}", "--key", "{heads}"], id="no key in it"),
        pytest.param(["--heads", "/none", "--key", "{key}"], id="no such document"),
        pytest.param(["--heads", "/dev/zero", "--key", "{key}"], id="a device"),
        pytest.param(["--heads", "{heads}", "--key", "/none"], id="no such key"),
    ],
)
def test_what_cannot_be_used_is_said_before_anything_is_read(
    store: Store, arguments: Sequence[str]
) -> None:
    named = {"heads": store.document(), "key": store.key_path}
    path = export(store.home / "e.ndjson", store.mine)
    given = [one.format(**named) for one in arguments]
    result = CliRunner().invoke(command, [str(path), *given])
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Error: " in result.output


def test_lines_that_no_emitter_wrote_take_no_partition_down(store: Store) -> None:
    hostile = [
        b"x" * (10 << 20),
        b"{",
        b"[" * 60_000,
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
        b'{"id":5,"timestamp":"2026-08-01","organizationId":"org_a"}',
        b'{"id":"a","timestamp":"9999-12-31T23:59:59.999999999Z","organizationId":"org_a"}',
        b'{"id":"b","timestamp":"0001-01-01T00:00:00Z","organizationId":"org_a","source":[]}',
        b'{"id":"c","timestamp":"2026-08-01T00:00:00.1\xc2\xb2Z","organizationId":"org_a"}',
        b"\xff\xfe",
    ]
    statuses, _, code = judged(store, export(store.home / "e.ndjson", [*hostile, *store.mine]))
    assert (statuses, code) == (WHOLE, 1)


def test_documents_that_no_emitter_wrote_are_sealed_with_the_rest(tmp_path: Path) -> None:
    world = SealedWorld(tmp_path)
    stamps = ["2026-08-05T00:00:00.000000519Z", "2026-08-05T00:00:00.000000510Z"]
    foreign = [
        b'{"timestamp":"%b","id":"%d","organizationId":"org_a"}' % (stamp.encode(), number)
        for number, stamp in enumerate(stamps)
    ]
    lines = events_at(tmp_path / "e.log", AUGUST)
    ordered = in_order([*lines, *foreign])
    world.seal("audit-events-2026.08", ordered)
    some = export(tmp_path / "e.ndjson", ordered[1::2] + ordered[::2])
    assert judged(world, some)[0] == ["proven"]


def test_a_manifest_claims_as_a_last_line_does(store: Store) -> None:
    path = zipped(export(store.home / "e.ndjson", store.mine[:-1]))
    assert trailer(store.mine)["organizationId"] == "org_a"
    assert judged(store, path) == (["mismatch", "proven"], ["missing"], 1)
