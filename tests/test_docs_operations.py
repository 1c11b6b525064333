"""What docs/operations.md says to paste does what it says."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from audit_events import open_log
from indexer.store_findings import Kind

TEXT = (Path(__file__).parents[1] / "docs" / "operations.md").read_text()
ORGANIZATIONS = ("org_a", "org_b", "org_c")


def whole_store() -> str:
    found = re.search(r"<!-- whole store: .*? -->\n```\n(.*?)```", TEXT, re.DOTALL)
    assert found is not None
    return found[1]


@pytest.mark.parametrize("kind", get_args(Kind))
def test_what_each_finding_of_verify_is_stands_in_a_table(kind: str) -> None:
    section = TEXT.split("\n## Is all of it there\n")[1].split("\n## ")[0]
    assert re.search(rf"^\| `{kind}`( \(warning\))? \|", section, re.MULTILINE)


@pytest.fixture
def lines(tmp_path: Path) -> list[bytes]:
    path = tmp_path / "audit.log"
    for _ in range(2):
        log = open_log(path, service="s")
        for number in range(12):
            log.info(
                "member.invited",
                organization_id=ORGANIZATIONS[number % 3],
                actor={"type": "user", "id": f"u{number}"},
            )
    return path.read_bytes().splitlines(keepends=True)


@pytest.mark.parametrize(
    ("row", "altered", "told"),
    [
        pytest.param(None, b"", "valid: 0 errors", id="untouched"),
        pytest.param(5, b"", "`seq` 5 of source .* is missing before 6", id="removed"),
        pytest.param(5, b"u7", "`seq` 5 of source .* does not follow", id="altered"),
    ],
)
def test_all_exports_together_show_what_was_done_to_one_event(
    tmp_path: Path, lines: list[bytes], row: int | None, altered: bytes, told: str
) -> None:
    if row is not None:
        lines[row] = altered and lines[row].replace(b"u5", altered)
    (tmp_path / "check").mkdir()
    for name in ORGANIZATIONS:
        own = [line for line in reversed(lines) if name.encode() in line]
        end = msgspec.json.encode({"export": {"events": len(own)}}) + b"\n"
        (tmp_path / "check" / f"{name}.ndjson").write_bytes(b"".join([*own, end]))
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    ran = subprocess.run(  # of our own page
        ["bash", "-o", "pipefail", "-c", whole_store()],  # noqa: S607
        cwd=tmp_path,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert re.search(told, ran.stdout), ran
    assert ran.returncode == (0 if row is None else 1)
