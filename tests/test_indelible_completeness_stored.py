"""What the node stored, sealed and exported is proven complete by its head."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from audit_events.identifier import new_uuid7
from indelible import export
from indexer.client import ask
from indexer.hold import OPEN_END, Hold, place
from indexer.journal import Journal
from indexer.records import read_seal, read_sealed_uuids
from indexer.settings import IndexSettings
from tests.cluster import Cluster
from tests.lifecycle_world import SEALABLE, World
from tests.sealed_world import SealedWorld, ingested, read
from tests.test_indelible_completeness import judged, run
from tests.webapi_api import Api, write_events
from tests.webapi_process import environment
from webapi.audit_log import PATH

pytestmark = pytest.mark.opensearch

PLACED_AT = datetime(2024, 1, 20, tzinfo=UTC)
HOLD = Hold(
    id=new_uuid7(int(PLACED_AT.timestamp()) * 10**9),
    organization_id="org_a",
    since=datetime(2024, 1, 1, tzinfo=UTC),
    until=OPEN_END,
    reason="a case",
    placed_by="ann",
    placed_at=PLACED_AT,
)
MOMENTS = ["2024-01-01T00:00:00Z", *["2024-01-15T10:00:00.5Z"] * 3, "2024-01-31T23:59:59.999999Z"]

FOREIGN = [
    b'{ "timestamp":"2024-01-15T10:00:00.500000%b","organizationId":"org_a",  "context":{"n":1e2,'
    b'"s":"\\u00e9 \xc3\xa9 \\/ \\ud83d"},"id":"%b" }' % (fraction, event_id)
    for fraction, event_id in (
        (b"Z", b"01a209bf-4543-70d7-aa30-000000000000"),
        (b"123Z", b"ffffffff-4543-70d7-aa30-000000000000"),
        (b"+00:00", b"Z"),
    )
]
"""As nobody's encoder would write them, and half a letter, which an export spells out."""


class Stored(SealedWorld):
    """A partition that the lifecycle sealed, with foreign documents, and all that is in none."""

    def __init__(self, cluster: Cluster, index: IndexSettings, home: Path) -> None:
        super().__init__(home)
        world = World(cluster, index)
        self.use(world.use_key())
        self.index = world.index
        self.partition = world.partition
        self._store(cluster, [*self._events("in-time"), *FOREIGN], world.partition)
        world.now = SEALABLE
        world.take_round()
        self.late = self._events("late", MOMENTS[1:2], "2024-02-09T00:00:00.000000Z")
        self._store(cluster, self.late, world.late)
        with cluster.client("lifecycle") as client:
            journal = Journal(client, self.index)
            place(journal, HOLD)
            (uuid,) = read_sealed_uuids(journal, world.partition)
            seal = read_seal(journal, world.partition, uuid)
        assert seal.shares is not None
        self.signed, self.shares = [seal.head], [seal.shares]
        self.api = Api(cluster.client("reader"), self.index)

    def _events(
        self, name: str, moments: list[str] = MOMENTS, at: str = "2024-02-01T00:00:00.000000Z"
    ) -> list[bytes]:
        events: list[dict[str, object]] = [
            {"action": "member.invited", "organization_id": whose, "at": moment}
            for moment in moments
            for whose in ("org_a", "org_b")
        ]
        lines = write_events(self.home / f"{name}.log", events, "2024-01-01T00:00:00Z")
        return [ingested(one, at) for one in lines]

    def _store(self, cluster: Cluster, lines: list[bytes], name: str) -> None:
        body = b"".join(
            b'{"create":{"_id":"%b"}}\n%b\n' % (read(line)["id"].encode(), line) for line in lines
        )
        with cluster.client("writer") as writer:
            reply = ask(writer, "POST", f"/{name}/_bulk", params={"refresh": "true"}, body=body)
        assert '"errors":false' in reply.text, reply.text

    def export(self, query: str = "") -> Path:
        answer = self.api.get(query, path=f"{PATH}/export")
        assert answer.status_code == 200, answer.text
        path = self.home / f"export-{len(list(self.home.iterdir()))}"
        path.write_bytes(answer.get_data())
        return path


@pytest.fixture
def stored(opensearch: Cluster, index: IndexSettings, tmp_path: Path) -> Stored:
    return Stored(opensearch, index, tmp_path)


def test_each_export_is_proven_by_the_head_of_what_was_sealed(stored: Stored) -> None:
    whose = f"  {stored.partition} of org_a (head 1): proven, 8 events; 1 event of its time in no"
    for query in (
        "",
        "order=asc",
        "format=zip",
        "gzip=true&order=asc",
        "since=2024-01-01&until=2024-02-01",
    ):
        told = run(stored, stored.export(query)).stdout
        assert "heads: 1 of 1 sealed partition proven complete and unaltered\n" in told, query
        assert whose in told
        assert "  1 record of the log itself, which lie in no partition\n" in told
        # What was stored by nobody's encoder is none of our events, and was sealed all the same.
        assert told.endswith("6 errors, 1 warning (3 shape, 3 canonical, 1 beyond)\n")


def test_an_export_of_the_terminal_is_proven_for_another_organisation(
    stored: Stored, opensearch: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("INDELIBLE_TEST_OPENSEARCH_URL", "INDELIBLE_TEST_OPENSEARCH_CREDENTIALS"):
        monkeypatch.delenv(name, raising=False)
    path = stored.home / "b.ndjson"
    given = ["--organization", "org_b", "--until", "2024-02-01", "--output", str(path)]
    environ = environment(opensearch, stored.index, stored.home)
    result = CliRunner().invoke(export.command, given, env=environ)
    assert result.exit_code == 0, result.output
    heads = [stored.document(stored.heads("org_b"))]
    assert judged(stored, path, heads=heads) == (["proven"], ["beyond"], 0)


def test_what_was_altered_on_its_way_is_told(stored: Stored) -> None:
    path = stored.export()
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b'"n":1e2', b'"n":1e3', 1))
    assert judged(stored, path)[0] == ["mismatch"]
    filtered = stored.export("action=member.*")
    assert judged(stored, filtered)[0] == ["uncovered"]
