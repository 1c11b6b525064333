"""Claims are found by name first, and then by a path."""

import pytest

from webapi.claims import find_claim

PAYLOAD: dict[str, object] = {
    "org": "by name",
    "a.b": "a name with a dot",
    "a": {"b": "a path", "c": {"d": "deeper"}, "list": ["x"]},
    "https://id.example/claims": {"org": "below an address", "x.y": "dots below it"},
    "https://id.example/org": "an address",
    "null": None,
}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("org", "by name"),
        ("a.b", "a name with a dot"),
        ("a.c.d", "deeper"),
        ("https://id.example/claims.org", "below an address"),
        ("https://id.example/claims.x.y", "dots below it"),
        ("https://id.example/org", "an address"),
        ("a.list.0", None),
        ("a.c.d.e", None),
        ("nothing", None),
        ("", None),
        (".", None),
        ("null", None),
    ],
)
def test_where_a_claim_stands(path: str, found: object) -> None:
    assert find_claim(PAYLOAD, path) == found
