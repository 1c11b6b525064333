"""Links of a page lead to the same question, and to nothing else."""

from urllib.parse import parse_qsl, urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webapi.links import MAX_LINK_CHARACTERS, links

ASKED = [("action", "member.*"), ("q", "a b"), ("limit", "2"), ("offset", "4")]


@pytest.mark.parametrize(
    ("pairs", "cursor", "header"),
    [
        pytest.param([], None, '<?limit=50>; rel="self"', id="nothing was asked"),
        pytest.param(ASKED, None, '<?action=member.%2A&q=a+b&limit=50&offset=4>; rel="self"',
            id="the last page"),
        pytest.param(ASKED, "c", '<?action=member.%2A&q=a+b&limit=50&cursor=c>; rel="next", '
            '<?action=member.%2A&q=a+b&limit=50&offset=4>; rel="self"', id="by cursor from here"),
        pytest.param([("cursor", "b")], "c", '<?limit=50&cursor=c>; rel="next", '
            '<?limit=50&cursor=b>; rel="self"', id="in the middle"),
        pytest.param([("q", '"a>, <b\r\n')], None,
            '<?q=%22a%3E%2C+%3Cb%0D%0A&limit=50>; rel="self"', id="what would end a link"),
        pytest.param([("q", "x" * 2000)], "c",
            f'<?q={"x" * 2000}&limit=50&cursor=c>; rel="next"', id="no room for both"),
        pytest.param([("q", "x" * 3000)], "c", "", id="no room for one"),
    ],
)  # fmt: skip
def test_links(pairs: list[tuple[str, str]], cursor: str | None, header: str) -> None:
    assert links(pairs, 50, cursor) == header


NAMES = st.sampled_from(["q", "action", "limit", "offset", "cursor"])


@given(st.lists(st.tuples(NAMES, st.text(max_size=30)), max_size=8), st.integers(1, 200))
def test_the_next_page_is_of_the_same_question(pairs: list[tuple[str, str]], limit: int) -> None:
    header = links(pairs, limit, "c")
    assert len(header) <= MAX_LINK_CHARACTERS
    target = urljoin("https://host/prefix/audit-log?x=1", header.split(">")[0][1:])
    assert urlsplit(target).path == "/prefix/audit-log"
    asked = [(name, text) for name, text in pairs if name in {"q", "action"}]
    found = parse_qsl(urlsplit(target).query, keep_blank_values=True)
    assert found == [*asked, ("limit", str(limit)), ("cursor", "c")]
