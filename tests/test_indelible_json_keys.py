"""What `--json` prints has keys of one spelling, that of the events: camelCase."""

import msgspec
import pytest
from msgspec import Struct

from agent.findings import Finding
from agent.status import FileStatus, Status, Totals
from indelible import agent_checkpoints, agent_once, export, indices_plan, ready, validation
from indexer.archive import Archived
from indexer.copies import CopyTrouble
from indexer.mode import Mode
from indexer.partitions import Partition
from indexer.replay import Result
from indexer.restoration import Restored
from indexer.round import Problem, Taken
from indexer.store_findings import Finding as StoreFinding
from indexer.store_findings import Summary as StoreSummary
from indexer.templates import Change, Drift
from indexer.verification import Verification
from node.status import Status as NodeStatus


@pytest.mark.parametrize(
    "printed",
    [
        agent_checkpoints.FileReport, agent_checkpoints.GenerationReport,
        agent_checkpoints.Report, agent_checkpoints.SourceReport, agent_once.Report, Archived,
        Change, CopyTrouble, Drift, export.Done, FileStatus, Finding, indices_plan.Report,
        indices_plan.Row, Mode, NodeStatus, Partition, Problem, ready.Ready, Restored, Result,
        Status, StoreFinding, StoreSummary, Taken, Totals, validation.Problem,
        validation.Summary, Verification,
    ],
)  # fmt: skip
def test_no_key_is_spelt_in_another_way(printed: type[Struct]) -> None:
    keys = [field.encode_name for field in msgspec.structs.fields(printed)]
    assert [key for key in keys if "_" in key] == []
