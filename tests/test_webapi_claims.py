"""Claims are found by name first, and then by a path."""

import pytest

from webapi.claims import choose_role, find_claim, rename_claims
from webapi.settings import WebSettings

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


AUDITED = WebSettings(auditor_roles=("auditor",))


@pytest.mark.parametrize(
    ("said", "counts"),
    [
        ("member", "member"),
        (["member", "admin", "owner"], "owner"),
        (["staff", "auditor"], "auditor"),
        (["staff", "member"], "staff"),
        ([], None),
        (None, None),
        ({"owner": True}, {"owner": True}),
    ],
)
def test_of_several_roles_the_first_that_may_read_counts(said: object, counts: object) -> None:
    assert choose_role(said, AUDITED) == counts


def test_a_token_may_list_roles_as_a_provider_lists_groups() -> None:
    payload: dict[str, object] = {"role": ["member", "admin"], "organizationId": "org_a"}
    assert rename_claims(payload, WebSettings())["role"] == "admin"
