"""Which indices are asked apart, and that their answers are one again."""

import pytest
from msgspec import Raw

from webapi.apart import ALONE_AT_MOST, apart, together
from webapi.storage_answer import Hit, Hits, Total

MANY = [f"day-{number:02}" for number in range(ALONE_AT_MOST + 1)]


@pytest.mark.parametrize(
    ("names", "counted", "groups"),
    [
        pytest.param(
            ["a", "b", "c"], {"b", "c"}, [["a"], ["b"], ["c"]], id="one open, two counted"
        ),
        pytest.param(["a", "b", "c"], {"c"}, [["a", "b"], ["c"]], id="two open, one counted"),
        pytest.param(["a", "b"], set[str](), [["a", "b"]], id="nothing is counted"),
        pytest.param(["a", "b"], {"a", "b", "c"}, [["a"], ["b"]], id="all are counted"),
        pytest.param(["a"], {"a"}, [["a"]], id="one"),
        pytest.param(MANY[1:], set(MANY), [[name] for name in MANY[1:]], id="just not too many"),
        pytest.param(MANY, set(MANY), [MANY], id="too many"),
        pytest.param(list[str](), set[str](), list[list[str]](), id="none"),
    ],
)
def test_what_is_counted_is_asked_by_itself(
    names: list[str], counted: set[str], groups: list[list[str]]
) -> None:
    assert [list(group) for group in apart(names, counted)] == groups


def hits(*places: tuple[int, str], total: int | None = None, relation: str = "eq") -> Hits:
    found = [Hit(Raw(b"{}"), ("org_a", at, identity)) for at, identity in places]
    return Hits(found, Total(len(found) if total is None else total, relation))


@pytest.mark.parametrize(
    ("newest_first", "first", "second", "merged"),
    [
        pytest.param(
            True,
            hits((9, "a"), (5, "b")),
            hits((7, "c"), (5, "d")),
            [(9, "a"), (7, "c"), (5, "d"), (5, "b")],
            id="newest first",
        ),
        pytest.param(
            False,
            hits((5, "b"), (9, "a")),
            hits((5, "d"), (7, "c")),
            [(5, "b"), (5, "d"), (7, "c"), (9, "a")],
            id="oldest first",
        ),
        pytest.param(True, hits(), hits((7, "c")), [(7, "c")], id="one is empty"),
        pytest.param(
            True,
            hits((9, "a"), (8, "b"), (7, "c"), (6, "d")),
            hits((9, "b"), (8, "a"), (7, "d"), (6, "c")),
            [(9, "b"), (9, "a"), (8, "b"), (8, "a")],
            id="no more than was asked for",
        ),
    ],
)
def test_answers_come_together_in_the_order_of_one_search(
    newest_first: bool,  # noqa: FBT001  # a case
    first: Hits,
    second: Hits,
    merged: list[tuple[int, str]],
) -> None:
    found = together([first, second], 4, newest_first=newest_first)
    assert [hit.sort[1:] for hit in found.hits] == merged


def test_totals_are_summed_and_as_exact_as_the_least_exact() -> None:
    some, many = hits(total=30), hits(total=10_000, relation="gte")
    assert together([some, some], 1, newest_first=True).total == Total(60, "eq")
    assert together([some, many], 1, newest_first=True).total == Total(10_030, "gte")
