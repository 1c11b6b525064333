"""An application's own actions: what a file may say, and how it hears what is wrong."""

# ruff: noqa: E501  # a case a line

import re
from pathlib import Path

import pytest

from audit_events.catalogue import CATALOGUE
from audit_events.catalogue_file import KEYS, read_catalogue
from audit_events.errors import CatalogueError

GOOD = """\
[invoice.approved]
category = "Billing & Subscriptions"
colour = "blue"
title = "Invoice approved"
description = "An invoice was approved for payment."
severity = "medium"
needs = ["resource", "previous", "new"]
critical = true
aliases = ["invoice.accepted"]
example = { previous = { status = "open" }, new = { status = "approved" } }

[shipment.sent]
category = "Shipping"
colour = "green"
title = "Shipment sent"
description = "A shipment was given to the carrier."
"""


@pytest.mark.timeout(30)
def test_a_file_that_does_not_end_is_refused_at_once() -> None:
    with pytest.raises(CatalogueError, match=r"/dev/zero: cannot be read: it is no regular file"):
        read_catalogue("/dev/zero")


def write(directory: Path, text: str, name: str = "actions.toml") -> Path:
    path = directory / name
    path.write_text(text, encoding="utf-8")
    return path


def entry(action: str, *lines: str, title: str = "Title", category: str = "Shipping") -> str:
    """Return a table that is right, and some lines more."""
    head = [f"[{action}]", f'category = "{category}"', f'title = "{title}"']
    return "\n".join([*head, 'colour = "green"', 'description = "Something."', *lines, ""])


def problems_of(path: Path) -> list[str]:
    with pytest.raises(CatalogueError) as caught:
        read_catalogue(path)
    return [problem.removeprefix(str(path)) for problem in caught.value.problems]


def test_its_actions_stand_behind_ours(tmp_path: Path) -> None:
    catalogue = read_catalogue(write(tmp_path, GOOD))
    assert list(catalogue) == [*CATALOGUE, "invoice.approved", "shipment.sent"]
    approved = catalogue["invoice.approved"]
    assert (approved.colour, approved.severity, approved.critical) == ("blue", "medium", True)
    assert approved.needs == ("resource", "previous", "new")
    assert catalogue.find("invoice.accepted") == approved
    assert catalogue["shipment.sent"].severity == "low"
    assert catalogue.categories == (*CATALOGUE.categories, "Shipping")


def test_every_file_of_a_directory_is_read(tmp_path: Path) -> None:
    write(tmp_path, entry("shipment.sent", title="Sent"), "b.toml")
    write(tmp_path, entry("shipment.lost", title="Lost"), "a.toml")
    write(tmp_path, "not TOML at all", "notes.txt")
    assert list(read_catalogue(tmp_path))[-2:] == ["shipment.lost", "shipment.sent"]


def test_two_files_may_not_both_have_an_action(tmp_path: Path) -> None:
    write(tmp_path, entry("shipment.sent", title="Sent"), "a.toml")
    write(tmp_path, "\n" + entry("shipment.sent", title="Gone"), "b.toml")
    (problem,) = problems_of(tmp_path)
    assert re.fullmatch(
        r"/b\.toml:2: \[shipment\.sent\]: stands in .*/a\.toml:1: .* too; keep one of them", problem
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param(entry("a.b", "color = 1"), ":1: [a.b]: color: no such key; did you mean colour?", id="a key nearly right"),
        pytest.param(entry("a.b", "zebra = 1"), ":1: [a.b]: zebra: no such key; there are category, colour", id="another key"),
        pytest.param(entry("A.b"), ":1: [A.b]: is no action; write a table [noun.verb_past]", id="a bad id"),
        pytest.param(entry("a.b.c"), ": [a.b]: lacks category", id="three words"),
        pytest.param(entry("a"), ":1: [a.category]: is no action", id="no verb"),
        pytest.param("a = 1", ": [a]: is no action", id="no table"),
        pytest.param("[a]", ":1: [a]: is no action", id="an empty noun"),
        pytest.param('[a.b]\ncolour = "red"', ":1: [a.b]: lacks category, title, description; say what people will read", id="lacks"),
        pytest.param(entry("a.b").replace("green", "grene"), ":1: [a.b]: colour: 'grene' is not known; did you mean 'green'?", id="a bad colour"),
        pytest.param(entry("a.b", 'severity = "fatal"'), ":1: [a.b]: severity: 'fatal' is not known; one of info, low, medium, high", id="severity"),
        pytest.param(entry("a.b", "severity = 3"), ":1: [a.b]: severity: '3' is not known", id="severity is a number"),
        pytest.param(entry("a.b", 'needs = ["targets"]'), ":1: [a.b]: needs: 'targets' is not known; did you mean 'target'?", id="a bad need"),
        pytest.param(entry("a.b", 'needs = "target"'), ":1: [a.b]: needs: is no list; write it in brackets", id="no list"),
        pytest.param(entry("a.b", 'needs = ["new", "new"]'), ":1: [a.b]: needs: says one thing twice; keep it once", id="twice"),
        pytest.param(entry("a.b", 'aliases = ["Old"]'), ":1: [a.b]: aliases: 'Old' is no id of an action; write noun.verb_past", id="a bad alias"),
        pytest.param(entry("a.b", "aliases = [1]"), ":1: [a.b]: aliases: '1' is no id of an action", id="an alias that is a number"),
        pytest.param(entry("a.b", 'aliases = ["a.b"]'), ":1: [a.b]: aliases: 'a.b' is taken by [a.b]", id="its own alias"),
        pytest.param(entry("a.b", 'aliases = ["app.created"]'), ":1: [a.b]: aliases: 'app.created' is taken by [app.created] of Indelible's own catalogue", id="an alias of ours"),
        pytest.param(entry("a.b", 'aliases = ["x.y"]') + entry("a.c", 'aliases = ["x.y"]', title="C"), ":7: [a.c]: aliases: 'x.y' is taken by [a.b]", id="an alias of two"),
        pytest.param(entry("a.b", "critical = 1"), ":1: [a.b]: critical: is neither true nor false; write one of them", id="critical"),
        pytest.param(entry("a.b", "example = 1"), ":1: [a.b]: example: is no table; write the context of an event", id="example"),
        pytest.param(entry("a.b", title=" "), ":1: [a.b]: title: is no line of text; write one", id="a blank title"),
        pytest.param(entry("a.b", title="a\\nb"), ":1: [a.b]: title: is no line of text; write one", id="two lines"),
        pytest.param(entry("a.b", title="x" * 81), ":1: [a.b]: title: has 81 characters; at most 80", id="a long title"),
        pytest.param(entry("a.b", title="Role changed"), ":1: [a.b]: title: is that of [member.role_changed] too; people could not tell them apart", id="a title of ours"),
        pytest.param(entry("a.b", category="app lifecycle"), ":1: [a.b]: category: differs from 'App Lifecycle' in case only; write that", id="a category nearly ours"),
        pytest.param('[app.created]\ntitle = "Made"', ":1: [app.created]: is an action of Indelible, which says title for everybody; leave out all but critical", id="an action of ours"),
        pytest.param("[organization.deleted]\ncritical = false", ":1: [organization.deleted]: critical: an action of Indelible can't be weakened; leave it out", id="weaker"),
        pytest.param("[a.b]\n[a.b]", ": is not TOML: Cannot declare ('a', 'b') twice (at line 2, column 5); mend it there", id="the same table twice"),
        pytest.param("[a.b", ": is not TOML: Expected ']'", id="no TOML"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(tmp_path: Path, text: str, problem: str) -> None:
    assert any(found.startswith(problem) for found in problems_of(write(tmp_path, text))), (
        problems_of(write(tmp_path, text))
    )


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    text = entry("a.b", "color = 1", title=" ") + entry("a.c", "critical = 2", title="C")
    assert len(problems_of(write(tmp_path, text))) == 3


def test_a_file_that_is_not_there_and_one_that_is_not_utf8(tmp_path: Path) -> None:
    (problem,) = problems_of(tmp_path / "none.toml")
    assert (
        problem
        == ": cannot be read: No such file or directory; name a file that is there and readable"
    )
    (tmp_path / "latin.toml").write_bytes(b'[a.b]\ntitle = "\xe9"')
    (problem,) = problems_of(tmp_path / "latin.toml")
    assert problem.startswith(": is not TOML: 'utf-8' codec can't decode byte 0xe9")


def test_an_action_of_ours_may_be_made_stricter(tmp_path: Path) -> None:
    text = '[app.created]\ncritical = true\nneeds = ["new"]\naliases = ["app.made"]'
    catalogue = read_catalogue(write(tmp_path, text))
    made = catalogue["app.created"]
    assert (made.critical, made.needs, made.aliases) == (True, ("resource", "new"), ("app.made",))
    assert made.title == CATALOGUE["app.created"].title
    assert list(catalogue) == list(CATALOGUE)
    assert catalogue.find("app.made") == made


def test_two_files_may_each_add_to_an_action_of_ours(tmp_path: Path) -> None:
    write(tmp_path, "[app.created]\ncritical = true", "a.toml")
    write(tmp_path, '[app.created]\naliases = ["app.made"]', "b.toml")
    made = read_catalogue(tmp_path)["app.created"]
    assert (made.critical, made.aliases) == (True, ("app.made",))


def test_the_documented_example_is_right() -> None:
    path = Path(__file__).parents[1] / "docs" / "catalogue-example.toml"
    catalogue = read_catalogue(path)
    assert len(catalogue) == len(CATALOGUE) + 2
    assert catalogue["app.deleted"].critical


def test_the_keys_that_there_are_are_documented() -> None:
    page = (Path(__file__).parents[1] / "docs" / "applications.md").read_text("utf-8")
    table = page.split("```toml")[1].split("```")[0]
    assert set(re.findall(r"^(\w+) = ", table, re.MULTILINE)) == set(KEYS)
