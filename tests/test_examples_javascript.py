"""The emitter in plain JavaScript writes what the format says; node runs it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit_events.canonical import canonical
from audit_events.event import decode_event
from audit_events.validation import Chains, check_line
from tests.javascript import EXAMPLES, run_module, run_script

pytestmark = pytest.mark.slow

_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False).filter(
        lambda number: not (2**53 < abs(number) < 1e21)
    )
    | _text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_text, inner, max_size=4),
    max_leaves=10,
)


def test_what_the_example_writes_is_valid_and_its_chain_verifies(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    for _ in range(2):
        done = run_script(EXAMPLES / "members.mjs", str(path))
        assert (done.returncode, done.stderr) == (0, "")
    checked = subprocess.run(
        [sys.executable, "-m", "indelible", "validate", "--complete", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout
    assert "8 events of 2 sources" in checked.stdout
    assert "valid: 0 errors, 0 warnings" in checked.stdout
    event = decode_event(path.read_bytes().splitlines()[2])
    assert event.context is not None
    assert list(event.context) == ["nested", "numbers", "\u20ac", "\U0001f600", "\ufb33"]


def test_the_line_of_an_example_that_is_altered_shows(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    run_script(EXAMPLES / "members.mjs", str(path))
    chains = Chains(is_whole=True)
    lines = path.read_bytes().replace(b'"admin"', b'"owner"').splitlines()
    assert [flaw.kind for line in lines for flaw in chains.check(line)[1]] == ["altered"]


@settings(max_examples=1, deadline=None)
@given(st.lists(_json, min_size=300, max_size=300))
def test_its_canonical_form_is_ours(
    tmp_path_factory: pytest.TempPathFactory, values: list[Any]
) -> None:
    directory = tmp_path_factory.mktemp("canonical")
    (directory / "values.json").write_text(json.dumps(values), encoding="utf-8")
    code = (
        'import { readFileSync } from "node:fs";\n'
        f"const values = JSON.parse(readFileSync({json.dumps(str(directory / 'values.json'))}));\n"
        'process.stdout.write(values.map((value) => audit.canonical(value)).join("\\n"));\n'
    )
    done = run_module(directory, code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n") == [canonical(value).decode() for value in values]


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        pytest.param("NaN", "event.context.a is NaN", id="not a number"),
        pytest.param("2 ** 53 + 2", "event.context.a is an integer", id="large integer"),
        pytest.param("10n", "event.context.a is of type bigint", id="bigint"),
        pytest.param("new Date()", "event.context.a is of type object", id="date"),
        pytest.param("[() => 1]", "event.context.a[0] is of type function", id="function"),
        pytest.param("'\\ud800'", "event.context.a holds half of a surrogate pair", id="surrogate"),
        pytest.param("'x'.repeat(70_000)", "the most is 65536", id="too long"),
    ],
)
def test_what_json_cannot_carry_is_refused_and_leaves_no_gap(
    tmp_path: Path, value: str, problem: str
) -> None:
    path = tmp_path / "audit.jsonl"
    code = (
        f'const log = audit.openLog({json.dumps(str(path))}, {{ service: "s" }});\n'
        'const common = { organizationId: "o", actor: { type: "user", id: undefined } };\n'
        'log.record("a.b", common);\n'
        f'try {{ log.record("a.b", {{ ...common, context: {{ a: {value} }} }}); }}\n'
        "catch (error) { console.log(error.message); }\n"
        'log.record("a.b", common);\n'
    )
    done = run_module(tmp_path, code)
    assert done.returncode == 0, done.stderr
    assert problem in done.stdout
    chains, lines = Chains(is_whole=True), path.read_bytes().splitlines()
    assert len(lines) == 2
    assert [flaw for line in lines for flaw in [*check_line(line), *chains.check(line)[1]]] == []
