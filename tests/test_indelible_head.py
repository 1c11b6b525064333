"""`indelible head` as an operator and an auditor use it."""

import json
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from indelible.head import Row, command, tabulate, tell_unshared
from indelible.listing import open_console, print_table
from indexer.head import OrganizationHead, OrganizationHeads, check, is_proven
from indexer.settings import IndexSettings
from indexer.signing_key import describe, make, read_private, read_public
from tests.cluster import Cluster
from tests.test_indelible_verify import become_auditor
from tests.test_indexer_head_verification import Sealing, write_lines
from tests.test_indexer_store_verification import Store


def run(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(command, list(arguments))
    assert result.exit_code == code, result.output
    return result


def test_a_key_is_made_once_and_its_public_half_is_printed(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "head.pem"
    told = run("key", str(path)).output
    assert told == f"{describe(read_private(path))}\n"
    assert "d" not in json.loads(told)
    assert path.stat().st_mode & 0o777 == 0o600
    assert run("key", "--public", str(path)).output == told
    public = tmp_path / "head.jwk"
    public.write_text(told)
    assert run("key", "--public", str(public)).output == told
    assert read_public(public).thumbprint() == read_private(path).thumbprint()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("there",), "there is there, and no key is replaced"),
        (("--public", "gone"), "gone cannot be read"),
        (("there/head.pem",), "there/head.pem cannot be made: "),
    ],
)
def test_what_cannot_be_made_or_read_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").write_text("mine")
    result = CliRunner().invoke(command, ["key", *arguments])
    assert told in str(result.exception)
    assert (tmp_path / "there").read_text() == "mine"


def test_heads_are_shown_in_their_order_whoever_signed_them() -> None:
    rows = [
        Row(
            1,
            "audit-events-2026.02",
            1200,
            "2026-03-08T00:00:00.000000Z",
            "k",
            signed=True,
            head="a.b.c",
        ),
        Row(None, "audit-events-2026.03\x1b", None, None, "", signed=False, head="x"),
    ]
    with (console := open_console()).capture() as captured:
        print_table(console, tabulate(rows))
    lines = captured.get().splitlines()
    assert lines[1].split() == [
        "1",
        "audit-events-2026.02",
        "1,200",
        "2026-03-08T00:00:00.000000Z",
        "k",
    ]
    assert "audit-events-2026.03\\u001b" in lines[2]
    assert "(not one of the known keys)" in lines[2]
    assert "2 heads" in lines[-1]
    with console.capture() as captured:
        print_table(console, tabulate([]))
    assert "no head: none is signed" in captured.get()


def test_a_document_by_which_nothing_can_be_checked_is_told() -> None:
    told = tell_unshared(OrganizationHeads("org\x1b", (OrganizationHead("a.b.c", None),) * 2))
    assert told.startswith("note: none of 2 heads has a share of org\\u001b: ")
    assert tell_unshared(OrganizationHeads("o", ())).startswith("note: no head: none is signed")


@pytest.mark.opensearch
@pytest.mark.secured
def test_an_auditor_lists_them_and_hands_an_organisation_its_own(
    opensearch: Cluster,
    index: IndexSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    become_auditor(opensearch, index, tmp_path, monkeypatch)
    assert "no head" in run("list").output
    store = Store(opensearch, index, write_lines(tmp_path / "a.log", "member.invited"))
    store.put(store.lines)
    key, public = make(tmp_path / "key"), tmp_path / "head.jwk"
    public.write_text(describe(key))
    sealing = Sealing(store, key)
    names = [store.partition(number) for number in (0, 3)]
    for name in names:
        sealing.seal(name)
    assert run("list").output.count("(not one of the known keys)") == 2
    assert "(not" not in run("list", "--key", str(public)).output
    heads = json.loads(run("list", "--json", "--key", str(public)).output)["heads"]
    assert [(one["number"], one["partition"], one["signed"]) for one in heads] == [
        (1, names[0], True),
        (2, names[1], True),
    ]
    assert [one["head"] for one in heads] == sealing.heads
    told = run("list", "--organization", "org_1").output
    document = msgspec.json.decode(told, type=OrganizationHeads)
    assert document.organization_id == "org_1"
    for one in document.heads:
        assert one.share is not None
        assert is_proven(check(one.head, [key]), "org_1", one.share)
    assert "org_0" not in told
    for output in ((), ("--json",)):
        result = run("list", "--organization", "org_x", *output)
        heads = msgspec.json.decode(result.stdout, type=OrganizationHeads).heads
        assert [one.share for one in heads] == [None] * 2
        assert result.stderr == f"{tell_unshared(OrganizationHeads('org_x', heads))}\n"
